"""Tables in packed form: checked and encoded a column at a time, never a cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import LARGEST_NUMBER, Column, TableColumns, number_problem
from explicate_server.errors import Violation

_MISSING = -1


@dataclass(frozen=True)
class NumberValues:
    """Values of a number column, float64[rows], NaN where missing."""

    values: NDArray[np.float64]


@dataclass(frozen=True)
class CategoryValues:
    """Values of another column: the names that occur, and for each row, int64[rows], which one; −1 where missing."""

    names: Sequence[str]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class PackedTable:
    """So many rows, by column; None is a column without values."""

    rows: int
    columns: Sequence[tuple[str, NumberValues | CategoryValues | None]]


def table_violations(table: PackedTable, columns: TableColumns) -> list[Violation]:
    """What is wrong with a table, one problem a column."""
    seen: set[str] = set()
    violations = []
    for name, values in table.columns:
        path = f"table.columns[{name}]"
        if name in seen:
            violations.append(Violation(path, "comes twice"))
        elif name not in columns.by_name:
            violations.append(Violation(path, "is not a column of this model; leave it out"))
        else:
            found = next(_problems(columns.by_name[name], values, table.rows), None)
            violations += [Violation(path + found[0], found[1])] if found else []
        seen.add(name)
    left_out = [column.name for column in columns.all if column.name not in seen]
    return violations + [
        Violation(f"table.columns[{name}]", "is left out; give every column of the model") for name in left_out
    ]


def encode_columns(table: PackedTable, columns: TableColumns) -> NDArray[np.float64]:
    """Model rows float64[rows, columns] of a table without violations."""
    rows = np.empty((table.rows, len(columns.all)))
    for name, values in table.columns:
        column = columns.by_name[name]
        if values is not None and _all_missing(values):
            rows[:, column.place] = column.number_of(None)
        elif isinstance(values, NumberValues):
            rows[:, column.place] = values.values
        elif isinstance(values, CategoryValues):
            rows[:, column.place] = column.codes_of(values.names)[values.codes]  # −1, missing, is the last
    return rows


def _problems(column: Column, values: NumberValues | CategoryValues | None, rows: int) -> Iterator[tuple[str, str]]:
    """Where below the column's path something is wrong, and what."""
    if values is None:
        yield "", "has no values; set numbers or categories"
    elif isinstance(values, NumberValues):
        if column.codes is not None and not _all_missing(values):
            yield "", "has numbers; this column takes categories"
        yield from _length_problems(".numbers.values", len(values.values), rows)
        for row in np.flatnonzero(np.abs(values.values) > LARGEST_NUMBER)[:1]:  # NaN is missing, and not larger
            yield f".numbers.values[{row}]", number_problem(float(values.values[row])) or ""
    else:
        if column.codes is None and not _all_missing(values):
            yield "", "has categories; this column takes numbers"
        yield from _length_problems(".categories.codes", len(values.codes), rows)
        for row in np.flatnonzero((values.codes < _MISSING) | (values.codes >= len(values.names)))[:1]:
            yield (
                f".categories.codes[{row}]",
                f"is {values.codes[row]}; there are {len(values.names)} names, and −1 is missing",
            )


def _all_missing(values: NumberValues | CategoryValues) -> bool:
    """Whether no row has a value: such a column looks the same in both forms, and a caller cannot tell its type."""
    if isinstance(values, NumberValues):
        return bool(np.isnan(values.values).all())
    return bool((values.codes == _MISSING).all())


def _length_problems(path: str, values: int, rows: int) -> Iterator[tuple[str, str]]:
    if values != rows:
        yield path, f"has {values:,} values; the table has {rows:,} rows"
