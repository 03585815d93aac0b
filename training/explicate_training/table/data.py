"""A table in memory: typed columns, labels, and where the source put each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self  # Any: cells as they were read

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.cells.date_notation import DateNotation, date_text
from explicate_bundle.cells.number_notation import NumberNotation
from explicate_training.data.demos import DEMO_TABLES
from explicate_training.data.files import Columns, read_files
from explicate_training.data.header import Tell, Wanted, quietly
from explicate_training.data.labels import Split
from explicate_training.data.splits import LabelledSet, Rows
from explicate_training.table.config import TableDataConfig
from explicate_training.tasks.task import Task

ColumnType = Literal["number", "date", "category", "boolean", "ordinal"]
NUMERIC_TYPES = ("number", "date")
"""Types whose values are numbers of the network's input; those of all others are codes."""
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
    values: NDArray[Any]  # float64 with NaN of numbers and dates (days since 1970), else object: str, or None
    order: tuple[str, ...] = ()  # the categories, of a boolean or ordinal column
    notation: NumberNotation | DateNotation | None = None  # how its texts are read; None: as any number or word
    missing_words: tuple[str, ...] = ()  # that mean missing, besides the table's
    why: str = ""  # it has its type
    example: str = ""  # a cell as it is written, of a number or date

    def missing(self) -> NDArray[np.bool_]:
        """Where values are missing, bool [rows]."""
        return np.array([value is None or value != value for value in self.values], dtype=bool)  # NaN is not itself


@dataclass(frozen=True, kw_only=True)
class Table(LabelledSet):
    """Typed columns and labels."""

    task: Task
    columns: tuple[Column, ...]
    left_out_cells: NDArray[np.uint64]  # of each row a hash of the cells that tell rows apart and are not learnt from

    def take(self, rows: Rows | NDArray[np.bool_]) -> Self:
        """These rows, by number or by mask."""
        columns = tuple(replace(column, values=column.values[rows]) for column in self.columns)
        return replace(super().take(rows), columns=columns, left_out_cells=self.left_out_cells[rows])

    def without(self, names: Sequence[str]) -> Self:
        """The same without these columns."""
        return replace(self, columns=tuple(column for column in self.columns if column.name not in names))

    def content(self, place: int) -> dict[str, Any]:
        """The cells of a row."""
        return self.row(place)

    def row(self, number: int) -> dict[str, Any]:
        """One row as JSON values by column name: numbers, strings, true or false, None where missing."""
        return {column.name: _json_value(column, column.values[number]) for column in self.columns}


def _json_value(column: Column, value: Any) -> Any:
    if column.type == "date":
        return None if np.isnan(value) else date_text(value)
    if column.type == "number":
        if np.isnan(value):
            return None
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
    if column.type == "boolean":
        return None if value is None else value == "true"
    return value


def read_table(config: TableDataConfig, tell: Tell = quietly) -> RawTable:
    """The configured table; rows in the source's order: train, then validation and test if there are any.

    Raises UsageError when a file is missing or unreadable, or the files do not have the same columns.
    """
    if config.demo:
        columns = DEMO_TABLES[config.demo]()
        return RawTable(config.demo, columns, ["train"] * len(next(iter(columns.values()))))
    required = config.columns_with_labels()
    if config.group_column:
        required["data.group_column"] = config.group_column
    return _joined(read_files(config, Wanted(required, others=True), tell), config)


def _joined(parts: list[Columns], config: TableDataConfig) -> RawTable:
    names = list(parts[0].values)
    for part in parts[1:]:
        other = set(part.values) ^ set(names)
        if other:
            raise UsageError(
                f"data.{part.split}: {part.origin} and {parts[0].origin} differ in the column {min(other)!r}: "
                "give them the same columns"
            )
    columns = {name: [cell for part in parts for cell in part.values[name]] for name in names}
    splits = [part.split for part in parts for _ in part.values[names[0]]]
    if not splits:
        raise UsageError(f"data.table: {config.table} has no rows")
    return RawTable(config.table, columns, splits)
