"""The columns of a table: which place each has in a model row, and how its values become numbers.

A model row is float64[columns]: the number and date columns in the schema's order, NaN where missing, then the codes
of the other columns in theirs: 0 for a category that is not known, 1 for missing, 2 + k for the k-th category. Both
what the graph takes as float32 and what it takes as int64 are exact in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, TypeVar  # Any: JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import COLUMN_TYPE_DATE, COLUMN_TYPE_NUMBER, TabularSchema
from explicate_bundle.cells.cell_readers import LARGEST_NUMBER, CellError, CellReader, NumberCells, cell_reader
from explicate_bundle.model_inputs import CellValue, TabularInput

AnyCell = TypeVar("AnyCell")
UNKNOWN_CODE, MISSING_CODE, FIRST_CATEGORY_CODE = 0, 1, 2
NUMBERS_NAME, CODES_NAME = "numbers", "codes"
"""The graph's inputs."""
NUMERIC_TYPES = (COLUMN_TYPE_NUMBER, COLUMN_TYPE_DATE)
"""The types of columns whose values are numbers of a model row; those of all others are codes."""


@dataclass(frozen=True)
class TableRows:
    """Rows in the graph's form."""

    numbers: NDArray[np.float32]  # [rows, number and date columns], NaN where missing
    codes: NDArray[np.int64]  # [rows, other columns]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: "Sequence[int] | NDArray[np.intp]") -> "TableRows":
        return TableRows(self.numbers[rows], self.codes[rows])

    @staticmethod
    def concatenated(parts: "Sequence[TableRows]") -> "TableRows":
        """One after the other."""
        return TableRows(
            np.concatenate([part.numbers for part in parts]), np.concatenate([part.codes for part in parts])
        )

    def feeds(self) -> dict[str, NDArray[Any]]:
        """The graph's inputs; one without columns does not exist."""
        inputs: dict[str, NDArray[Any]] = {NUMBERS_NAME: self.numbers, CODES_NAME: self.codes}
        return {name: values for name, values in inputs.items() if values.shape[1]}


@dataclass(frozen=True)
class Column:
    """One column: its name, its place in a model row, its codes by category (None where values are numbers)."""

    name: str
    place: int
    codes: Mapping[str, int] | None
    cells: CellReader

    def number_of(self, value: CellValue) -> float:
        """The number in the model row for a value; raises CellError for one that has a :meth:`problem`."""
        read = self.cells.read(value)
        if self.codes is None:
            return float("nan") if read is None else float(read)
        return MISSING_CODE if read is None else self.codes.get(str(read), UNKNOWN_CODE)

    def numbers_of(self, values: Sequence[CellValue]) -> NDArray[np.float64] | None:
        """What :meth:`number_of` gives for each value, float64[values]; None when one has a :meth:`problem`."""
        if isinstance(self.cells, NumberCells) and set(map(type, values)) <= {NoneType, float}:
            numbers = np.array(values, dtype=np.float64)  # None becomes NaN
            too_many_nan = np.count_nonzero(np.isnan(numbers)) > values.count(None)
            return None if too_many_nan or (np.abs(numbers) > LARGEST_NUMBER).any() else numbers
        found: dict[CellValue, float] = {}
        found.update((self.codes or {}).items())
        try:
            for value in set(values) - found.keys():  # values repeat
                found[value] = self.number_of(value)
        except CellError:
            return None
        return np.array([found[value] for value in values], dtype=np.float64)

    def value_of(self, number: float) -> CellValue:
        """A value that becomes the number."""
        if self.codes is None:
            return None if np.isnan(number) else float(number)
        names: list[str | None] = [self._unknown_name, None, *self.codes]
        return names[int(number)]

    def problem(self, value: CellValue) -> str | None:
        """What is wrong with a value, in a sentence; None when nothing is."""
        try:
            self.cells.read(value)
        except CellError as error:
            return str(error)
        return None

    @property
    def _unknown_name(self) -> str:
        return "?" * (1 + max(map(len, self.codes or ()), default=0))


