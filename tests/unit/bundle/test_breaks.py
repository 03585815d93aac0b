"""Where texts pause, and their sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explicate_bundle.players.words import COMMA, NOTHING, PARAGRAPH, SENTENCE, breaks, sentences, words


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("good tea", [NOTHING]),
        ("good, cheap", [COMMA]),
        ("good. Cheap", [SENTENCE]),
        ('"good!" Cheap', [SENTENCE]),
        ("good\ncheap", [COMMA]),
        ("good.\n\nCheap", [PARAGRAPH]),
        ("Dr. Tea", [NOTHING]),
        ("e.g. tea", [NOTHING]),
        ("U.S.A. (etc.) tea", [NOTHING, COMMA]),
        ("so... good", [SENTENCE]),
        ("好吃。很", [NOTHING, SENTENCE]),
        ("好。」很", [SENTENCE]),
        ("ល្អ។ រ", [SENTENCE]),
        ("አይ። ቡና", [SENTENCE]),
        ("ｶﾞ｡ｷ", [SENTENCE]),
        ("tea", []),
    ],
)
def test_marks_between_words_say_how_much_parts_them(text: str, levels: list[int]) -> None:
    assert breaks(text, words(text)).tolist() == levels


def test_sentences_end_where_a_sentence_or_a_paragraph_does() -> None:
    text = "I like it. Mr. Lee, too!\n\nNo price (yet)"
    assert [text[start:end] for start, end in sentences(text)] == ["I like it.", "Mr. Lee, too!", "No price (yet)"]


def test_a_text_without_words_has_no_sentences() -> None:
    assert sentences("  \n ") == []


@given(st.text(max_size=60))
def test_every_word_is_in_exactly_one_sentence(text: str) -> None:
    spans = sentences(text)
    for start, end in words(text):
        assert sum(first <= start and end <= last for first, last in spans) == 1
