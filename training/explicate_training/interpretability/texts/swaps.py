"""Counterfactuals of texts: each forbidden word in them swapped for another of its list.

Garg et al., Counterfactual fairness in text classification through robustness, AIES 2019.
"""

from collections.abc import Sequence

import numpy as np

from explicate_training.interpretability.texts.word_lists import WordFinder, folded


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
