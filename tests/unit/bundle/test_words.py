"""Where words begin and end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lime.lime_text import IndexedString

from explicate_bundle.players.words import clusters, lime_words, unspaced_scripts, words
from support.tokenizers_by_kind import TEXTS, texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great soup!", ["Great", "soup!"]),
        ("I don't like well-made tea", ["I", "don't", "like", "well-made", "tea"]),
        ("cheap/small", ["cheap/", "small"]),
        ('("quoted") end...', ['("quoted")', "end..."]),
        ("costs 3.50, or 1:30", ["costs", "3.50,", "or", "1:30"]),
        ("great.Bad", ["great.", "Bad"]),
        ("good :-) 😀👍 tea☕", ["good", ":-)", "😀👍", "tea☕"]),
        ("cafe\u0301's e\u0301toile", ["cafe\u0301's", "e\u0301toile"]),
        ("it❤️❤️! 👨‍👩‍👧", ["it❤️❤️!", "👨‍👩‍👧"]),
        ("🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣", ["🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣"]),
        ('צה״ל צה"ל בית־ספר', ["צה״ל", 'צה"ל', "בית־ספר"]),
        ("col·lecció", ["col·lecció"]),
        ("the U.S.A. e.g.", ["the", "U.S.A.", "e.g."]),
        ("AT&T Q&A fish&chips", ["AT&T", "Q&A", "fish&", "chips"]),
        ("10/10, 24/7", ["10/10,", "24/7"]),
        ("٣٫١٤ مُحَمَّد", ["٣٫١٤", "مُحَمَّد"]),
        ("soft\u00adhyphen, tea\u200bbox", ["soft\u00adhyphen,", "tea\u200b", "box"]),
        ("Open'ຳ a\u0600味", ["Open'ຳ", "a\u0600味"]),
        ("味道好", ["味", "道", "好"]),
        ("น้ำดี", ["น้ำ", "ดี"]),
        ("ស្ត្រីនេះ។", ["ស្ត្រី", "នេះ។"]),
        ("ｶﾞｷﾞ", ["ｶﾞ", "ｷﾞ"]),
        ("味道好!really", ["味", "道", "好!", "really"]),
        ("طعم جيد جدا", ["طعم", "جيد", "جدا"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("one", ["one"]),
        ("  \t\n ", []),
        ("...", ["..."]),
    ],
)
def test_words_read_as_a_person_reads_them(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in words(text)] == expected


@given(st.one_of(st.text(max_size=60), texts()))
def test_every_character_but_white_space_is_in_exactly_one_word(text: str) -> None:
    spans = words(text)
    assert "".join("".join(text[start:end] for start, end in spans).split()) == "".join(text.split())
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(st.one_of(st.text(max_size=60), texts()))
def test_no_word_begins_or_ends_inside_a_grapheme_cluster(text: str) -> None:
    edges = {0, *(end for _, end in clusters(text))}
    assert edges.issuperset(edge for span in [*words(text), *lime_words(text)] for edge in span)


@pytest.mark.parametrize("text", TEXTS.values())
def test_long_texts_take_time_in_proportion(text: str) -> None:
    """A pattern that went back over what it read would take hours here."""
    long = text * (20_000 // len(text))
    assert len(words(long)) >= 20_000 // len(text) - 1


def plain(text: str) -> bool:
    """Whether every character is a code point, and words are seen."""
    return len(clusters(text)) == len(text) and not unspaced_scripts(text)


@given(
    st.text(alphabet=st.characters(exclude_characters="\0", max_codepoint=0x5FF), min_size=1, max_size=60).filter(plain)
)
def test_lime_words_are_those_of_the_lime_library(text: str) -> None:
    indexed = IndexedString(text)
    positions = [
        (int(start), indexed.word(i)) for i in range(indexed.num_words()) for start in indexed.string_position(i)
    ]
    assert [(start, text[start:end]) for start, end in lime_words(text)] == sorted(positions)


def test_lime_words_are_not_cut_where_the_lime_library_cuts_a_character() -> None:
    text = "हिन्दी cafe\u0301, हिन्दी"
    assert [text[start:end] for start, end in lime_words(text)] == ["हिन्दी", "cafe\u0301", "हिन्दी"]
    assert IndexedString(text).num_words() > 3


def test_an_apostrophe_that_thai_has_too_parts_no_word() -> None:
    text = "їдемо о пʼятій, oʼzbekcha"
    assert [text[start:end] for start, end in words(text)] == ["їдемо", "о", "пʼятій,", "oʼzbekcha"]
    assert [text[start:end] for start, end in lime_words(text)] == ["їдемо", "о", "пʼятій", "oʼzbekcha"]


def test_scripts_without_spaces_are_named() -> None:
    assert unspaced_scripts("tea น้ำ 味道 ー") == ("Thai", "Han")
    assert unspaced_scripts("हिन्दी طعم 차는 tea") == ()
    assert unspaced_scripts("") == ()
