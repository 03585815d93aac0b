"""A text cut at its features, for every view that shows words in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from explicate.explanation import Feature


@dataclass(frozen=True)
class Segment:
    """A piece of the text from code point `start`; `feature` is its feature's index, None between features."""

    text: str
    start: int
    feature: int | None


def segments(text: str, features: Sequence[Feature], *, in_pair: bool = False) -> list[Segment]:
    """All of `text`, in order; `in_pair` says that it is the second of a pair, whose features are taken then.

    Where two spans overlap, the text belongs to the first.
    """
    own = [(index, feature) for index, feature in enumerate(features) if feature.in_pair == in_pair]
    places = sorted((span.start, span.end, index) for index, feature in own for span in feature.spans)
    pieces: list[Segment] = []
    done = 0
    for start, end, index in places:
        start, end = max(start, done), min(end, len(text))
        if start >= end:
            continue
        if start > done:
            pieces.append(Segment(text[done:start], done, None))
        pieces.append(Segment(text[start:end], start, index))
        done = end
    if done < len(text):
        pieces.append(Segment(text[done:], done, None))
    return pieces


_BETWEEN_TEXTS = " | "


def pair_texts(text: str, text_pair: str, features: Sequence[Feature]) -> list[str]:
    """One string per feature which, joined, give both texts of a pair again with " | " between them."""
    first = feature_texts(text, [feature for feature in features if not feature.in_pair])
    second = feature_texts(text_pair, [feature for feature in features if feature.in_pair])
    if first and second:
        first[-1] += _BETWEEN_TEXTS
    own = {False: iter(first), True: iter(second)}
    return [next(own[feature.in_pair]) for feature in features]


def feature_texts(text: str, features: Sequence[Feature]) -> list[str]:
    """One string per feature which, joined, give the text again: each word with what follows it up to the next.

    When a feature stands at several places they cannot be joined so; then each is its word and a space.
    """
    if any(len(feature.spans) != 1 for feature in features):
        return [f"{feature.text} " for feature in features]
    starts = [feature.spans[0].start for feature in features]
    cuts = [0, *starts[1:], len(text)]
    return [text[start:end] for start, end in pairwise(cuts)] if features else []
