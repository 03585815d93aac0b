"""Aligning two texts: exact in both directions whatever they are, and as a person would pair the words."""

import random
import re

import pytest

from explicate_server.modalities.aligned_texts import Piece, aligned


def pieces(text: str, other: str) -> list[Piece]:
    words, others = ([match.span() for match in re.finditer(r"\S+", each)] for each in (text, other))
    return aligned(text, words, other, others)


@pytest.mark.parametrize(
    ("text", "other", "differing"),
    [
        ("a truly great film", "a very dull film", [(" truly", " very"), (" great ", " dull ")]),
        ("a truly great film", "a dull film", [(" truly", " dull"), (" great ", " ")]),
        ("not very good", "not good", [(" very ", " ")]),
        ("I liked it a lot", "I liked it", [(" a", ""), (" lot", "")]),
        ("I liked it", "I liked it a lot", [(" it", " it a lot")]),
        ("Honestly I liked it", "I liked it", [("Honestly ", "")]),
        ("I liked it", "Honestly I liked it", [("I ", "Honestly I ")]),
        ("one", "two three", [("one", "two three")]),
        ("same words", "same words", []),
    ],
)
def test_words_that_differ_are_paired_off_and_take_their_spaces_along(
    text: str, other: str, differing: list[tuple[str, str]]
) -> None:
    assert [(piece.text, piece.other) for piece in pieces(text, other) if piece.differs] == differing


def test_the_pieces_are_both_texts_to_the_last_space_and_one_for_each_word() -> None:
    stream = random.Random(3)

    def text() -> str:
        words = [stream.choice("abc") + stream.choice((" ", "  ", "\n", "\t ")) for _ in range(stream.randint(1, 8))]
        return stream.choice(("", " ", "\n")) + "".join(words).removesuffix(stream.choice((" ", "\n", "")))

    for _ in range(2000):
        first, second = text(), text()
        found = pieces(first, second)
        assert "".join(piece.text for piece in found) == first
        assert "".join(piece.other for piece in found) == second
        assert [piece.text.strip() for piece in found] == first.split()


def test_as_many_words_as_can_be_are_alike() -> None:
    """Against the recursion that defines the longest common subsequence."""
    stream = random.Random(5)
    for _ in range(200):
        first, second = ([stream.choice("ab") for _ in range(stream.randint(1, 6))] for _ in range(2))
        lengths = {(i, j): 0 for i in range(len(first) + 1) for j in range(len(second) + 1)}
        for i in range(1, len(first) + 1):
            for j in range(1, len(second) + 1):
                best = max(lengths[i - 1, j], lengths[i, j - 1])
                lengths[i, j] = lengths[i - 1, j - 1] + 1 if first[i - 1] == second[j - 1] else best
        alike = [
            piece for piece in pieces(" ".join(first), " ".join(second)) if piece.text.strip() in piece.other.split()
        ]
        assert len(alike) >= lengths[len(first), len(second)]
