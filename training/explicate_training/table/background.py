"""The summary of the training rows that stands for absent columns in explanations: cluster centres with weights.

Rows are clustered with k-means on scaled numbers and one-hot categories. A centre has the mean of its rows' known
numbers (missing where most of them lack the number) and, column by column, a category and a date drawn from theirs (a
mean of dates has a weekday and an hour by chance), so it is nobody's row; clusters of fewer than five rows, whose
centre would nearly be one, are dissolved into their neighbours.

Drawn, not the most frequent one: that would leave out every category that is rare everywhere, and with it what a risk
often hangs on. On the credit table the network's mean over the background was then .06 where it is .26 over the rows.

What lime needs to know of the training rows to draw neighbours of a row: of each column, how its values are spread.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016; lime 0.2.0.1, lime/lime_tabular.py and
lime/discretize.py at their defaults. A number column is cut at its quartiles; each of the four bins has its share of
the rows, and the mean and standard deviation of its values. A bin holds what lies above its lower edge and up to its
upper one; where quartiles are equal, bins between them are empty. Rows without a value are a fifth bin, which lime
itself does not know. Of a column of codes only the share of each code counts. No row can be read out of that, but the
least and the largest number of each column can.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from explicate_bundle.columns import TableRows
from explicate_bundle.table_arrays import BINS, Background, LimeStatistics

QUARTILES = (25, 50, 75)


def lime_statistics(
    numbers: NDArray[np.float32], codes: NDArray[np.int64], code_counts: Sequence[int]
) -> LimeStatistics:
    """Statistics of float32 [rows, number columns] and int64 [rows, other columns] with so many codes each."""
    columns = [_number_statistics(column.astype(np.float64)) for column in numbers.T]
    edges, means, deviations, frequencies = (
        np.array([column[part] for column in columns]).reshape(len(columns), size)
        for part, size in enumerate((BINS + 1, BINS, BINS, BINS + 1))
    )
    shares = [
        np.bincount(column, minlength=count) / len(codes) for column, count in zip(codes.T, code_counts, strict=True)
    ]
    return LimeStatistics(edges, means, deviations, frequencies, np.concatenate([*shares, np.empty(0)]))


def _number_statistics(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(edges [5], means [4], deviations [4], frequencies [5]) of a column, NaN where missing."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(BINS + 1), np.zeros(BINS), np.zeros(BINS), np.array([0.0] * BINS + [1.0])
    quartiles = np.percentile(known, QUARTILES)
    bins = np.searchsorted(quartiles, known)
    parts = [known[bins == one] for one in range(BINS)]
    return (
        np.array([known.min(), *quartiles, known.max()]),
        np.array([part.mean() if len(part) else 0.0 for part in parts]),
        np.array([part.std() if len(part) else 0.0 for part in parts]),
        np.array([*map(len, parts), len(values) - len(known)]) / len(values),
    )


FEWEST_ROWS = 5
"""Of a cluster."""
_MOST_ROWS = 20_000  # to find clusters in; all rows are then counted to the nearest
_CLIP = 3.0  # standard deviations: one far-out value shall not have a cluster for itself


def summarise(train: TableRows, rows: int, *, seed: int, dates: Sequence[int] = ()) -> Background:
    """At most `rows` cluster centres of the training rows, the largest cluster first; `dates`: places of numbers."""
    points = _points(train)
    fewest = min(FEWEST_ROWS, len(points))
    sample = points[np.linspace(0, len(points) - 1, min(len(points), _MOST_ROWS)).astype(int)]
    clusters = max(1, min(rows, len(np.unique(sample, axis=0)), len(points) // fewest))
    centres = KMeans(clusters, n_init=3, random_state=seed).fit(sample).cluster_centers_
    members = _nearest(points, centres)
    while (counts := np.bincount(members, minlength=len(centres))).min() < fewest:
        centres = np.delete(centres, counts.argmin(), axis=0)
        members = _nearest(points, centres)
    order = np.argsort(-counts, kind="stable")
    generator = np.random.default_rng(seed)
    return Background(
        np.stack([_centre(train.numbers[members == cluster], dates, generator) for cluster in order]),
        np.stack([_drawn_codes(train.codes[members == cluster], generator) for cluster in order]),
        counts[order] / counts.sum(),
    )


def _points(train: TableRows) -> NDArray[np.float64]:
    """Rows as points, float64 [rows, dimensions]; a missing number is at its column's mean."""
    numbers = train.numbers.astype(np.float64)
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, numbers, 0).sum(axis=0) / count
    centred = np.where(known, numbers - means, 0)
    deviations = np.sqrt(np.square(centred).sum(axis=0) / count)
    scaled = np.clip(centred / np.where(deviations > 0, deviations, 1), -_CLIP, _CLIP)
    one_hot = [(column[:, np.newaxis] == np.unique(column)).astype(np.float64) for column in train.codes.T]
    return np.concatenate([scaled, *one_hot], axis=1)


def _nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    distances = np.square(centres).sum(axis=1) - 2 * points @ centres.T  # without |point|², which is common to all
    nearest: NDArray[np.intp] = distances.argmin(axis=1)
    return nearest


def _centre(numbers: NDArray[np.float32], dates: Sequence[int], generator: np.random.Generator) -> NDArray[np.float32]:
    """The means of a cluster's numbers; of dates one of them each."""
    centre = _mean_numbers(numbers)
    for place in dates:
        centre[place] = generator.choice(numbers[:, place])
    return centre


def _mean_numbers(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    known = ~np.isnan(numbers)
    counts = known.sum(axis=0)
    means = np.where(known, numbers, 0).sum(axis=0, dtype=np.float64) / np.maximum(counts, 1)
    return np.where(2 * counts >= len(numbers), means, np.nan).astype(np.float32)


def _drawn_codes(codes: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """One code for each column, drawn apart from the others; [columns] of [rows, columns]."""
    return np.array([generator.choice(column) for column in codes.T], dtype=np.int64)
