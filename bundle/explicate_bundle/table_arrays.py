"""The background of a tabular bundle: the rows that stand for absent columns.

``background.npz`` holds, without pickle: ``numbers`` float32[rows, number columns], NaN where missing; ``codes``
int64[rows, other columns] (see `TabularSchema`); ``weights`` float64[rows], which sum to 1.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.arrays import opened_arrays
from explicate_bundle.columns import TableColumns
from explicate_bundle.errors import BundleError

_CLOSE_TO_ONE = 1e-6


@dataclass(frozen=True)
class Background:
    """Rows in the graph's form, ``numbers`` float32 and ``codes`` int64, and their ``weights`` float64."""

    numbers: NDArray[np.float32]
    codes: NDArray[np.int64]
    weights: NDArray[np.float64]


def read_background(path: Path, schema: TabularSchema) -> Background:
    """Read and check the file.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        background = Background(
            arrays["numbers"].astype(np.float32),
            arrays["codes"].astype(np.int64),
            arrays["weights"].astype(np.float64),
        )
    weights = background.weights
    if weights.shape != (schema.background_rows,) or len(background.codes) != len(weights):
        raise BundleError(
            f"background.npz has {len(background.codes)} rows and weights of shape {weights.shape}; the manifest says "
            f"{schema.background_rows} rows"
        )
    if not TableColumns(schema).fits(background.numbers, background.codes):
        raise BundleError("background.npz has rows that are not of the manifest's columns")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and abs(weights.sum() - 1) < _CLOSE_TO_ONE):
        raise BundleError("background.npz has weights that are below 0 or do not sum to 1")
    return background


def write_background(path: Path, background: Background) -> None:
    """Write the file."""
    np.savez(path, numbers=background.numbers, codes=background.codes, weights=background.weights)
