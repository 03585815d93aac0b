"""Groups of neighbouring players: cut at breaks at first, and then cut anew where the weight is.

`groups` is intp[n], the group of each player, from 0 in ascending order: every group is a run of neighbours. No group
goes across a WALL.
"""

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.game import WALL


def starts(groups: Indices) -> Indices:
    """The first player of each group."""
    return np.flatnonzero(np.diff(groups, prepend=-1))


def spread(coalitions: Booleans, groups: Indices | None) -> Booleans:
    """Coalitions of groups bool[m, groups] as coalitions of fine players bool[m, n]; the same without groups."""
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


# The share of the groups that splits may take up; the others stay for the players between.
SPLIT_SHARE = 0.75


def phrases(n_players: int, count: int, breaks: Indices | None = None) -> Indices:
    """`count` groups of about equal size, or n when there are fewer players, each cut at the strongest break near it.

    Cut j is sought among the places nearer to j·n/count than to the next such point, so that a group holds at most
    twice its share. Of equal breaks the nearest is taken. Where there are walls, each part between them has its share
    of the groups, one at least.
    """
    walls = np.zeros(0, np.intp) if breaks is None else np.flatnonzero(breaks >= WALL) + 1
    bounds = [0, *walls.tolist(), n_players]
    # Shares are rounded where each part ends, so that they add up to the count.
    ends = np.rint(count * np.array(bounds) / max(n_players, 1)).astype(np.intp)
    counts = np.clip(np.diff(ends), 1, np.maximum(1, count - len(walls)))
    cuts = np.zeros(n_players, dtype=np.intp)
    for first, last, its_count in zip(bounds[:-1], bounds[1:], counts, strict=True):
        cuts[first:last] = _cuts(last - first, int(its_count), None if breaks is None else breaks[first : last - 1])
    cuts[walls] = 1
    return np.cumsum(cuts)


def _cuts(n_players: int, count: int, breaks: Indices | None) -> Indices:
    """1 where one of `count` groups of players without walls begins, but for the first one, intp[n]."""
    count = min(count, n_players)
    cuts = np.zeros(n_players, dtype=np.intp)
    size = n_players / max(count, 1)
    # One group's window ends where the next one's begins: whole numbers, for rounded apart two could share a place.
    edges = -(-n_players * (2 * np.arange(count) + 1) // (2 * max(count, 1)))
    for middle, first, last in zip(size * np.arange(1, count), edges[:-1], edges[1:], strict=True):
        places = np.arange(first, last)
        strength = np.zeros(len(places)) if breaks is None else breaks[places - 1].astype(np.float64)
        cuts[places[np.argmax(strength - np.abs(places - middle) / n_players)]] = 1  # distances are below n: ties only
    return cuts


def recut(groups: Indices, values: Floats, max_groups: int, breaks: Indices | None = None) -> Indices:
    """Split the heavy groups into single players and merge light neighbours, so that there are at most `max_groups`.

    The weight of a group is its share of Σ |value|, of the output where that is the largest. Heavy is what weighs more
    than 1 / max_groups. The heaviest are split first, up to SPLIT_SHARE of the groups there may be; one that does not
    fit is cut into as many parts as do. Then neighbours that were not split are merged, first those that together weigh
    least, until the number fits; a break between them counts as more weight.

    Args:
        groups: intp[n].
        values: float64[outputs, groups].
        max_groups: how many groups there may be; more than there are walls.
        breaks: intp[n − 1], see GameInfo.
    """
    bounds = np.append(starts(groups), len(groups))
    weights = _weights(values)
    strengths = np.zeros(len(bounds) - 2, np.intp) if breaks is None else breaks[bounds[1:-1] - 1]
    parts = _parts(np.diff(bounds), weights, max_groups, strengths >= WALL)
    kept = _kept_cuts(weights, parts, max_groups, strengths)
    starting = np.zeros(len(groups), dtype=np.intp)
    starting[bounds[:-1][kept]] = 1
    for group in np.flatnonzero(parts > 1):
        first, last = bounds[group], bounds[group + 1]
        inner = phrases(last - first, int(parts[group]), None if breaks is None else breaks[first : last - 1])
        starting[first + starts(inner)] = 1
    return np.cumsum(starting) - 1


def _weights(values: Floats) -> Floats:
    """Shares of Σ |value|, the largest over the outputs, float64[groups]."""
    sizes = np.abs(values)
    totals = sizes.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(sizes, totals, out=np.zeros_like(sizes), where=totals > 0).max(axis=0)
    return shares


def _parts(sizes: Indices, weights: Floats, max_groups: int, walls: Booleans) -> Indices:
    """Into how many parts each group is split, intp[groups]; 0 for those that may be merged with their neighbours.

    `walls` bool[groups − 1] says between which neighbours there is one.
    """
    parts = np.zeros(len(sizes), dtype=np.intp)
    for group in np.argsort(-weights, kind="stable"):
        if weights[group] <= 1 / max_groups:
            break
        parts[group] = sizes[group]
        merged = parts == 0
        # Runs of neighbours that may be merged: one group each at least.
        merged_runs = int(merged[:1].sum()) + np.count_nonzero(merged[1:] & (~merged[:-1] | walls))
        excess = int(parts.sum() + merged_runs - SPLIT_SHARE * max_groups)
        if excess > 0:
            parts[group] = max(sizes[group] - excess, 0)
            break
    return parts


def _kept_cuts(weights: Floats, parts: Indices, max_groups: int, strengths: Indices) -> Booleans:
    """Which groups still begin where they did, bool[groups], when enough of those without parts are merged.

    `strengths` intp[groups − 1] are the breaks between neighbours.
    """
    kept = np.ones(len(weights), dtype=np.bool_)
    for _ in range(int(np.maximum(parts, 1).sum()) - max_groups):
        first = np.flatnonzero(kept)  # the first group of each run of merged ones
        weight, whole = np.add.reduceat(weights, first), parts[first] == 0
        strength = strengths[first[1:] - 1]
        cost = (weight[:-1] + weight[1:]) * (1 + strength)
        kept[first[1:][np.argmin(np.where(whole[:-1] & whole[1:] & (strength < WALL), cost, np.inf))]] = False
    return kept
