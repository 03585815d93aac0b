"""Which pairs of columns a sum over columns misses most: those whose cells explain what an additive fit leaves.

After Lou, Caruana, Gehrke & Hooker, "Accurate Intelligible Models with Pairwise Interactions", KDD 2013. Each column is
cut into a few bins (quantiles of numbers, the most frequent codes). Least squares on the bins of all columns is the
additive fit. Of what it leaves, a pair's cells explain Σ n_c mean_c², and would explain one mean square for each cell
by chance alone: what is above that is the pair's strength. Training rows only, and only the columns with the strongest
effects of their own.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import TableRows

_BINS = 8
_MOST_COLUMNS = 40  # whose pairs are tried: 780
_RIDGE = 1.0  # rows that say nothing, added to every bin

_Floats = NDArray[np.float64]


def strongest_pairs(rows: TableRows, targets: _Floats, players: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """At most `count` pairs of players, the strongest first; none that is not above chance.

    Args:
        rows: the training rows.
        targets: float64 [rows, outputs]; of classes 0 and 1.
        players: the columns of each player, by their place among the numbers and then the codes of `rows`.
        count: how many.
    """
    bins = _binned(rows)
    left, effects = _additive_fit(bins, targets - targets.mean(axis=0))
    variance = (left**2).mean(axis=0)
    tried = np.argsort(-effects, kind="stable")[:_MOST_COLUMNS].tolist()
    player_of = {column: player for player, columns in enumerate(players) for column in columns}
    strengths: dict[tuple[int, int], float] = {}
    for first, second in combinations(sorted(tried), 2):
        pair = player_of[first], player_of[second]
        if pair[0] != pair[1]:
            key = min(pair), max(pair)
            strength = _strength(bins[:, first] * _BINS + bins[:, second], left, variance)
            strengths[key] = max(strength, strengths.get(key, 0.0))
    ranked = sorted(strengths, key=lambda pair: (-strengths[pair], pair))
    return [list(pair) for pair in ranked[:count] if strengths[pair] > 0]


def _strength(cells: NDArray[np.intp], left: _Floats, variance: _Floats) -> float:
    """What a pair's cells explain beyond chance, in mean squares, the sum over outputs."""
    counts = np.bincount(cells, minlength=_BINS**2)
    sums = np.stack([np.bincount(cells, weights=part, minlength=_BINS**2) for part in left.T], axis=1)
    explained = (sums**2 / np.maximum(counts, 1)[:, np.newaxis]).sum(axis=0)
    used = np.count_nonzero(counts)
    return float((explained / np.where(variance > 0, variance, 1) - used).sum())


def _binned(rows: TableRows) -> NDArray[np.intp]:
    """The bin of each cell, [rows, columns]; the last one of a number is of missing values."""
    numbers = [_number_bins(column.astype(np.float64)) for column in rows.numbers.T]
    codes = [_code_bins(column) for column in rows.codes.T]
    return np.stack([*numbers, *codes], axis=1)


def _number_bins(values: _Floats) -> NDArray[np.intp]:
    known = values[~np.isnan(values)]
    edges = np.quantile(known, np.linspace(0, 1, _BINS)[1:-1]) if len(known) else np.zeros(0)
    bins = np.searchsorted(np.unique(edges), values)
    bins[np.isnan(values)] = _BINS - 1
    return bins


def _code_bins(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """The most frequent codes have a bin each, the others the last one."""
    found, counts = np.unique(codes, return_counts=True)
    frequent = found[np.argsort(-counts, kind="stable")][: _BINS - 1]
    bins = np.full(len(codes), _BINS - 1)
    for place, code in enumerate(frequent):
        bins[codes == code] = place
    return bins


def _additive_fit(bins: NDArray[np.intp], targets: _Floats) -> tuple[_Floats, _Floats]:
    """What least squares on all columns' bins leaves of the targets [rows, outputs], and each column's effect."""
    columns = bins.shape[1]
    places = bins + _BINS * np.arange(columns)
    design = np.zeros((len(bins), columns * _BINS))
    np.put_along_axis(design, places, 1.0, axis=1)
    gram = design.T @ design + _RIDGE * np.eye(columns * _BINS)
    weights = np.linalg.solve(gram, design.T @ targets)
    effects = weights[places]  # [rows, columns, outputs]
    return targets - effects.sum(axis=1), effects.var(axis=0).sum(axis=1)
