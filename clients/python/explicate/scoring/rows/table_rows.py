"""Rows of tables, from Arrow columns to what the model's columns take.

Values are looked at once for each different one of a batch, not for each row, so texts cost little more than numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from explicate.errors import InvalidArgument
from explicate.inputs import CellValue, GivenValue, Input
from explicate.model_info import Column
from explicate.reading.cells import cell_value
from explicate.scoring.interfaces import Refusal
from explicate.scoring.rows.texts import refused

_NUMBERS = ("number", "date")
_PLAIN_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class _Values:
    """A column of some rows: their values in `codes`, or which of the `different` ones each has; null is none."""

    codes: pa.Array
    different: Sequence[CellValue] | None = None

    def at(self, place: int) -> CellValue:
        held: Any = self.codes[place].as_py()  # Any: a value itself, or the place of one
        value: CellValue = held if self.different is None or held is None else self.different[held]
        return value

    def some(self, places: Sequence[int]) -> list[CellValue]:
        whole = len(places) == len(self.codes)
        held: list[Any] = (self.codes if whole else self.codes.take(pa.array(places, pa.int64()))).to_pylist()
        if self.different is None:
            return held
        return [None if code is None else self.different[code] for code in held]


@dataclass(frozen=True)
class TableRows:
    """Rows: for every column of the model its values."""

    values: Mapping[str, _Values]
    rows: int

    @staticmethod
    def unfit(kind: pa.DataType, wanted: str) -> str:
        """Why a column of files that holds this cannot be one that a model wants, by its type; empty if it can."""
        if pa.types.is_nested(kind):
            return "single values are wanted"
        if pa.types.is_null(kind) or pa.types.is_string(kind) or _is_number(kind):
            return ""
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            return "numbers are wanted" if wanted == "number" else ""
        if pa.types.is_boolean(kind):
            return f"{wanted}s are wanted" if wanted in _NUMBERS else ""
        return "numbers, texts, dates or truth values are wanted"

    @staticmethod
    def of(columns: Sequence[tuple[Column, pa.Array, bool]], rows: int) -> tuple[TableRows, dict[int, Refusal]]:
        """The rows of columns, each with what the files have for it and whether that is JSON; and those refused."""
        values: dict[str, _Values] = {}
        problems: dict[int, Refusal] = {}
        for column, array, is_json in columns:
            values[column.name], own = _read(array, column, is_json=is_json)
            for place, message in own.items():
                problems.setdefault(place, refused(column.name, message))
        return TableRows(values, rows), problems

    def __len__(self) -> int:
        return self.rows

    def value(self, place: int) -> Input:
        """One row."""
        return {name: column.at(place) for name, column in self.values.items()}

    def columns(self, places: Sequence[int]) -> Mapping[str, Iterable[GivenValue]] | None:
        """Some rows, by column."""
        return {name: column.some(places) for name, column in self.values.items()}


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _read(array: pa.Array, column: Column, *, is_json: bool) -> tuple[_Values, dict[int, str]]:
    if column.type in _NUMBERS and (_is_number(array.type) or (not is_json and _has_plain_numbers(array, column))):
        numbers = array.cast(pa.float64(), safe=False)
        infinite = pc.indices_nonzero(pc.fill_null(pc.is_inf(numbers), fill_value=False)).to_pylist()
        return _Values(numbers), dict.fromkeys(infinite, f"column {column.name}: an infinite number")
    encoded = _plain_times(array).dictionary_encode()
    read, problems = _converted(encoded.dictionary.to_pylist(), column, is_json=is_json)
    if not problems:
        return _Values(encoded.indices, read), {}
    wrong = pc.is_in(encoded.indices, pa.array(list(problems), encoded.indices.type), skip_nulls=True)
    places = pc.indices_nonzero(wrong).to_pylist()
    return _Values(encoded.indices, read), {place: problems[encoded.indices[place].as_py()] for place in places}


def _has_plain_numbers(array: pa.Array, column: Column) -> bool:
    """Whether all texts are numbers as programs write them, so that they need not be looked at one by one."""
    if column.written or not pa.types.is_string(array.type):
        return False
    plain = pc.all(pc.match_substring_regex(array, _PLAIN_NUMBER), skip_nulls=True, min_count=0)
    return bool(plain.as_py())


def _plain_times(array: pa.Array) -> pa.Array:
    """Moments as clock times, as the model's dates are, and no finer than Python's."""
    if not pa.types.is_timestamp(array.type):
        return array.cast(pa.float64()) if pa.types.is_float16(array.type) else array
    local = pc.local_timestamp(array) if array.type.tz else array
    return local.cast(pa.timestamp("us"), safe=False)


def _converted(different: list[object], column: Column, *, is_json: bool) -> tuple[list[CellValue], dict[int, str]]:
    """The value for the column of each different one, and what is wrong with some, by their places."""
    read: list[CellValue] = []
    problems = {}
    for place, written in enumerate(different):
        held = json.loads(written) if is_json and isinstance(written, str) else written
        try:
            read.append(cell_value(_as_text(held, column), column))
        except InvalidArgument as error:
            read.append(None)
            problems[place] = error.violations[0][1]
    if column.type in _NUMBERS and any(isinstance(value, str) for value in read):
        read = [value if value is None else str(value) for value in read]  # a packed column is of one kind
    return read, problems


def _as_text(value: object, column: Column) -> object:
    """What `cell_value` takes: a number as the name that a category has, a date as text."""
    if isinstance(value, date):
        return value.isoformat()
    if column.type in _NUMBERS:
        return float(value) if isinstance(value, Decimal) else value
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        names = [str(int(value)) if value == value // 1 else str(value), str(value)]
        return next((name for name in names if name in column.categories), names[0])
    return value
