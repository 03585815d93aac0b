"""Columns of a table that go along with each other in the background rows, so that one may stand for the other.

How much two columns have in common is told on one scale, from 0 to 1: of two numbers the square of Spearman's rank
correlation; of two categories that of Cramér's V; of a number and a category the correlation ratio of the ranks, η².
All three are ‖Aᵀ B‖², A and B being the centred indicators of a column's categories, each over the root of its share,
or a number's standardised ranks; of two columns of r and c categories it is φ², and V² = φ² / min(r − 1, c − 1).

With few rows and many categories these come out too large: of a name that no two rows share, η² is 1 with everything.
V is corrected as Bergsma does (A bias-correction for Cramér's V and Tschuprow's T, Journal of the Korean Statistical
Society 42, 2013), η² by its degrees of freedom, as adjusted R² is.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import TableColumns

# A correlation of .9: each tells four fifths of the other's spread.
_IN_COMMON = 0.81
# By as many rows as weigh alike; below it .9 comes about by chance among many columns.
_LEAST_ROWS = 20.0
# Multiplications, about two seconds of one core; only a table of thousands of columns takes more, and none is searched.
_MOST_WORK = 10_000_000_000

Floats = NDArray[np.float64]


def near_copies(rows: Floats, weights: Floats, columns: TableColumns) -> Mapping[str, Sequence[str]]:
    """Of each column that has near-copies among those of other players, their names in the schema's order.

    Args:
        rows: float64[b, columns], background rows as model rows.
        weights: float64[b], which sum to 1.
        columns: what the rows hold.
    """
    near = in_common(rows, weights, numbers=columns.numbers) >= _IN_COMMON
    near &= columns.owners[:, np.newaxis] != columns.owners
    found = {
        column.name: tuple(other.name for other in columns.all if near[column.place, other.place])
        for column in columns.all
        if near[column.place].any()
    }
    return MappingProxyType(found)


def in_common(rows: Floats, weights: Floats, *, numbers: int) -> Floats:
    """What each two columns have in common, float64[columns, columns]; 0 where it cannot be told, and for one itself.

    The first ``numbers`` columns are numbers, NaN where missing, the others codes of categories.
    """
    count = rows.shape[1]
    effective = 1.0 / float((weights**2).sum())
    parts = [
        (_standardised if place < numbers else _indicators)(rows[:, place], weights) * np.sqrt(weights)[:, np.newaxis]
        for place in range(count)
    ]
    sizes = np.array([part.shape[1] for part in parts], dtype=np.float64)
    if effective < _LEAST_ROWS or len(rows) * sizes.sum() ** 2 > _MOST_WORK:
        return np.zeros((count, count))
    every = np.concatenate(parts, axis=1)
    owners = np.repeat(np.arange(count), sizes.astype(np.intp))
    squares = np.array([np.bincount(owners, ((part.T @ every) ** 2).sum(axis=0), count) for part in parts])
    is_number = np.arange(count) < numbers
    common = _corrected(squares, sizes, is_number, effective)
    np.fill_diagonal(common, 0.0)
    return np.clip(common, 0.0, 1.0)


def _standardised(values: Floats, weights: Floats) -> Floats:
    """The ranks of numbers with mean 0 and variance 1, float64[b, 1], 0 where missing; float64[b, 0] of a constant."""
    from scipy.stats import rankdata  # models of texts need not wait for it

    known = ~np.isnan(values) & (weights > 0)
    if not known.any() or not np.ptp(values[known]):
        return np.zeros((len(values), 0))
    ranks = np.zeros(len(values))
    ranks[known] = rankdata(values[known])
    own = np.where(known, weights, 0.0)
    centred = np.where(known, ranks - (own @ ranks) / own.sum(), 0.0)
    return np.asarray(centred / np.sqrt(own @ centred**2))[:, np.newaxis]


def _indicators(codes: Floats, weights: Floats) -> Floats:
    """Of each category that occurs, whether a row has it, centred, over the root of its share, float64[b, categories];
    none of a constant.
    """
    found, own = np.unique(codes, return_inverse=True)
    shares = np.bincount(own, weights, len(found))
    kept = shares > 0
    if kept.sum() < 2:
        return np.zeros((len(codes), 0))
    indicators = (own[:, np.newaxis] == np.flatnonzero(kept)).astype(np.float64)
    return np.asarray((indicators - shares[kept]) / np.sqrt(shares[kept]))


def _corrected(squares: Floats, sizes: Floats, is_number: NDArray[np.bool_], rows: float) -> Floats:
    """‖AᵀB‖² on one scale, without what few rows add, float64[columns, columns]."""
    free = np.maximum(sizes - 1.0, 0.0)
    by_chance = np.outer(free, free) / (rows - 1)
    least = np.maximum(free - free**2 / (rows - 1), 0.0)
    of_categories = _divided(np.maximum(squares - by_chance, 0.0), np.minimum.outer(least, least))
    categories = np.where(is_number, 1.0, sizes)
    levels = np.maximum.outer(categories, categories)
    mixed = 1.0 - _divided((1.0 - np.minimum(squares, 1.0)) * (rows - 1), rows - levels, empty=1.0)
    number = is_number[:, np.newaxis]
    common = np.where(number & number.T, squares, np.where(number | number.T, mixed, of_categories))
    return np.asarray(np.where(np.outer(sizes, sizes) > 0, common, 0.0))


def _divided(above: Floats, below: Floats, *, empty: float = 0.0) -> Floats:
    """The ratio; ``empty`` where there is nothing to divide by."""
    return np.divide(above, below, out=np.full_like(above, empty), where=below > 1e-9)
