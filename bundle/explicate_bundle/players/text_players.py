"""Who plays: the words, tokens or sentences of a text, and the tokens of the model that belong to each.

The parts of a text that share a token can only be absent together, so they are one player: "cheap/" and "small" where a
tokenizer does not split at marks, the characters of a word in a script without spaces, the bytes of an emoji. What has
no token, because the tokenizer passes it over, goes with the part before it. So every visible character that the model
reads is in exactly one player, and none begins or ends inside a grapheme cluster.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.players.words import Span, clusters, lime_words, sentences, words

NO_PLAYER = -1
DISTINCT_WORDS = "distinct-words"
_UNITS: Mapping[str, Callable[[str], list[Span]]] = {
    "words": words,
    "tokens": clusters,
    "sentences": sentences,
    DISTINCT_WORDS: lime_words,
}

Indices = NDArray[np.int64]
Places = tuple[Span, ...]  # of a player in its text: one, but of equal words all


def players_of(text: str, kind: str, tokens: Indices, *, read: int, deleted: bool) -> tuple[list[Places], Indices]:
    """The players of a text in reading order, and the player that each token belongs to, int64[tokens].

    NO_PLAYER has the tokens outside of all: of white space, and for lime of the marks between words.

    Args:
        text: a text, or one of a pair.
        kind: "words", "tokens", "sentences", or DISTINCT_WORDS, where equal words are one player.
        tokens: int64[tokens, 2], the code points of each.
        read: how many characters the model reads; what begins after them does not play.
        deleted: whether players leave the string; DISTINCT_WORDS are then those of the lime library, shared tokens or
            not.
    """
    units = np.array([span for span in _UNITS[kind](text) if span[0] < read], dtype=np.int64).reshape(-1, 2)
    joined, owners = _joined(units, tokens, touching=kind == DISTINCT_WORDS and deleted)
    if kind == DISTINCT_WORDS:
        spans, owners = (joined, owners) if deleted else _with_tokens(joined, owners)
        return _equal_ones(text, spans, owners)
    spans, owners = _all_with_tokens(text, joined, owners)
    return [((start, end),) for start, end in spans.tolist()], owners


def _joined(units: Indices, tokens: Indices, *, touching: bool) -> tuple[Indices, Indices]:
    """The spans of units that share no token, int64[parts, 2], and the part of each token, or NO_PLAYER.

    ``touching``: units with something between them are not joined.
    """
    starts, ends = units.T
    first = np.searchsorted(ends, tokens[:, 0], side="right")
    last = np.searchsorted(starts, tokens[:, 1], side="left") - 1
    inside = first <= last
    steps = np.zeros(len(units) + 1, dtype=np.int64)
    np.add.at(steps, first[inside], 1)
    np.add.at(steps, last[inside], -1)
    shared = steps.cumsum()[:-2] > 0  # by each unit with the next
    if touching:
        shared &= ends[:-1] == starts[1:]
    part = np.concatenate([[0], (~shared).cumsum()])
    owners = np.full(len(tokens), NO_PLAYER)
    owners[inside] = part[first[inside]]
    return _merged(units, part[: len(units)]), owners


def _merged(spans: Indices, part: Indices) -> Indices:
    """From the first to the last of the spans of each part, int64[parts, 2]; ``part`` rises by 0 or 1 from 0."""
    first = np.flatnonzero(np.diff(part, prepend=-1))
    last = np.flatnonzero(np.diff(part, append=len(spans)))
    return np.stack([spans[first, 0], spans[last, 1]], axis=1)


def _has_token(spans: Indices, owners: Indices) -> NDArray[np.bool_]:
    has = np.zeros(len(spans), dtype=np.bool_)
    has[owners[owners != NO_PLAYER]] = True
    return has


def _renumbered(owners: Indices, numbers: Indices) -> Indices:
    return np.where(owners == NO_PLAYER, NO_PLAYER, numbers[owners]) if len(numbers) else owners


def _with_tokens(spans: Indices, owners: Indices) -> tuple[Indices, Indices]:
    """Without the parts that the tokenizer passes over."""
    has = _has_token(spans, owners)
    return spans[has], _renumbered(owners, has.cumsum() - 1)


def _all_with_tokens(text: str, spans: Indices, owners: Indices) -> tuple[Indices, Indices]:
    """With each visible part that the tokenizer passes over put to the one before it, at the start to the one after."""
    has = _has_token(spans, owners)
    seen = has | np.array([not text[start:end].isspace() for start, end in spans.tolist()], dtype=np.bool_)
    part = np.maximum(has.cumsum() - 1, 0)
    return _merged(spans[seen], part[seen]), _renumbered(owners, part)


def _equal_ones(text: str, spans: Indices, owners: Indices) -> tuple[list[Places], Indices]:
    """Equal words as one player each, in the order of their first places."""
    places: dict[str, list[Span]] = {}
    for start, end in spans.tolist():
        places.setdefault(text[start:end], []).append((start, end))
    number = {word: index for index, word in enumerate(places)}
    numbers = np.array([number[text[start:end]] for start, end in spans.tolist()], dtype=np.int64)
    return [tuple(found) for found in places.values()], _renumbered(owners, numbers)
