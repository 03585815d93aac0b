"""A table in memory: typed columns, labels, and where the source put each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal  # Any: cells as they were read

import numpy as np
from numpy.typing import NDArray

from explicate_training.data.labelled_text import Split
from explicate_training.data.labels import Task

ColumnType = Literal["number", "category", "boolean", "ordinal"]
Rows = NDArray[np.intp]
BOOLEAN_CATEGORIES = ("false", "true")


@dataclass(frozen=True)
class RawTable:
    """A table as it was read: Python values, None where missing; all columns of one length."""

    origin: str
    columns: Mapping[str, Sequence[Any]]
    splits: Sequence[Split]  # where the source put each row; splitting takes parts of "train" for the others


@dataclass(frozen=True)
class Column:
    """A column with its type."""

    name: str
    type: ColumnType
    values: NDArray[Any]  # float64 with NaN of numbers, else object: str, or None where missing
    order: tuple[str, ...] = ()  # the categories, of a boolean or ordinal column

    def missing(self) -> NDArray[np.bool_]:
        """Where values are missing, bool [rows]."""
        return np.array([value is None or value != value for value in self.values], dtype=bool)  # NaN is not itself


@dataclass(frozen=True)
class Table:
    """Typed columns and labels, row by row of one length."""

    task: Task
    columns: tuple[Column, ...]
    labels: NDArray[Any]  # object, str or tuple of str, None where missing; regression: float64 with NaN
    groups: NDArray[Any] | None  # object; rows with the same value stay in one split
    splits: NDArray[Any]  # object: Split

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Table":
        """These rows, by number or by mask."""
        return replace(
            self,
            columns=tuple(replace(column, values=column.values[rows]) for column in self.columns),
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            splits=self.splits[rows],
        )

    def row(self, number: int) -> dict[str, Any]:
        """One row as JSON values by column name: numbers, strings, true or false, None where missing."""
        return {column.name: _json_value(column, column.values[number]) for column in self.columns}


def _json_value(column: Column, value: Any) -> Any:
    if column.type == "number":
        if np.isnan(value):
            return None
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
    if column.type == "boolean":
        return None if value is None else value == "true"
    return value
