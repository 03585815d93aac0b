"""Two texts, word beside word: where they differ, and what each has there.

Words that both have, in the same order, are matched by a longest common subsequence: it takes at most n·m steps of
numpy whatever the words are, where the blocks of difflib can take n·m for every word of a text that repeats itself.
Between two matched words those of the one text are paired off with those of the other, in order; the last takes what
the other text has more of. What only the other text has goes to the word before it, at its beginning to the one after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A part of a text with one word, and what the other text has in its place, both with the white space around them.

    The pieces of a text joined are the text; what the other has in their places, joined, is the other text.
    """

    text: str
    other: str

    @property
    def differs(self) -> bool:
        """Whether the texts differ there."""
        return self.text != self.other


def aligned(text: str, words: Sequence[Span], other: str, other_words: Sequence[Span]) -> list[Piece]:
    """The pieces of a text, one for each word; both texts have one or more, as spans in order without overlap."""
    slots = _slots([text[slice(*span)] for span in words], [other[slice(*span)] for span in other_words])
    differing = [slot.differs for slot in slots]
    places = [
        (other_words[slot.others[0]][0], other_words[slot.others[-1]][1]) if slot.others else None for slot in slots
    ]
    parts = zip(_cut(text, words, differing), _cut(other, places, differing), strict=True)
    return [Piece(*both) for both in parts]


@dataclass(frozen=True)
class _Slot:
    """What of the other text is in the place of a word: some of its words."""

    others: range
    differs: bool


def _slots(words: Sequence[str], others: Sequence[str]) -> list[_Slot]:
    """One for each word."""
    slots: list[_Slot] = []
    start = 0  # of the other text, what no slot has yet
    matches = [*_matches(words, others), (len(words), len(others))]
    for (word, _), (next_word, next_other) in pairwise([(-1, -1), *matches]):
        between, waiting = range(word + 1, next_word), range(start, next_other)
        for place in between:
            last = place == between[-1]
            taken = waiting if last else waiting[:1]
            slots.append(_Slot(taken, differs=True))
            waiting = waiting[len(taken) :]
        if waiting and slots:
            slots[-1] = _Slot(range(slots[-1].others.start, waiting.stop), differs=True)
            waiting = waiting[len(waiting) :]
        if next_word < len(words):
            slots.append(_Slot(range(waiting.start, next_other + 1), differs=bool(waiting)))
        start = next_other + 1
    return slots


def _matches(words: Sequence[str], others: Sequence[str]) -> list[tuple[int, int]]:
    """Places of equal words in both, ascending: a longest common subsequence."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*words, *others)))}
    first, second = (np.array([numbers[word] for word in side], dtype=np.int64) for side in (words, others))
    longest = _longest(first, second)
    found, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1, j] >= longest[i, j + 1]:
            i += 1
        else:
            j += 1
    return found


def _longest(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int16]:
    """Lengths of the longest common subsequences of what follows each pair of places, int16[n + 1, m + 1]."""
    lengths = np.zeros((len(first) + 1, len(second) + 1), dtype=np.int16)
    for i in range(len(first) - 1, -1, -1):
        best = np.maximum(lengths[i + 1, :-1], lengths[i + 1, 1:] + (second == first[i]))
        lengths[i, :-1] = np.maximum.accumulate(best[::-1])[::-1]
    return lengths


def _cut(text: str, places: Sequence[Span | None], differing: Sequence[bool]) -> list[str]:
    """A text in as many pieces as there are places, None being one without a word.

    White space goes with the word behind it, but with the one before it where only that differs: a word that is taken
    out takes one space along.
    """
    starts, end = [0], 0
    for number, place in enumerate(places):
        if number:
            stays = place is not None and not differing[number] and differing[number - 1]
            starts.append(place[0] if stays and place is not None else end)
        end = end if place is None else place[1]
    return [text[start:stop] for start, stop in pairwise([*starts, len(text)])]
