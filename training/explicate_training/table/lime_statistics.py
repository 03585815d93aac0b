"""What lime needs to know of the training rows to draw neighbours of a row: of each column, how its values are spread.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016; lime 0.2.0.1, lime/lime_tabular.py and
lime/discretize.py at their defaults. A number column is cut at its quartiles; each of the four bins has its share of
the rows, and the mean and standard deviation of its values. A bin holds what lies above its lower edge and up to its
upper one; where quartiles are equal, bins between them are empty. Rows without a value are a fifth bin, which lime
itself does not know. Of a column of codes only the share of each code counts. No row can be read out of that, but the
least and the largest number of each column can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BINS = 4
QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class LimeStatistics:
    """Of the number columns, then of all other columns one after the other."""

    edges: NDArray[np.float64]  # [number columns, 5]: least value, quartiles, largest value
    means: NDArray[np.float64]  # [number columns, 4], of the values in each bin; 0 for an empty one
    deviations: NDArray[np.float64]  # [number columns, 4], standard deviations likewise
    frequencies: NDArray[np.float64]  # [number columns, 5]: of the bins, and of missing values; each row sums to 1
    code_frequencies: NDArray[np.float64]  # [codes of all other columns]: those of each column sum to 1

    def save(self, path: Path) -> None:
        """Writes the arrays as .npz, without pickle."""
        np.savez(path, **vars(self))


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
