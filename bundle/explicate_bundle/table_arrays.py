"""The background of a table's bundle: the rows whose values absent columns take.

``background.npz`` holds, without pickle: ``numbers`` float32[rows, number columns], NaN where missing; ``codes``
int64[rows, other columns] (see `TabularSchema`); ``weights`` float64[rows], which sum to 1.

The statistics of the training data in a table's bundle: lime draws neighbours of a row from them.

``lime.npz`` holds, without pickle, of the m number columns in the schema's order ``edges`` float64[m, 5] (the least
value, the quartiles, the largest), ``means`` and ``deviations`` float64[m, 4] of the values between two edges, 0 where
there are none, ``frequencies`` float64[m, 5], the shares of the training rows between two edges and of those without a
value; and of the other columns ``code_frequencies`` float64[codes of all of them], the share of each code (see
`TabularSchema`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.cells.cell_readers import LARGEST_NUMBER
from explicate_bundle.columns import FIRST_CATEGORY_CODE, TableColumns
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import opened_arrays

BINS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LimeStatistics:
    """The arrays of the file: of the number columns, then of all other columns one after the other."""

    edges: Floats  # [number columns, 5]: least value, quartiles, largest value
    means: Floats  # [number columns, 4], of the values in each bin; 0 for an empty one
    deviations: Floats  # [number columns, 4], standard deviations likewise
    frequencies: Floats  # [number columns, 5]: of the bins, and of missing values; each row sums to 1
    code_frequencies: Floats  # [codes of all other columns]: those of each column sum to 1


def read_lime_statistics(path: Path, schema: TabularSchema) -> LimeStatistics:
    """Read and check the file.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        statistics = LimeStatistics(*(arrays[field.name].astype(np.float64) for field in fields(LimeStatistics)))
    columns = TableColumns(schema)
    # The first one only: values can be looked at once the shapes are right.
    for fault in chain(_shape_faults(statistics, columns), _value_faults(statistics, columns)):
        raise BundleError(f"lime.npz has {fault}")
    return statistics


def write_lime_statistics(path: Path, statistics: LimeStatistics) -> None:
    """Write the file."""
    np.savez(path, **vars(statistics))


def by_column(code_frequencies: Floats, columns: TableColumns) -> list[Floats]:
    """The frequencies of the codes of each column that is not of numbers, in the schema's order."""
    return np.split(code_frequencies, np.cumsum(_code_counts(columns)))[:-1]


def _code_counts(columns: TableColumns) -> list[int]:
    return [FIRST_CATEGORY_CODE + count for count in columns.category_counts]


def _shape_faults(statistics: LimeStatistics, columns: TableColumns) -> list[str]:
    numbers = columns.numbers
    shapes = {
        "edges": (numbers, BINS + 1),
        "means": (numbers, BINS),
        "deviations": (numbers, BINS),
        "frequencies": (numbers, BINS + 1),
        "code_frequencies": (sum(_code_counts(columns)),),
    }
    return [
        f"{name} of shape {getattr(statistics, name).shape}; the manifest's columns need {shape}"
        for name, shape in shapes.items()
        if getattr(statistics, name).shape != shape
    ]


def _value_faults(statistics: LimeStatistics, columns: TableColumns) -> Iterator[str]:
    """What is wrong with arrays of the right shapes."""
    for name, array in vars(statistics).items():
        if not np.isfinite(array).all():
            yield f"{name} that are not finite numbers"
    if (np.abs(statistics.edges) > LARGEST_NUMBER).any():
        yield "edges beyond the numbers that the graph takes"
    if (np.diff(statistics.edges, axis=1) < 0).any():
        yield "edges that do not ascend"
    if (statistics.deviations < 0).any():
        yield "deviations below 0"
    for shares in (*statistics.frequencies, *by_column(statistics.code_frequencies, columns)):
        if (shares < 0).any() or not abs(shares.sum() - 1) < _CLOSE_TO_ONE:
            yield "frequencies that are below 0 or do not sum to 1"


_CLOSE_TO_ONE = 1e-6


@dataclass(frozen=True)
class Background:
    """Rows in the graph's form, ``numbers`` float32 and ``codes`` int64, and their ``weights`` float64."""

    numbers: NDArray[np.float32]
    codes: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.codes)


_BACKGROUND_TYPES = {"numbers": np.float32, "codes": np.int64, "weights": np.float64}


def read_background(path: Path, schema: TabularSchema) -> Background:
    """Read and check the file; a schema that does not say yet how many rows there are takes any number.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        background = rows_in(path.name, arrays)
    weights, rows = background.weights, schema.background_rows or len(background)
    if weights.shape != (rows,) or len(background) != rows:
        raise BundleError(
            f"background.npz has {len(background)} rows and weights of shape {weights.shape}; the manifest says "
            f"{rows} rows"
        )
    check_rows(path.name, background, TableColumns(schema))
    return background


def rows_in(file: str, arrays: Mapping[str, NDArray[Any]]) -> Background:
    """Rows with their weights, as the arrays of a file hold them; raises BundleError for arrays of other types."""
    found = {name: arrays[name] for name in _BACKGROUND_TYPES}
    for name, wanted in _BACKGROUND_TYPES.items():
        if found[name].dtype != wanted:
            raise BundleError(f"{file} has {name} of type {found[name].dtype}, not {np.dtype(wanted)}")
    return Background(**found)


def check_rows(file: str, background: Background, columns: TableColumns) -> None:
    """Raise BundleError unless the rows are of these columns, and their weights fit and sum to 1."""
    weights = background.weights
    if not columns.fits(background.numbers, background.codes):
        raise BundleError(f"{file} has rows that are not of the manifest's columns")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and abs(weights.sum() - 1) < _CLOSE_TO_ONE):
        raise BundleError(f"{file} has weights that are below 0 or do not sum to 1")


def write_background(path: Path, background: Background) -> None:
    """Write the file."""
    np.savez(path, numbers=background.numbers, codes=background.codes, weights=background.weights)
