"""Rows of a table as the graph's inputs, written down in the simplest way: a reading beside the product's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2


@dataclass(frozen=True)
class TableRows:
    """Rows in the graph's form."""

    numbers: NDArray[np.float32]  # [rows, number columns], NaN where missing
    codes: NDArray[np.int64]  # [rows, other columns], 0 unknown, 1 missing, 2 + k the k-th category

    def feeds(self) -> dict[str, NDArray[Any]]:
        """The graph's inputs; one without columns does not exist."""
        return {name: values for name, values in vars(self).items() if values.shape[1]}


def encode(rows: Sequence[Mapping[str, Any]], columns: Sequence[bundle_pb2.ColumnSchema]) -> TableRows:
    """Rows of cells by column name: a number, the name of a category, true or false, or None where missing."""
    numbers = [column.name for column in columns if column.type == bundle_pb2.COLUMN_TYPE_NUMBER]
    others = [column for column in columns if column.type != bundle_pb2.COLUMN_TYPE_NUMBER]
    values = [[np.nan if row[name] is None else row[name] for name in numbers] for row in rows]
    codes = [[_code(row[column.name], list(column.categories)) for column in others] for row in rows]
    return TableRows(
        np.array(values, dtype=np.float32).reshape(len(rows), len(numbers)),
        np.array(codes, dtype=np.int64).reshape(len(rows), len(others)),
    )


def _code(cell: Any, categories: Sequence[str]) -> int:
    if cell is None:
        return 1
    name = str(cell).lower() if isinstance(cell, bool) else cell
    return 2 + categories.index(name) if name in categories else 0
