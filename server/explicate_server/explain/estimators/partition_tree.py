"""The tree of players that `partition-shap` descends: where each run of neighbouring players is cut in two."""

from dataclasses import dataclass

import numpy as np

from explicate_server.explain.arrays import Indices


@dataclass(frozen=True)
class Cut:
    """The cut of a run of players.

    Attributes:
        middle: the first player of the right part.
        rows: evaluations that the Owen values of the run take in one context, its own contribution known: each part
            without the other and with it, r(run) = 2 + 2 r(left) + 2 r(right). About 0.7 n² for a balanced tree.
    """

    middle: int
    rows: int


def partition_tree(n_players: int, breaks: Indices | None) -> dict[tuple[int, int], Cut]:
    """The cuts of all runs of two players and more, by their half-open range of players.

    A run is cut at its strongest break, of equal ones at the middlest; without breaks in the middle.

    Args:
        n_players: n.
        breaks: intp[n − 1], see `GameInfo.breaks`.
    """
    strengths = np.zeros(max(n_players - 1, 0), np.intp) if breaks is None else breaks
    tree: dict[tuple[int, int], Cut] = {}

    def add(start: int, end: int) -> int:
        if end - start < 2:
            return 0
        inside = strengths[start : end - 1]
        strongest = start + 1 + np.flatnonzero(inside == inside.max())
        middle = int(strongest[np.argmin(np.abs(2 * strongest - start - end))])
        rows = 2 + 2 * add(start, middle) + 2 * add(middle, end)
        tree[start, end] = Cut(middle, rows)
        return rows

    add(0, n_players)
    return tree
