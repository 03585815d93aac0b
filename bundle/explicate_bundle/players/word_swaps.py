"""Words of a list in texts, and texts with such words swapped for others of their list.

Training pairs a text with its swaps, and what measures a bundle swaps the words that the bundle's manifest lists. Swaps
are those of Garg et al., Counterfactual fairness in text classification through robustness, AIES 2019.

Words are found as whole words, whatever their case; in scripts that have no spaces between words, and of what begins
with a sign such as ":)", any place will do.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff])")
"""Scripts written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han."""
_TOKEN = re.compile(r"\w+")  # so that Anna is found in Anna's


class Found(NamedTuple):
    """A word of a list in a text: characters [start, stop)."""

    start: int
    stop: int
    word: str  # as the list has it, folded


class WordFinder:
    """Finds the words and phrases of a list; where two overlap the one that begins first, then the longer."""

    def __init__(self, words: Iterable[str]) -> None:
        self._by_first: dict[str, list[str]] = defaultdict(list)  # words, by the first token of each
        self._anywhere: list[str] = []
        for word in filter(None, dict.fromkeys(folded(one) for one in words)):
            first = _TOKEN.match(word)
            if first is None or UNSPACED.search(word):
                self._anywhere.append(word)
            else:
                self._by_first[first[0]].append(word)

    def find(self, text: str) -> list[Found]:
        """Where they are, in order, without overlaps."""
        places = []
        for token in _TOKEN.finditer(text):
            start = token.start()
            for word in self._by_first.get(token[0].casefold(), ()):
                stop = token.end() if word == token[0].casefold() else start + len(word)  # ß folds to two letters
                if text[start:stop].casefold() == word and not _TOKEN.match(text[stop : stop + 1]):
                    places.append(Found(start, stop, word))
        for word in self._anywhere:
            places += [Found(*one.span(), word) for one in re.finditer(re.escape(word), text, re.IGNORECASE)]
        kept: list[Found] = []
        for found in sorted(places, key=lambda one: (one.start, -one.stop)):
            if not kept or found.start >= kept[-1].stop:
                kept.append(found)
        return kept


def folded(word: str) -> str:
    """A word as it is compared."""
    return " ".join(word.split()).casefold()


class Swaps:
    """Lists of words that may stand in each other's place."""

    def __init__(self, lists: Sequence[Sequence[str]]) -> None:
        """A word of two lists is of the first."""
        self._list_of: dict[str, Sequence[str]] = {}
        for words in lists:
            for word in words:
                self._list_of.setdefault(folded(word), words)
        self._finder = WordFinder(self._list_of)

    def has(self, texts: Sequence[str]) -> bool:
        """Whether a word of a list is in a row's texts."""
        return any(self._finder.find(text) for text in texts)

    def swapped(self, texts: Sequence[str], stream: np.random.Generator) -> tuple[str, ...] | None:
        """The texts with each word swapped for another of its list, drawn from the stream; None if none is in them.

        A word is swapped for the same one wherever it is, and keeps its case.
        """
        found = [self._finder.find(text) for text in texts]
        words = list(dict.fromkeys(one.word for of_text in found for one in of_text))
        if not words:
            return None
        drawn = {word: self._draw(word, stream) for word in words}
        swapped = []
        for text, of_text in zip(texts, found, strict=True):
            for one in reversed(of_text):  # from the end, so that the places of the others hold
                text = text[: one.start] + cased(drawn[one.word], text[one.start : one.stop]) + text[one.stop :]
            swapped.append(text)
        return tuple(swapped)

    def several(self, texts: Sequence[str], most: int, stream: np.random.Generator) -> list[tuple[str, ...]]:
        """Up to so many different ones; none of a row without such a word."""
        drawn = (self.swapped(texts, stream) for _ in range(2 * most))
        return [one for one in dict.fromkeys(drawn) if one is not None][:most]

    def _draw(self, word: str, stream: np.random.Generator) -> str:
        others = [other for other in self._list_of[word] if folded(other) != word]
        return others[int(stream.integers(len(others)))]


def cased(word: str, like: str) -> str:
    """A word in the case of another: capitals, a capital first, or as it is in its list."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
