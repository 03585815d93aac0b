"""What a value given for a column means: a number, or the name of a category, or missing.

There is one reader for each type of column. Training reads the cells of its files with it, and a server the cells of
its requests, so that the same text is the same value in both.
"""

from collections.abc import Iterable
from math import inf, isfinite
from typing import Protocol

import numpy as np

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.date_notation import DateNotation, is_date
from explicate_bundle.cells.number_notation import PLAIN, NumberNotation
from explicate_bundle.model_inputs import CellValue

LARGEST_NUMBER = float(np.finfo(np.float32).max)
BOOLEAN_WORDS = {**dict.fromkeys(("true", "yes", "1"), "true"), **dict.fromkeys(("false", "no", "0"), "false")}
"""What the words of a boolean column mean, in lower case."""
SAY_MISSING = "give a missing cell (None in Python, null in JSON, Cell.missing in other languages)"

_CATEGORIES_NAMED = 8
_SHOWN_CHARACTERS = 40


class CellError(ValueError):
    """A value does not fit its column; the message follows the column's name."""


class TooLargeError(CellError):
    """A number is beyond what the graph's 32-bit inputs hold; a server refuses such rows."""


class CellReader(Protocol):
    """Reads the values of one column."""

    def read(self, value: CellValue) -> CellValue:
        """What the value means: of a number or date column a number, of another the name of a category, known or not.

        Raises:
            CellError: it does not fit the column.
        """


class _Words:
    """Words that mean a missing value."""

    def __init__(self, missing: Iterable[str]) -> None:
        self._missing = frozenset(missing) | {""}

    def text(self, written: str) -> str | None:
        """A text without spaces around it; None where it means a missing value."""
        text = written.strip()
        return None if text in self._missing else text


class NumberCells(_Words):
    """Numbers, and texts in the column's notation."""

    def __init__(self, notation: NumberNotation = PLAIN, missing: Iterable[str] = ()) -> None:
        super().__init__(missing)
        self._notation = notation

    def read(self, value: CellValue) -> float | None:
        """See CellReader."""
        if type(value) is float and -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            return value  # nearly every cell of a request
        number = self.number(value)
        if number is not None and (problem := number_problem(number)):
            raise TooLargeError(problem)
        return number

    def number(self, value: CellValue) -> float | None:
        """The number, however large, or None; raises CellError for a text that is none."""
        if isinstance(value, str):
            text = self.text(value)
            return None if text is None else self._parsed(text)
        return None if value is None else _double(value)

    def _parsed(self, text: str) -> float:
        number = self._notation.parse(text)
        if number is None:
            raise CellError(f"is {shown(text)}; this column takes numbers, such as {self._notation.example}")
        return number


class DateCells(_Words):
    """Dates as texts in the column's notation, as days since 1970-01-01, and as numbers such as 20201231."""

    def __init__(self, notation: DateNotation, missing: Iterable[str] = ()) -> None:
        super().__init__(missing)
        self._notation = notation

    def read(self, value: CellValue) -> float | None:
        """See CellReader."""
        return self.number(value)

    def number(self, value: CellValue) -> float | None:
        """The day, or None; raises CellError as `read` does."""
        if isinstance(value, str):
            text = self.text(value)
            return None if text is None else self._parsed(text)
        if value is None:
            return None
        days = _double(value)
        return days if is_date(days) else self._written_together(days)

    def _written_together(self, number: float) -> float:
        """The day of a number such as 20201231, which is more than all days up to the year 9999."""
        days = self._notation.parse(f"{number:.0f}") if isfinite(number) and number.is_integer() else None
        if days is None:
            raise TooLargeError(f"is {number:g}; a date's number is its days since 1970-01-01, from year 1 to 9999")
        return days

    def _parsed(self, text: str) -> float:
        days = self._notation.parse(text)
        if days is None:
            raise CellError(f"is {shown(text)}; this column takes dates, such as {self._notation.example}")
        return days


class CategoryCells(_Words):
    """Names of categories. A number, as a number or as text, is the one category that is that number.

    "1.0" and 1 are the category "1", and 1 is the category "1.0"; 1020 is not "01020", which is a code; and where
    "1.1" and "1.10" are two categories, 1.1 as a number is refused.
    """

    def __init__(self, categories: Iterable[str], missing: Iterable[str] = ()) -> None:
        super().__init__(missing)
        self._categories = tuple(categories)
        self._known = frozenset(self._categories)
        self._by_number: dict[float, list[str]] = {}
        for name in self._categories:
            if (number := PLAIN.parse(name)) is not None:
                self._by_number.setdefault(number, []).append(name)

    def read(self, value: CellValue) -> str | None:
        """See CellReader."""
        if value is None:
            return None
        if not isinstance(value, str):
            return self._of_number(value)
        if value in self._known:
            return value
        text = self.text(value)
        if text is None or text in self._known:
            return text
        number = PLAIN.parse(text) if self._by_number else None
        equal = [] if number is None else self._by_number.get(number, [])
        return equal[0] if len(equal) == 1 else text

    def _of_number(self, value: float) -> str:
        equal = self._by_number.get(value, [])
        if len(equal) > 1:
            raise CellError(f"is {value:g}; which of the categories {_listed(equal)} is it? Send the category's name")
        if not self._by_number:
            raise CellError(f"is a number; this column takes categories, {_listed(self._categories)}")
        return equal[0] if equal else f"{value:g}"  # one that was never seen is unknown, as its text would be


class BooleanCells(_Words):
    """True and false by their words; 1 and 0 are true and false."""

    def read(self, value: CellValue) -> str | None:
        """See CellReader."""
        if not isinstance(value, str):
            if value not in (None, 0, 1):
                raise CellError(f"is {value:g}; this column takes true and false")
            return None if value is None else ("true" if value else "false")
        text = self.text(value)
        return None if text is None else BOOLEAN_WORDS.get(text.lower(), text)


def number_reader(notation: NumberNotation | DateNotation, missing: Iterable[str]) -> NumberCells | DateCells:
    """The reader of a column whose values are numbers."""
    return NumberCells(notation, missing) if isinstance(notation, NumberNotation) else DateCells(notation, missing)


def cell_reader(column: bundle_pb2.ColumnSchema, missing_words: Iterable[str] = ()) -> CellReader:
    """The reader of a manifest's column; `missing_words` are those of the whole table."""
    missing = {*missing_words, *column.missing_words}
    if column.type == bundle_pb2.COLUMN_TYPE_NUMBER:
        return number_reader(NumberNotation.of(column.number_notation), missing)
    if column.type == bundle_pb2.COLUMN_TYPE_DATE:
        return number_reader(DateNotation.of(column.date_notation), missing)
    if column.type == bundle_pb2.COLUMN_TYPE_BOOLEAN:
        return BooleanCells(missing)
    return CategoryCells(column.categories, missing)


def number_problem(value: float) -> str | None:
    """What is wrong with a number, in words that follow its column; None when nothing is."""
    if value != value:
        return f"is NaN; where there is no value, {SAY_MISSING}"
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        return f"is {value:g}; the model reads numbers from {-LARGEST_NUMBER:.4g} to {LARGEST_NUMBER:.4g}"
    return None


def _double(value: float) -> float:
    """A number as a double; whole numbers of JSON may be beyond all doubles."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def shown(text: str) -> str:
    """A text in quotes, cut where it is long."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…")


def _listed(names: Iterable[str]) -> str:
    quoted = [shown(name) for name in names]
    return ", ".join([*quoted[:_CATEGORIES_NAMED], "…"] if len(quoted) > _CATEGORIES_NAMED else quoted)
