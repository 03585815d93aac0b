"""The tree of players that `partition-shap` descends: where a run of neighbouring players is cut in two."""

import numpy as np

from explicate_server.explain.arrays import Indices


def cut(start: int, end: int, breaks: Indices | None) -> int:
    """Where to cut the players start … end − 1, at least two: at the strongest break, of equal ones the middlest.

    Args:
        start, end: half-open range of players.
        breaks: intp[n − 1], see `GameInfo.breaks`; None cuts in the middle.

    Returns:
        The first player of the right part, from start + 1 to end − 1.
    """
    middle = (start + end) // 2
    if breaks is None:
        return middle
    inside = breaks[start : end - 1]
    strongest = start + 1 + np.flatnonzero(inside == inside.max())
    return int(strongest[np.argmin(np.abs(strongest - (start + end) / 2))])


def rows_to_expand(start: int, end: int, breaks: Indices | None) -> int:
    """Rows that the Owen values of players start … end − 1 take, their common contribution known: both contexts of
    every part of the tree, r(run) = 2 + 2 r(left) + 2 r(right). About 0.7 n² when the tree is balanced.
    """
    if end - start < 2:
        return 0
    middle = cut(start, end, breaks)
    return 2 + 2 * rows_to_expand(start, middle, breaks) + 2 * rows_to_expand(middle, end, breaks)
