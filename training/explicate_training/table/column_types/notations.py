"""Finds how a column writes its numbers or dates, from the column as a whole.

A notation is taken only if it reads every cell of the column but marks that mean missing, such as "-". Where several
do and give other values, the rule is:

- "." alone before three figures is a decimal point, "," alone before three figures stands between thousands;
- figures with "/" between them are month/day/year, with "." or "-" day-month-year;
- but if other columns of the table are clear and all say otherwise, they decide.

What was taken then is said, with the words for the config that say otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any  # Any: cells as they were read

from explicate_bundle.cells.date_notation import (
    DAY_FIRST,
    MONTH_FIRST,
    ORDERS,
    YEAR_FIRST,
    DateNotation,
    date_text,
    days_of,
)
from explicate_bundle.cells.number_notation import PLAIN, NumberNotation, same_unit, split_number

_DASHES = ("-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*")
_ERRORS = ("#div/0!", "#value!", "#ref!", "#num!", "#null!", "0000-00-00")
MISSING_MARKS = frozenset((*_DASHES, *_ERRORS, "na", "n/a", "n.a.", "#n/a", "#na", "nan", "none", "null", "nil"))
"""What means missing among numbers and dates, in lower case."""

_MARKS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
_NUMBER_NOTATIONS = tuple(NumberNotation(decimal, thousands) for decimal, thousands in _MARKS)
"""In the order in which they are taken."""
_COMPACT_YEARS = (1900, 2100)  # of dates such as 20201231, which might be numbers
_COMPACT = 8  # figures
_FEWEST_COMPACT = 20  # different ones

Notation = NumberNotation | DateNotation


@dataclass(frozen=True)
class Reading:
    """How a column is read."""

    notation: Notation
    marks: tuple[str, ...]  # cells that mean missing, as they are written
    example: str  # a cell, one that can be read in other ways if there is one
    others: tuple[Notation, ...] = ()  # that read all cells too, as other values
    decisive: bool = False  # whether its cells have what notations differ in

    def said(self) -> str:
        """How the column is written, in words."""
        value = self.notation.parse(self.example)
        meant = "" if value is None else self.notation.shown(value)
        said = "numbers"
        if self.notation != PLAIN:
            same = meant in ("", self.example)
            said = f"{self.notation.kind}s, written like {self.notation.example}"
            said += "" if same else f": {self.example!r} is {meant}"
        return said + (f"; {', '.join(map(repr, self.marks))} means missing" if self.marks else "")

    def doubt(self, name: str) -> str:
        """What else a cell might mean, and the words for the config that say so."""
        other = self.others[0]
        taken, meant = (one.shown(one.parse(self.example) or 0) for one in (self.notation, other))
        return (
            f"{name}: {self.example!r} is read as {taken}; if it means {meant}, set "
            f'data.columns.{name} = "{other.kind} {other.example}"'
        )


def reading_of(known: Sequence[Any], wanted: object, example: str) -> Reading | None:
    """How cells without missing ones are read, as numbers or dates; None if they are something else.

    `wanted`: the type that the config declares, None for none; `example`: how that is written, "" for as it is found.
    Raises ValueError for an example that is not clear.
    """
    if example:
        return _declared_reading(known, str(wanted), example)
    reading = compact_dates(known) if wanted in (None, "date") else None
    if reading is None and wanted in (None, "number"):
        reading = number_reading(known)
    if reading is None and wanted in (None, "date"):
        reading = date_reading(known)
    return reading


def number_reading(cells: Sequence[Any], *, marks: bool = True) -> Reading | None:
    """How cells without missing ones write numbers; None if they are not all numbers."""
    texts = _texts(cells, (int, float, Decimal))
    if texts is None:
        return None
    missing, written = _without_marks(texts) if marks else ((), texts)
    parts = {text: split_number(text) for text in written}
    if any(part is None for part in parts.values()) or not (written or len(texts) < len(cells)):
        return None
    figures = {text: part for text, part in parts.items() if part is not None}
    units = [part.unit for part in figures.values() if part.unit]
    if any(not same_unit(unit, units[0]) for unit in units):
        return None
    marked = {mark for part in figures.values() for mark in part.digits if not mark.isdecimal()}
    bare = [
        one
        for one in _NUMBER_NOTATIONS
        if (not one.thousands or one.thousands in marked)
        and all(one.number_of(part) is not None for part in figures.values())
    ]
    if not bare:
        return None
    unit, parentheses = units[0] if units else "", any(part.parentheses for part in figures.values())
    decisive = not marked.isdisjoint((".", ","))
    return _reading(
        [replace(one, unit=unit, parentheses=parentheses) for one in bare], written, missing, decisive=decisive
    )


def date_reading(cells: Sequence[Any]) -> Reading | None:
    """How cells without missing ones write dates; None if they are not all dates."""
    texts = _texts([cell for cell in cells if not isinstance(cell, date)], ())
    if texts is None:
        return None
    missing, written = _without_marks(texts)
    native = [cell for cell in cells if isinstance(cell, date)]
    if not (written or native) or any(text.isdigit() for text in written):
        return None
    slashed = any("/" in text for text in written)
    preferred = (YEAR_FIRST, *((MONTH_FIRST, DAY_FIRST) if slashed else (DAY_FIRST, MONTH_FIRST)))
    orders = [one for one in map(DateNotation, preferred) if all(one.parse(text) is not None for text in written)]
    if not orders:
        return None
    days = [orders[0].parse(text) or 0 for text in written] + [days_of(cell) for cell in native]
    timed = any(day % 1 for day in days)
    notations = [replace(one, time=timed) for one in orders]
    return _reading(notations, written or [date_text(days[0])], missing, decisive=bool(written))


def compact_dates(cells: Sequence[Any]) -> Reading | None:
    """How dates such as 20201231 are read, as texts or whole numbers; None where cells are others or few."""
    return Reading(DateNotation(), (), str(cells[0])) if _are_compact(cells) else None


def is_some_number(cell: Any) -> bool:
    """Whether a cell is a number in any notation, with or without a unit."""
    if not isinstance(cell, str):
        return isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)
    written = split_number(cell)
    return written is not None and any(one.number_of(written) is not None for one in _NUMBER_NOTATIONS)


def settled(reading: Reading, all_readings: Iterable[Reading]) -> Reading:
    """A reading that might be another one, as the clear ones of the same table say."""
    possible = {_manner(one): one for one in (reading.notation, *reading.others)}
    clear = [one.notation for one in all_readings if one.decisive and not one.others]
    said = {_manner(one) for one in clear if one.kind == reading.notation.kind} & possible.keys()
    if len(said) != 1:
        return reading
    chosen = possible[said.pop()]
    return replace(reading, notation=chosen, others=tuple(one for one in possible.values() if one != chosen))


def _manner(notation: Notation) -> str | int:
    """What the columns of a table have in common: the decimal mark, or the order of dates."""
    return notation.decimal if isinstance(notation, NumberNotation) else notation.order


def _declared_reading(known: Sequence[Any], kind: str, example: str) -> Reading:
    notation = _declared_notation(kind, example)
    if notation is None:
        raise ValueError(f"{example!r} is not clear: give an example such as 1,234.5 or 31.12.2020")
    found = number_reading(known) if kind == "number" else date_reading(known)
    if found is None:
        return Reading(notation, (), next(map(str, known), ""))
    seen = found.notation
    if isinstance(notation, NumberNotation) and isinstance(seen, NumberNotation):
        unit, parentheses = notation.unit or seen.unit, notation.parentheses or seen.parentheses
        notation = replace(notation, unit=unit, parentheses=parentheses)
    elif isinstance(notation, DateNotation) and isinstance(seen, DateNotation):
        notation = replace(notation, time=notation.time or seen.time)
    return Reading(notation, found.marks, found.example)


def _declared_notation(kind: str, example: str) -> Notation | None:
    """The notation of an example in the config, such as "1.234,5" or "31.12.2020"; None if it is not clear."""
    if kind == "date":
        orders = [one for one in ORDERS if DateNotation(one).parse(example) is not None]
        return DateNotation(orders[0], ":" in example) if len(orders) in (1, len(ORDERS)) else None
    written = split_number(example)
    if written is None:
        return None
    used = [one for one in _NUMBER_NOTATIONS if not one.thousands or one.thousands in written.digits]
    read = [one for one in used if one.number_of(written) is not None]
    clear = len({one.number_of(written) for one in read}) == 1
    return replace(read[0], unit=written.unit, parentheses=written.parentheses) if clear else None


def _texts(cells: Iterable[Any], numbers: tuple[type, ...]) -> list[str] | None:
    """The different texts among cells; None if one is neither a text nor of the types of numbers."""
    texts = dict.fromkeys(cell for cell in cells if isinstance(cell, str))
    others = {type(cell) for cell in cells if not isinstance(cell, str)}
    fits = all(issubclass(one, numbers) and one is not bool for one in others) if numbers else not others
    return list(texts) if fits else None


def _without_marks(texts: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    marks = {text.strip() for text in texts if text.strip().lower() in MISSING_MARKS}
    return tuple(sorted(marks)), [text for text in texts if text.strip() not in marks]


def _reading(
    notations: Sequence[Notation], written: Sequence[str], marks: tuple[str, ...], *, decisive: bool
) -> Reading:
    """The first notation, and those of the others that read a cell as another value."""
    first, *rest = notations
    doubtful = {one: text for one in rest for text in written if one.parse(text) != first.parse(text)}
    odd = [text for text in written if not text.strip().isdecimal()]
    example = [*doubtful.values(), *odd[:1], *written[:1], ""][0]
    return Reading(first, marks, example.strip(), tuple(doubtful), decisive)


def _are_compact(cells: Sequence[Any]) -> bool:
    """Whether all cells are dates such as 20201231, as texts or whole numbers, and enough of them."""
    if not all(isinstance(cell, int | str) for cell in cells):
        return False
    different = set(map(str, cells))
    if len(different) < _FEWEST_COMPACT or not all(len(text) == _COMPACT and text.isdecimal() for text in different):
        return False
    days = [DateNotation().parse(text) for text in different]
    first, last = _COMPACT_YEARS
    return all(day is not None and first <= int(date_text(day)[:4]) <= last for day in days)
