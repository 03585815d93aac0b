"""How a column writes its dates.

A date is a number of days since 1970-01-01; the time of the day is its fraction. Clock times are taken as they are
written: an offset from UTC is left away.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import floor, isfinite
from typing import ClassVar, cast

from explicate.v1 import bundle_pb2

YEAR_FIRST: int = bundle_pb2.DATE_ORDER_YEAR_FIRST
DAY_FIRST: int = bundle_pb2.DATE_ORDER_DAY_FIRST
MONTH_FIRST: int = bundle_pb2.DATE_ORDER_MONTH_FIRST
ORDERS = (YEAR_FIRST, DAY_FIRST, MONTH_FIRST)

_EXAMPLES = {YEAR_FIRST: "2020-12-31", DAY_FIRST: "31.12.2020", MONTH_FIRST: "12/31/2020"}
_EPOCH = date(1970, 1, 1).toordinal()
_DAY_S = 86_400
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_LONGEST_TEXT = 64
_CENTURY = 69  # POSIX: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068
_CLOCK = re.compile(
    r"(?P<date>.*?[0-9])(?:[T\s]\s*(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}(?:[.,][0-9]+)?))?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?:Z|UTC|[+-][0-9]{2}:?(?:[0-9]{2})?)?)?"
)
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_YEAR_MONTH = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})")
_THREE = re.compile(r"([0-9]{1,4}|[A-Za-z]{3,9})([-/. ]|\. |, ?)([0-9]{1,4}|[A-Za-z]{3,9})(\2|\. |, ?)([0-9]{1,4})")


@dataclass(frozen=True)
class DateNotation:
    """How a column writes dates, and whether the model reads the time of the day."""

    kind: ClassVar[str] = "date"

    order: int = YEAR_FIRST
    time: bool = False

    def parse(self, text: str) -> float | None:
        """Days since 1970-01-01 of a date, or None."""
        found = _CLOCK.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
        if found is None:
            return None
        parts, fraction = _parts(found["date"].strip(), self.order), _fraction(found)
        if parts is None or fraction is None:
            return None
        try:
            return date(*parts).toordinal() - _EPOCH + fraction
        except ValueError:  # no such day
            return None

    @property
    def example(self) -> str:
        """A date as the column writes it."""
        return _EXAMPLES[self.order] + (" 23:59" if self.time else "")

    def shown(self, number: float) -> str:
        """A date with the year first."""
        return date_text(number)

    def as_message(self) -> bundle_pb2.DateNotation:
        """As the manifest has it."""
        return bundle_pb2.DateNotation(order=cast(bundle_pb2.DateOrder.ValueType, self.order), time=self.time)

    @staticmethod
    def of(message: bundle_pb2.DateNotation) -> "DateNotation":
        """What the manifest says."""
        return DateNotation(message.order, message.time)

    def faults(self) -> Iterator[str]:
        """What is wrong with it, in words that follow a path."""
        if self.order not in ORDERS:
            yield f"order is {self.order}"


def _parts(text: str, order: int) -> tuple[int, int, int] | None:
    """Year, month and day of a date without a time."""
    if found := _COMPACT.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _YEAR_MONTH.fullmatch(text):
        return int(found[1]), int(found[2]), 1
    found = _THREE.fullmatch(text)
    if found is None:
        return None
    first, second, third = found[1], found[3], found[5]
    if first.isalpha() or second.isalpha():
        return _named(first, second, third)
    if len(first) == 4:
        year, month, day = first, second, third
    else:
        day, month = (first, second) if order == DAY_FIRST else (second, first)
        year = third if order != YEAR_FIRST else ""
    if len(year) not in (2, 4) or max(len(month), len(day)) > 2:
        return None
    return _year(year), int(month), int(day)


def _named(first: str, second: str, third: str) -> tuple[int, int, int] | None:
    """Of a date with the month's name in it: "5 Jan 2020", "Jan 5, 2020", "2020-Jan-05"."""
    if first.isalpha() == second.isalpha():
        return None
    name, other = (first, second) if first.isalpha() else (second, first)
    day, year = (third, other) if len(other) == 4 else (other, third)
    month = name[:3].lower()
    if month not in _MONTHS or len(year) not in (2, 4) or len(day) > 2:
        return None
    return _year(year), 1 + _MONTHS.index(month), int(day)


def _year(figures: str) -> int:
    year = int(figures)
    return year if len(figures) == 4 else year + (1900 if year >= _CENTURY else 2000)


def _fraction(found: re.Match[str]) -> float | None:
    """The part of the day that has gone by; None for a time that there is not."""
    if found["hour"] is None:
        return 0.0
    hour, minute, second = int(found["hour"]), int(found["minute"]), float((found["second"] or "0").replace(",", "."))
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"][0] in "pP" else 0)
    if hour > 23 or minute > 59 or second >= 60:
        return None
    return (3600 * hour + 60 * minute + second) / _DAY_S


def days_of(value: date) -> float:
    """Days since 1970-01-01 of a date, or of a date with a time."""
    days = value.toordinal() - _EPOCH
    if not isinstance(value, datetime):
        return float(days)
    return days + (3600 * value.hour + 60 * value.minute + value.second + value.microsecond / 1e6) / _DAY_S


def date_text(days: float) -> str:
    """A date as text that every notation reads: "2020-12-31", and to the second where it has a time."""
    whole = floor(days)
    when = datetime.fromordinal(whole + _EPOCH) + timedelta(seconds=round((days - whole) * _DAY_S))
    return f"{when:%Y-%m-%d}" if not (when.hour or when.minute or when.second) else f"{when:%Y-%m-%dT%H:%M:%S}"


def is_date(days: float) -> bool:
    """Whether a number is a day from year 1 to year 9999."""
    return isfinite(days) and 1 <= floor(days) + _EPOCH <= date.max.toordinal()
