"""Players in groups: between coalitions of the fine players and coalitions of their groups.

`groups` is intp[fine players], the group of each, from 0 in ascending order: every group is a run of neighbours.
"""

import numpy as np

from explicate_server.explain.arrays import Booleans, Indices


def starts(groups: Indices) -> Indices:
    """The first player of each group."""
    return np.flatnonzero(np.diff(groups, prepend=-1))


def spread(coalitions: Booleans, groups: Indices | None) -> Booleans:
    """Coalitions of groups bool[m, groups] as coalitions of fine players bool[m, n]; the same when there are none."""
    return coalitions if groups is None else coalitions[:, groups]


def gathered(coalitions: Booleans, groups: Indices | None) -> tuple[Booleans, Booleans]:
    """Coalitions of fine players as coalitions of groups bool[m, groups], and bool[m] which of them cut no group.

    A group that is cut counts as absent.
    """
    if groups is None:
        return coalitions, np.ones(len(coalitions), np.bool_)
    first = starts(groups)
    whole = np.logical_and.reduceat(coalitions, first, axis=1)
    touched = np.logical_or.reduceat(coalitions, first, axis=1)
    return whole, (whole == touched).all(axis=1)
