"""Where words begin and end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lime.lime_text import IndexedString

from explicate_server.modalities.words import distinct_words, words


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
        ("味道好", ["味", "道", "好"]),
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


@given(st.text(max_size=60))
def test_every_character_but_white_space_is_in_exactly_one_word(text: str) -> None:
    spans = words(text)
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(st.text(alphabet=st.characters(exclude_characters="\0"), min_size=1, max_size=60))
def test_distinct_words_are_those_of_the_lime_library(text: str) -> None:
    indexed = IndexedString(text)
    ours = distinct_words(text)
    assert [word for word, _ in ours] == [indexed.word(i) for i in range(indexed.num_words())]
    assert [[start for start, _ in places] for _, places in ours] == [
        indexed.string_position(i).tolist() for i in range(indexed.num_words())
    ]
