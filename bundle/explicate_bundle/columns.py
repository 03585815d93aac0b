"""The columns of a table: where each stands in a model row, and how its values become numbers.

A model row is float64[columns]: the number columns in the schema's order, NaN where missing, then the codes of the
other columns in theirs: 0 for a category that is not known, 1 for missing, 2 + k for the k-th category. Both what the
graph takes as float32 and what it takes as int64 are exact in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import COLUMN_TYPE_NUMBER, TabularSchema
from explicate_server.modalities.modality import CellValue

UNKNOWN_CODE, MISSING_CODE, FIRST_CODE = 0, 1, 2
LARGEST_NUMBER = float(np.finfo(np.float32).max)
_CATEGORIES_NAMED = 8


@dataclass(frozen=True)
class Column:
    """One column: its name, its place in a model row, and its codes by category; None for a number column."""

    name: str
    place: int
    codes: Mapping[str, int] | None

    def number_of(self, value: CellValue) -> float:
        """What stands in the model row for a value without a :meth:`problem`."""
        if self.codes is None:
            return float("nan") if value is None else float(value)
        return MISSING_CODE if value is None else self.codes.get(str(value), UNKNOWN_CODE)

    def numbers_of(self, values: Sequence[CellValue]) -> NDArray[np.float64] | None:
        """What :meth:`number_of` gives for each value, float64[values]; None when one has a :meth:`problem`."""
        if not set(map(type, values)) <= {NoneType, float if self.codes is None else str}:
            return None
        if self.codes is not None:
            codes: dict[CellValue, int] = {None: MISSING_CODE}
            codes.update(self.codes.items())
            return np.array([codes.get(value, UNKNOWN_CODE) for value in values], dtype=np.float64)
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        too_many_nan = np.count_nonzero(np.isnan(numbers)) > values.count(None)
        return None if too_many_nan or (np.abs(numbers) > LARGEST_NUMBER).any() else numbers

    def value_of(self, number: float) -> CellValue:
        """A value that the number stands for."""
        if self.codes is None:
            return None if np.isnan(number) else float(number)
        names: list[str | None] = [self._unknown_name, None, *self.codes]
        return names[int(number)]

    def problem(self, value: CellValue) -> str | None:
        """What is wrong with a value, in a sentence; None when nothing is."""
        if value is None:
            return None
        if self.codes is None:
            return "is a category; this column takes numbers" if isinstance(value, str) else number_problem(value)
        return None if isinstance(value, str) else f"is a number; this column takes categories, {self._some_categories}"

    @property
    def _unknown_name(self) -> str:
        return "?" * (1 + max(map(len, self.codes or ()), default=0))

    @property
    def _some_categories(self) -> str:
        names = [repr(name) for name in self.codes or ()]
        return ", ".join([*names[:_CATEGORIES_NAMED], "…"] if len(names) > _CATEGORIES_NAMED else names)


class TableColumns:
    """All columns of a schema.

    Attributes:
        all: in the schema's order.
        by_name: the same by name.
        numbers: how many number columns there are; a model row begins with them.
        players: names of columns and groups in the order of their first column.
        owners: intp[columns], the player that each place of a model row belongs to.
    """

    def __init__(self, schema: TabularSchema) -> None:
        is_number = np.array([column.type == COLUMN_TYPE_NUMBER for column in schema.columns], dtype=np.bool_)
        places = np.argsort(np.argsort(~is_number, kind="stable"))
        self.all = tuple(
            Column(column.name, int(place), None if number else _codes(column.categories))
            for column, place, number in zip(schema.columns, places, is_number, strict=True)
        )
        self.by_name = {column.name: column for column in self.all}
        self.numbers = int(is_number.sum())
        members: dict[tuple[str, str], list[Column]] = {}
        for column, described in zip(self.all, schema.columns, strict=True):
            key = ("group", described.group) if described.group else ("column", column.name)
            members.setdefault(key, []).append(column)
        self.players = tuple((name, tuple(columns)) for (_, name), columns in members.items())
        self.owners = np.zeros(len(self.all), dtype=np.intp)
        for player, (_, columns) in enumerate(self.players):
            self.owners[[column.place for column in columns]] = player

    def row_of(self, cells: Mapping[str, CellValue]) -> NDArray[np.float64]:
        """The model row float64[columns] of cells that have no problem."""
        row = [0.0] * len(self.all)
        for column in self.all:
            row[column.place] = column.number_of(cells[column.name])
        return np.array(row)

    def rows_of(self, rows: Sequence[Mapping[str, CellValue]]) -> NDArray[np.float64] | None:
        """Model rows float64[rows, columns], a column at a time; None when a row or a value has a problem."""
        names = self.by_name.keys()
        if any(cells.keys() != names for cells in rows):
            return None
        values = np.empty((len(rows), len(self.all)))
        for column in self.all:
            numbers = column.numbers_of([cells[column.name] for cells in rows])
            if numbers is None:
                return None
            values[:, column.place] = numbers
        return values

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
        places = np.flatnonzero((rows[:, self.numbers :] == UNKNOWN_CODE).any(axis=0)) + self.numbers
        unknown = set(places.tolist())
        return [column.name for column in self.all if column.place in unknown] if unknown else []

    def fits(self, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> bool:
        """Whether float32[rows, …] and int64[rows, …] are rows of these columns, with no infinity and no other code."""
        if numbers.shape != (len(codes), self.numbers) or codes.shape != (len(codes), len(self.all) - self.numbers):
            return False
        categories = [len(column.codes) for column in self.all if column.codes is not None]
        known = (codes >= 0).all() and (codes < FIRST_CODE + np.array(categories, dtype=np.int64)).all()
        return bool(known and not np.isinf(numbers).any())


def number_problem(value: float) -> str | None:
    """What is wrong with a number, in a sentence; None when nothing is."""
    if value != value:
        return "is NaN; say that a value is missing with missing = true"
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        return f"is {value:g}; the model reads numbers from {-LARGEST_NUMBER:.4g} to {LARGEST_NUMBER:.4g}"
    return None


def _codes(categories: Sequence[str]) -> dict[str, int]:
    return {name: FIRST_CODE + index for index, name in enumerate(categories)}
