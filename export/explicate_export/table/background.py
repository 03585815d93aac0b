"""background.npz: the weighted rows that stand for absent columns, as training left them, read and checked."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # arrays of a file, before their types are known

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_export.errors import UsageError
from explicate_export.table.rows import FIRST_CATEGORY_CODE, TableRows, code_columns, number_columns
from explicate_export.training_run import UNFINISHED

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Background:
    """Summaries of the training rows."""

    rows: TableRows
    weights: NDArray[np.float64]  # [rows], they sum to 1

    def __len__(self) -> int:
        return len(self.rows)


def read_background(path: Path, schema: bundle_pb2.TabularSchema) -> Background:
    """Raises UsageError when the file is missing or does not fit the schema."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            numbers, codes, weights = (arrays[name] for name in ("numbers", "codes", "weights"))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {UNFINISHED}") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({error}): {UNFINISHED}") from None
    if wrong := _fault(numbers, codes, weights, schema):
        raise UsageError(f"{path}: {wrong}, so train again")
    return Background(TableRows(numbers, codes), weights)


def _fault(
    numbers: NDArray[Any],
    codes: NDArray[Any],
    weights: NDArray[Any],
    schema: bundle_pb2.TabularSchema,
) -> str:
    """What is wrong with the arrays; empty when nothing is."""
    rows, categories = weights.size, [len(column.categories) for column in code_columns(schema)]
    if weights.dtype != np.float64 or weights.shape != (rows,) or not rows:
        return f"weights are {weights.dtype} {weights.shape}, not float64 [rows]"
    if numbers.dtype != np.float32 or numbers.shape != (rows, len(number_columns(schema))):
        return f"numbers are {numbers.dtype} {numbers.shape}, which does not fit {rows} rows of run.json's columns"
    if codes.dtype != np.int64 or codes.shape != (rows, len(categories)):
        return f"codes are {codes.dtype} {codes.shape}, which does not fit {rows} rows of run.json's columns"
    if np.isinf(numbers).any():
        return "a number is infinite"
    if (codes < 0).any() or (codes >= FIRST_CATEGORY_CODE + np.array(categories, dtype=np.int64)).any():
        return "a code is of no category"
    if not (weights >= 0).all() or not abs(weights.sum() - 1) <= _SUM_TOLERANCE:
        return "the weights are not shares that sum to 1"
    return ""
