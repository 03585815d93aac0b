"""What the columns of a row may become: what a caller allows, checked, and the single changes that follow from it.

A column that nobody speaks of takes the values that the bundle's background rows have in it, no missing one. How far a
value is from the row's own is told in standard deviations of the background rows; another category, and a missing value
in the place of a value, are 1 away.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.cells.cell_readers import CellError, DateCells
from explicate_bundle.cells.date_notation import date_text
from explicate_bundle.columns import FIRST_CATEGORY_CODE, UNKNOWN_CODE, Column, TableColumns
from explicate_bundle.model_inputs import CellValue
from explicate_server.errors import Violation
from explicate_server.explain.changes.flip_moves import Moves
from explicate_server.explain.game import Asked
from explicate_server.modalities.rows.packed_table import NOT_A_COLUMN, column_advice
from explicate_server.runtime.queue import BUCKET_TOKENS, Row

_Floats = NDArray[np.float64]
# Values that a caller may name, and that a search chooses from unless there are more columns.
MOST_VALUES = 2048
MOST_STEPS = 1000
# Background values of a column: from the least to the largest by even steps of their order.
_OF_BACKGROUND = 24


@dataclass(frozen=True)
class Kept:
    """A column keeps its value."""


@dataclass(frozen=True)
class ValueRange:
    """Numbers or dates from ``low`` to ``high``, with a step or, without one, those of the background and both ends."""

    low: CellValue
    high: CellValue
    step: float | None = None

    @property
    def document(self) -> dict[str, CellValue]:
        """As JSON has it."""
        return {"low": self.low, "high": self.high, "step": self.step}


@dataclass(frozen=True)
class Listed:
    """These values."""

    values: Sequence[CellValue]

    @property
    def document(self) -> list[CellValue]:
        """As JSON has it."""
        return list(self.values)


Alternatives = Kept | ValueRange | Listed


@dataclass(frozen=True)
class CellMove:
    """One column with another value, as a cell and as a number of the model row."""

    column: Column
    value: CellValue
    number: float
    distance: float


class CellMoves:
    """A row and what its cells may become; a set of moves bool[moves] is one row of the model."""

    weights: _Floats = np.ones(1)

    def __init__(self, row: _Floats, cells: Sequence[CellMove], expected: _Floats) -> None:
        """``row`` float64[columns]; ``cells`` column by column, ``expected`` float64[cells] as `Moves` has it."""
        self.cells = cells
        self._row = row
        self._places = np.array([one.column.place for one in cells], dtype=np.intp)
        self._numbers = np.array([one.number for one in cells], dtype=np.float64)
        order = {place: player for player, place in enumerate(dict.fromkeys(self._places.tolist()))}
        players = np.array([order[place] for place in self._places.tolist()], dtype=np.intp)
        distances = np.array([one.distance for one in cells], dtype=np.float64)
        self.moves = Moves(players=players, distances=distances, expected=expected)

    @property
    def key(self) -> tuple[bytes, bytes, bytes]:
        """What a set of moves means."""
        return self._row.tobytes(), self._places.tobytes(), self._numbers.tobytes()

    def asked(self, sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Sets of moves themselves."""
        return sets

    def rows(self, coalitions: Asked) -> list[Row]:
        """A model row for each set of moves, bool[m, moves]."""
        values = np.repeat(self._row[np.newaxis], len(coalitions), axis=0)
        changed, moves = np.nonzero(coalitions)
        values[changed, self._places[moves]] = self._numbers[moves]
        return [Row(BUCKET_TOKENS, one[np.newaxis]) for one in values]


