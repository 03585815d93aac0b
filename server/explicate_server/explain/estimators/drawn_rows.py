"""Rows that a game has drawn itself: each is asked for by its number, as no coalition says what stands in it.

Of a coalition all is said by who is present, so that its value is kept under its bits. A row that lime draws for a
table has another random value in every absent column: many rows share a coalition and none an answer. Such a row is
asked for with its number behind the bits of its present players.
"""

import numpy as np

from explicate_server.explain.arrays import Booleans, Indices

NUMBER_BITS = 32


def numbered(presence: Booleans) -> Booleans:
    """Rows bool[rows, n] with their numbers, bool[rows, n + 32]."""
    numbers = np.arange(len(presence), dtype=">u4").view(np.uint8).reshape(-1, NUMBER_BITS // 8)
    return np.concatenate([presence, np.unpackbits(numbers, axis=1).astype(np.bool_)], axis=1)


def row_numbers(asked: Booleans, n_players: int) -> Indices:
    """The numbers intp[m] of rows asked; the full coalition, which has none, is row 0.

    Raises:
        ValueError: it is another coalition.
    """
    if asked.shape[1] > n_players:
        return np.packbits(asked[:, n_players:], axis=1).view(">u4")[:, 0].astype(np.intp)
    if not asked.all():
        raise ValueError("A game of drawn rows has no value for a coalition.")
    return np.zeros(len(asked), dtype=np.intp)
