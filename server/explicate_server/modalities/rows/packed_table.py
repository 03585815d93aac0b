"""Tables in packed form: checked and encoded a column at a time, never a cell."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate.reading.nearest import did_you_mean
from explicate_bundle.cells.cell_readers import LARGEST_NUMBER, NumberCells
from explicate_bundle.columns import Column, TableColumns
from explicate_bundle.model_inputs import CellValue
from explicate_server.errors import Violation

_MISSING = -1


@dataclass(frozen=True)
class NumberValues:
    """Numbers, float64[rows], NaN where missing."""

    values: NDArray[np.float64]

    def cells(self) -> list[CellValue]:
        """One a row; None where missing."""
        return [None if number != number else number for number in self.values.tolist()]


@dataclass(frozen=True)
class CategoryValues:
    """Texts: those that occur, and for each row, int64[rows], which one; −1 where missing."""

    names: Sequence[str]
    codes: NDArray[np.int64]

    def cells(self) -> list[CellValue]:
        """One a row; None where missing."""
        names = [*self.names, None]  # −1, missing, is the last
        return [names[code] for code in self.codes.tolist()]


@dataclass(frozen=True)
class PackedTable:
    """So many rows, by column; None is a column without values."""

    rows: int
    columns: Sequence[tuple[str, NumberValues | CategoryValues | None]]

    def document(self) -> dict[str, list[CellValue]]:
        """The values of each column, as JSON has them."""
        return {name: [] if values is None else values.cells() for name, values in self.columns}


NOT_A_COLUMN = "is not a column of this model"


def column_advice(name: str, problem: str, known: Collection[str]) -> Callable[[], str] | None:
    """For a column that the model does not have: which of those left out was meant, or to leave it out."""
    return (lambda: did_you_mean(name, known, most=1) or "; leave it out") if problem is NOT_A_COLUMN else None


def table_violations(table: PackedTable, columns: TableColumns) -> list[Violation]:
    """What is wrong with a table, one problem a column."""
    seen: set[str] = set()
    given = {name for name, _ in table.columns}
    violations = []
    for name, values in table.columns:
        path = f"table.columns[{name}]"
        if name in seen:
            violations.append(Violation(path, "comes twice"))
        elif name in columns.ignored:
            pass
        elif name not in columns.by_name:
            advice = column_advice(name, NOT_A_COLUMN, columns.by_name.keys() - given)
            violations.append(Violation(path, NOT_A_COLUMN, advice))
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
        if name in columns.ignored:
            continue
        column = columns.by_name[name]
        if isinstance(values, NumberValues):
            rows[:, column.place] = _of_numbers(values, column)
        elif isinstance(values, CategoryValues):
            numbers = np.full(len(values.names) + 1, column.number_of(None))  # −1, missing, is the last
            for place in _used(values):
                numbers[place] = column.number_of(values.names[place])
            rows[:, column.place] = numbers[values.codes]
    return rows


def _of_numbers(values: NumberValues, column: Column) -> NDArray[np.float64]:
    if isinstance(column.cells, NumberCells):
        return values.values
    different, places = np.unique(values.values, return_inverse=True)  # all NaN are one value
    return np.array([column.number_of(None if np.isnan(one) else one) for one in different.tolist()])[places]


def _problems(column: Column, values: NumberValues | CategoryValues | None, rows: int) -> Iterator[tuple[str, str]]:
    """Where below the column's path something is wrong, and what."""
    if values is None:
        yield "", "has no values; set numbers or categories"
    elif isinstance(values, NumberValues):
        yield from _length_problems(".numbers.values", len(values.values), rows)
        for row in _suspects(values, column):
            if problem := column.problem(float(values.values[row])):
                yield f".numbers.values[{row}]", problem
    else:
        yield from _length_problems(".categories.codes", len(values.codes), rows)
        for row in np.flatnonzero((values.codes < _MISSING) | (values.codes >= len(values.names)))[:1]:
            yield (
                f".categories.codes[{row}]",
                f"is {values.codes[row]}; there are {len(values.names)} names, and −1 is missing",
            )
            return
        for place in _used(values):
            if problem := column.problem(values.names[place]):
                yield f".categories.names[{place}]", problem


def _used(values: CategoryValues) -> list[int]:
    """Places of the names that rows have: one that none has does no harm."""
    places: list[int] = np.unique(values.codes[values.codes != _MISSING]).tolist()
    return places


def _suspects(values: NumberValues, column: Column) -> Sequence[int]:
    """Rows whose number may have a problem: the first of each different number; NaN is missing, and has none."""
    if isinstance(column.cells, NumberCells):
        beyond: list[int] = np.flatnonzero(np.abs(values.values) > LARGEST_NUMBER)[:1].tolist()
        return beyond
    different, first = np.unique(values.values, return_index=True)
    return sorted(first[~np.isnan(different)].tolist())


def _length_problems(path: str, values: int, rows: int) -> Iterator[tuple[str, str]]:
    if values != rows:
        yield path, f"has {values:,} values; the table has {rows:,} rows"