class CellAlternatives:
    """The columns of a bundle, and what its background rows have in them."""

    def __init__(self, columns: TableColumns, background: _Floats, weights: _Floats) -> None:
        """Take background rows float64[b, columns] and weights float64[b], which sum to 1."""
        self._columns = columns
        self._background = background
        self._weights = weights

    def free(self, allowed: Mapping[str, Alternatives], *, keep_others: bool) -> list[Column]:
        """The columns that may change, in the schema's order."""
        others: Alternatives | None = Kept() if keep_others else None
        every = self._columns.all
        return [column for column in every if not isinstance(allowed.get(column.name, others), Kept)]

    def violations(self, allowed: Mapping[str, Alternatives], *, keep_others: bool, path: str) -> list[Violation]:
        """What is wrong with what is allowed of columns, which are at ``path`` of the request."""
        known = self._columns.by_name
        violations = []
        for name, alternatives in allowed.items():
            if name not in known:
                advice = column_advice(name, NOT_A_COLUMN, known.keys())
                violations.append(Violation(f"{path}.columns[{name}]", NOT_A_COLUMN, advice))
            else:
                found = _problems(known[name], alternatives)
                violations += [Violation(f"{path}.columns[{name}]{part}", problem) for part, problem in found]
        if not violations and not self.free(allowed, keep_others=keep_others):
            violations.append(Violation(f"{path}.columns", "leave no column that may change"))
        if not violations and (given := self._given(allowed)) > MOST_VALUES:
            violations.append(Violation(f"{path}.columns", f"have {given:,} values; at most {MOST_VALUES:,} are tried"))
        return violations

    def moves(
        self,
        row: _Floats,
        allowed: Mapping[str, Alternatives],
        *,
        keep_others: bool,
        expected: Mapping[str, float],
    ) -> CellMoves:
        """What may be done to a model row float64[columns]; ``expected`` is what each column may take from a margin."""
        free = self.free(allowed, keep_others=keep_others)
        unnamed = sum(column.name not in allowed for column in free)
        each = max(1, min(_OF_BACKGROUND, (MOST_VALUES - self._given(allowed)) // max(1, unnamed)))
        cells = [move for column in free for move in self._of_column(column, row, allowed.get(column.name), each)]
        return CellMoves(row, cells, np.array([expected.get(one.column.name, 0.0) for one in cells]))

    def _given(self, allowed: Mapping[str, Alternatives]) -> int:
        """How many values a caller has named, those of ranges too."""
        named = [(name, one) for name, one in allowed.items() if not isinstance(one, Kept)]
        return sum(len(self._numbers(self._columns.by_name[name], one, 0)) for name, one in named)

    def _of_column(
        self, column: Column, row: _Floats, alternatives: Alternatives | None, most: int
    ) -> Iterator[CellMove]:
        """Its values, the nearest first, without the one that the row has."""
        own, deviation = row[column.place], self._deviation(column)
        found: dict[str, CellMove] = {}  # by its digits: nan is nan
        for number in self._numbers(column, alternatives, most):
            same = np.float32(number) == np.float32(own) or (np.isnan(number) and np.isnan(own))
            if not same:
                distance = abs(number - own) / deviation if column.codes is None else 1.0
                distance = 1.0 if np.isnan(distance) else distance
                found[repr(number)] = CellMove(column, cell_of(column, number), number, max(distance, 1e-9))
        return iter(sorted(found.values(), key=lambda move: move.distance))

    def _numbers(self, column: Column, alternatives: Alternatives | None, most: int) -> list[float]:
        """The values of a column as numbers of a model row."""
        if isinstance(alternatives, Listed):
            return [column.number_of(value) for value in alternatives.values]
        if not isinstance(alternatives, ValueRange):
            return _thinned(self._of_background(column), most)
        low, high = column.number_of(alternatives.low), column.number_of(alternatives.high)
        if alternatives.step is not None:
            return [_rounded(low + index * alternatives.step) for index in range(_steps(low, high, alternatives.step))]
        between = [number for number in self._of_background(column) if low < number < high]
        return [low, *_thinned(between, _OF_BACKGROUND), high]

    def _of_background(self, column: Column) -> list[float]:
        """What the background rows have, in ascending order; numbers with as few digits as their 32 bits need."""
        values = np.unique(self._background[self._weights > 0, column.place])
        if column.codes is not None:
            return [float(code) for code in values if code >= FIRST_CATEGORY_CODE]
        return [float(str(np.float32(value))) for value in values if not np.isnan(value)]

    def _deviation(self, column: Column) -> float:
        """The standard deviation of a column of numbers in the background rows; 1 where they do not differ."""
        values = self._background[:, column.place]
        known = ~np.isnan(values)
        weights = self._weights[known]
        if not weights.sum() > 0:
            return 1.0
        mean = np.average(values[known], weights=weights)
        return float(np.sqrt(np.average((values[known] - mean) ** 2, weights=weights))) or 1.0


def cell_of(column: Column, number: float) -> CellValue:
    """A value that becomes the number; of a date one with the year first, where the column reads it so."""
    if isinstance(column.cells, DateCells) and not np.isnan(number):
        try:
            if column.cells.read(text := date_text(number)) == number:
                return text
        except (CellError, ValueError, OverflowError):
            pass
    return column.value_of(number)


def _thinned(values: Sequence[float], most: int) -> list[float]:
    if len(values) <= most:
        return list(values)
    places = np.unique(np.linspace(0, len(values) - 1, max(most, 0)).round().astype(np.intp))
    return [values[place] for place in places]


def _rounded(number: float) -> float:
    """Without what adding steps leaves behind: 0.30000000000000004."""
    return float(f"{number:.12g}")


def _steps(low: float, high: float, step: float) -> int:
    return int((high - low) / step + 1e-9) + 1


def _problems(column: Column, alternatives: Alternatives) -> Iterator[tuple[str, str]]:
    """What is wrong with what a column may become: where below its path, and what."""
    if isinstance(alternatives, Listed):
        if not alternatives.values:
            yield ".values", "has no value; list at least one, or keep the column"
        yield from islice(_listed_problems(column, alternatives.values), 1)
    elif isinstance(alternatives, ValueRange):
        yield from islice(_range_problems(column, alternatives), 1)


def _listed_problems(column: Column, values: Sequence[CellValue]) -> Iterator[tuple[str, str]]:
    for place, value in enumerate(values):
        if problem := column.problem(value):
            yield f".values[{place}]", problem
        elif column.codes is not None and column.number_of(value) == UNKNOWN_CODE:
            known = ", ".join(map(repr, islice(column.codes, 20)))
            yield f".values[{place}]", f"is {value!r}, a category that the model does not know; it knows {known}"


def _range_problems(column: Column, given: ValueRange) -> Iterator[tuple[str, str]]:
    if column.codes is not None:
        yield ".range", "is for numbers and dates; this column takes categories: list them"
        return
    for end, value in (("low", given.low), ("high", given.high)):
        if problem := column.problem(value):
            yield f".range.{end}", problem
        elif np.isnan(column.number_of(value)):
            yield f".range.{end}", "is missing; a range has two ends"
        else:
            continue
        return
    low, high = column.number_of(given.low), column.number_of(given.high)
    if low > high:
        yield ".range", f"is empty: its low end, {given.low}, is above its high end, {given.high}"
    elif given.step is not None and not 0 < given.step < float("inf"):
        yield ".range.step", f"is {given.step:g}; it must be above 0"
    elif given.step is not None and _steps(low, high, given.step) > MOST_STEPS + 1:
        yield ".range.step", f"is {given.step:g}, which cuts the range into more than {MOST_STEPS:,} steps"