class TableColumns:
    """All columns of a schema.

    Attributes:
        all: in the schema's order.
        by_name: the same by name.
        category_counts: how many categories each of the other columns has.
        numbers: how many columns of numbers and dates there are; a model row begins with them.
        players: names of columns and groups in the order of their first column.
        owners: intp[columns], the player that each place of a model row belongs to.
        ignored: names of forbidden columns, which rows may have besides and the model does not read.
    """

    def __init__(self, schema: TabularSchema) -> None:
        is_number = np.array([column.type in NUMERIC_TYPES for column in schema.columns], dtype=np.bool_)
        places = np.argsort(np.argsort(~is_number, kind="stable"))
        self.all = tuple(
            Column(
                column.name,
                int(place),
                None if number else category_codes(column.categories),
                cell_reader(column, schema.missing_words),
            )
            for column, place, number in zip(schema.columns, places, is_number, strict=True)
        )
        self._by_place = sorted(self.all, key=lambda column: column.place)
        self.by_name = {column.name: column for column in self.all}
        self.numbers = int(is_number.sum())
        self.category_counts = tuple(len(column.codes) for column in self.all if column.codes is not None)
        members: dict[tuple[str, str], list[Column]] = {}
        for column, described in zip(self.all, schema.columns, strict=True):
            key = ("group", described.group) if described.group else ("column", column.name)
            members.setdefault(key, []).append(column)
        self.players = tuple((name, tuple(columns)) for (_, name), columns in members.items())
        self.owners = np.zeros(len(self.all), dtype=np.intp)
        for player, (_, columns) in enumerate(self.players):
            self.owners[[column.place for column in columns]] = player
        self.ignored = tuple(column.name for column in schema.left_out if column.forbidden)

    def read(self, cells: Mapping[str, AnyCell]) -> Mapping[str, AnyCell]:
        """Cells of a row without those of ignored columns."""
        return {name: cell for name, cell in cells.items() if name not in self.ignored} if self.ignored else cells

    def row_if_right(self, cells: Mapping[str, CellValue]) -> NDArray[np.float64] | None:
        """What :meth:`row_of` gives; None when the row or a value has a problem."""
        if self.read(cells).keys() != self.by_name.keys():
            return None
        try:
            return self.row_of(cells)
        except CellError:
            return None

    def row_of(self, cells: Mapping[str, CellValue]) -> NDArray[np.float64]:
        """The model row float64[columns] of cells that have no problem; raises CellError for others."""
        return np.array([column.number_of(cells[column.name]) for column in self._by_place])

    def rows_of(self, rows: Sequence[Mapping[str, CellValue]]) -> NDArray[np.float64] | None:
        """Model rows float64[rows, columns], a column at a time; None when a row or a value has a problem."""
        names = self.by_name.keys()
        if any(self.read(cells).keys() != names for cells in rows):
            return None
        values = np.empty((len(rows), len(self.all)))
        for column in self.all:
            numbers = column.numbers_of([cells[column.name] for cells in rows])
            if numbers is None:
                return None
            values[:, column.place] = numbers
        return values

    def encoded(self, rows: Sequence[Mapping[str, Any]]) -> TableRows:
        """Rows of a file: a number, a text, true or false, or None where missing, by column.

        Raises:
            CellError: a row lacks a column or has another one, or a cell is not of its column's type.
            TooLargeError: a number is too large.
        """
        values = np.stack([self._row_of_file(row) for row in rows])
        return TableRows(values[:, : self.numbers].astype(np.float32), values[:, self.numbers :].astype(np.int64))

    def _row_of_file(self, row: Mapping[str, Any]) -> NDArray[np.float64]:
        if wrong := sorted(self.by_name.keys() ^ self.read(row).keys()):
            raise CellError(
                f"the column {wrong[0]!r} is {'missing' if wrong[0] in self.by_name else 'not in the schema'}"
            )
        values = np.empty(len(self.all))
        for column in self.all:
            cell = row[column.name]
            try:
                values[column.place] = column.number_of(("false", "true")[cell] if isinstance(cell, bool) else cell)
            except CellError as error:
                raise type(error)(f"{column.name!r} {error}") from None
        return values

    def inputs_of(self, rows: TableRows) -> tuple[TabularInput, ...]:
        """Inputs whose cells make these rows."""
        return tuple(
            TabularInput(self.cells_of(numbers, codes)) for numbers, codes in zip(rows.numbers, rows.codes, strict=True)
        )

    def cells_of(self, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> dict[str, CellValue]:
        """Cells that make the graph's inputs float32[number columns] and int64[other columns] of one row."""
        row = [*numbers.tolist(), *codes.tolist()]
        return {column.name: column.value_of(row[column.place]) for column in self.all}

    def known(self, rows: NDArray[np.float64]) -> list[bool]:
        """Whether all categories are known in each of float64[rows, columns]."""
        every: list[bool] = (rows[:, self.numbers :] != UNKNOWN_CODE).all(axis=1).tolist()
        return every

    def unknown(self, rows: NDArray[np.float64]) -> list[str]:
        """Columns with a category that is not known in any of float64[rows, columns], in the schema's order."""
        is_unknown = rows[:, self.numbers :] == UNKNOWN_CODE
        if not is_unknown.any():
            return []
        places = np.flatnonzero(is_unknown.any(axis=0)) + self.numbers
        unknown = set(places.tolist())
        return [column.name for column in self.all if column.place in unknown]

    def fits(self, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> bool:
        """Whether float32[rows, …] and int64[rows, …] are rows of these columns, with no infinity and no other code."""
        if numbers.shape != (len(codes), self.numbers) or codes.shape != (len(codes), len(self.all) - self.numbers):
            return False
        categories = np.array(self.category_counts, dtype=np.int64)
        known = (codes >= 0).all() and (codes < FIRST_CATEGORY_CODE + categories).all()
        return bool(known and not np.isinf(numbers).any())


def category_codes(categories: Sequence[str]) -> dict[str, int]:
    """The code of each category."""
    return {name: FIRST_CATEGORY_CODE + index for index, name in enumerate(categories)}
