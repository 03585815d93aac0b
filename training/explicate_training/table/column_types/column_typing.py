"""Finds the type of each column from its values, unless the config declares it, and turns the values into that type.

Every column is a number, a date, a truth value or a category, or is left out with a reason. How numbers and dates are
written is found for the column as a whole (`notations`); cells are then read as a server reads them (`cell_readers`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any  # cells as they were read

import numpy as np
import pandas
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.cells.cell_readers import BOOLEAN_WORDS, CategoryCells, CellError, number_reader
from explicate_bundle.cells.date_notation import DateNotation, days_of
from explicate_bundle.cells.number_notation import PLAIN
from explicate_training.data.header import Tell, quietly
from explicate_training.data.labels import finite, label_name, numbered, objects, parse_number, settle_labels
from explicate_training.table.column_types.identifiers import ROW_NUMBERS, of_numbers, of_texts
from explicate_training.table.column_types.notations import Reading, is_some_number, number_reading, reading_of, settled
from explicate_training.table.config import TableDataConfig, declared_type
from explicate_training.table.data import BOOLEAN_CATEGORIES, NUMERIC_TYPES, Column, RawTable, Table
from explicate_training.tasks.registry import task_named, task_of_cells
from explicate_training.tasks.task import Task

NO_VALUES = "has no values"
UNREADABLE = "holds neither numbers nor words"
IGNORED = "the config says ignore"
DECLARED = "the config says so"

_NUMBER_FIELD = "value"  # what a task whose labels are numbers calls them
_NEARLY_ALL = 0.9  # part of numbers from which a column of words is suspected to be a column of numbers


@dataclass
class TypingReport:
    """What typing left out and what it wondered at. Grows while it works."""

    left_out: dict[str, str] = field(default_factory=dict)  # reason by column
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Cells:
    """A column as it was read, and what the config or its values say of it."""

    name: str
    cells: list[Any]  # None where missing
    wanted: str | list[str] | None  # as the config declares it
    reading: Reading | None  # of a column that is not declared to be something else

    @property
    def known(self) -> list[Any]:
        return [cell for cell in self.cells if cell is not None]

    @property
    def key(self) -> str:
        return f"data.columns.{self.name}"


def type_table(raw: RawTable, config: TableDataConfig, tell: Tell = quietly) -> tuple[Table, TypingReport]:
    """Types all columns but the label's and the group's; `tell` hears how the label was read.

    Raises UsageError when a declared type does not hold.
    """
    report = TypingReport()
    words = {*config.missing_words(), ""}
    _check_names(raw, config)
    label_columns = list(config.columns_with_labels().values())
    unread = {*label_columns, *filter(None, [config.group_column])}
    task, labels = _labels({name: _without(words, raw.columns[name]) for name in label_columns}, config, tell)
    found = [
        _read_column(name, _without(words, cells), config) for name, cells in raw.columns.items() if name not in unread
    ]
    columns = [_type_column(column, raw, report) for column in _settled(found, report)]
    typed = tuple(column for column in columns if column is not None)
    if report.left_out and not typed:
        reasons = ", ".join(f"{name!r} {reason}" for name, reason in list(report.left_out.items())[:5])
        raise UsageError(f"no column is left to learn from: {reasons}; declare one in data.columns to keep it")
    table = Table(
        task=task,
        columns=typed,
        labels=labels,
        groups=_groups(raw, config),
        splits=objects(raw.splits),
        left_out_cells=_hashes(raw, report),
        numbers=np.array(numbered(raw.splits), dtype=np.intp),
    )
    return table, report


def _check_names(raw: RawTable, config: TableDataConfig) -> None:
    apart = {**config.columns_with_labels(), "data.group_column": config.group_column}
    named = [*apart.items(), *((f"data.columns.{name}", name) for name in config.columns)]
    grouped = [(f"data.groups.{group}", name) for group, names in config.groups.items() for name in names]
    for option, name in (*named, *grouped):
        if name and name not in raw.columns:
            known = ", ".join(map(repr, list(raw.columns)[:30]))
            raise UsageError(f"{option}: {raw.origin} has no column {name!r}, but {known}")
    for option, name in grouped:
        if name in apart.values():
            raise UsageError(f"{option}: the column {name!r} is not learnt from, so it is no player: take it out")


def _groups(raw: RawTable, config: TableDataConfig) -> NDArray[Any] | None:
    if not config.group_column:
        return None
    groups = objects([_word(cell) for cell in raw.columns[config.group_column]])
    if any(group is None for group in groups):
        raise UsageError(f"data.group_column: some rows have no {config.group_column}: fill it, or take them out")
    return groups


def _hashes(raw: RawTable, report: TypingReport) -> NDArray[np.uint64]:
    """Of each row the cells that are left out, but row numbers: rows that differ in them are not the same row."""
    apart = [name for name, reason in report.left_out.items() if reason != ROW_NUMBERS]
    cells = {name: [str(cell).strip() for cell in raw.columns[name]] for name in apart}
    frame = pandas.DataFrame(cells, index=range(len(raw.splits)))
    return np.asarray(pandas.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def _labels(columns: Mapping[str, list[Any]], config: TableDataConfig, tell: Tell) -> tuple[Task, NDArray[Any]]:
    """The task, configured or the one that the label's cells speak for, and the labels as it reads them.

    Numbers are read in the notation that the label's column is in, which is told where it is not that of programs.
    """
    name = config.label_column
    task = None if config.task == "auto" else task_named(config.task)
    if task is None or task.label_field == _NUMBER_FIELD:
        known = [cell for cell in columns[name] if cell is not None]
        reading = number_reading(known) or Reading(PLAIN, (), "")
        cells = [cell for cell in known if not (isinstance(cell, str) and cell.strip() in reading.marks)]
        numbers = [parse_number(cell) if not isinstance(cell, str) else reading.notation.parse(cell) for cell in cells]
        task = task or task_of_cells(cells, numbers, name, tell)
        if task.label_field == _NUMBER_FIELD and (reading.notation != PLAIN or reading.marks):
            tell(f"the label {name} is {reading.said()}")
            reader = number_reader(reading.notation, reading.marks)
            columns = {**columns, name: [reader.number(_plain(cell)) for cell in columns[name]]}
    labels = task.table_labels(columns, config)
    if labels.dtype == object:  # names, not numbers
        labels = objects(settle_labels(labels.tolist(), config, tell))
    return task, labels


def _read_column(name: str, cells: list[Any], config: TableDataConfig) -> _Cells:
    wanted, example = declared_type(config.columns.get(name))
    column = _Cells(name, cells, wanted, None)
    try:
        return replace(column, reading=reading_of(column.known, wanted, example))
    except ValueError as error:
        raise UsageError(f"{column.key}: {error}") from None


def _settled(found: Sequence[_Cells], report: TypingReport) -> Iterable[_Cells]:
    """The columns; where a notation is not clear the others of the table decide, and what was taken is said."""
    readings = [column.reading for column in found if column.reading is not None]
    for column in found:
        reading = column.reading
        if reading is not None and reading.others:
            reading = settled(reading, readings)
            report.warnings.append(reading.doubt(column.name))
        yield replace(column, reading=reading)


def _type_column(column: _Cells, raw: RawTable, report: TypingReport) -> Column | None:
    reason = _why_left_out(column, raw)
    if reason:
        report.left_out[column.name] = reason
        return None
    wanted, why = column.wanted, DECLARED
    if wanted is None:
        wanted, why = _infer(column, report)
    if wanted in NUMERIC_TYPES:
        return _numbers(column, wanted, why, report)
    if wanted == "boolean":
        return Column(column.name, "boolean", _booleans(column), BOOLEAN_CATEGORIES, why=why)
    words = _one_spelling(column, report)
    if wanted == "category":
        return Column(column.name, "category", words, why=why)
    order, words = _ordinal_order(column.key, wanted, words)
    return Column(column.name, "ordinal", words, order, why=why)


def _why_left_out(column: _Cells, raw: RawTable) -> str:
    """Why a column is not learnt from, "" if it is; only a declared "ignore" or no values at all beat a declaration."""
    known = column.known
    if column.wanted == "ignore":
        return IGNORED
    if not known:
        return NO_VALUES
    if column.wanted is not None:
        return ""
    if column.reading is not None:
        return _why_no_number(column, raw) if column.reading.notation == PLAIN else ""
    if any(not isinstance(cell, str | int | float | Decimal) for cell in known):
        return UNREADABLE
    return "" if _are_truths(known) else of_texts(known)


def _why_no_number(column: _Cells, raw: RawTable) -> str:
    """Why a column of plain numbers names the rows instead of measuring something, "" if it does not."""
    numbers = [None if cell is None else parse_number(cell) for cell in column.cells]
    segments: dict[str, list[float]] = defaultdict(list)
    for split, number in zip(raw.splits, numbers, strict=True):
        segments[split] += [] if number is None else [number]
    return of_numbers(column.name, [one for one in numbers if one is not None], list(segments.values()))


def _infer(column: _Cells, report: TypingReport) -> tuple[str, str]:
    """(type, why)."""
    known, reading = column.known, column.reading
    if _are_truths(known):
        return "boolean", "true and false"
    if reading is not None:
        return reading.notation.kind, reading.said()
    numbers = sum(count for cell, count in Counter(known).items() if is_some_number(cell))
    if numbers >= _NEARLY_ALL * len(known):
        report.warnings.append(_nearly_numbers(column.name, known, numbers))
    return "category", f"{len(set(map(str, known))):,} different words"


def _are_truths(known: Sequence[Any]) -> bool:
    return all(
        isinstance(cell, bool) or (isinstance(cell, str) and cell.strip().lower() in BOOLEAN_CATEGORIES)
        for cell in known
    )


def _nearly_numbers(name: str, known: Sequence[Any], numbers: int) -> str:
    if numbers < len(known):
        odd = next(cell for cell in known if not is_some_number(cell))
        return (
            f"{name} is read as a category, but {numbers / len(known):.0%} of it are numbers: if {odd!r} and its like "
            "mean missing, add them to data.missing_values"
        )
    different = list(dict.fromkeys(map(str, known)))
    return (
        f"{name} is read as a category, for its numbers are not written in one way or have several units "
        f"({', '.join(map(repr, different[:4]))}): write them alike to learn from them as numbers"
    )


def _numbers(column: _Cells, kind: str, why: str, report: TypingReport) -> Column:
    """A column of numbers, or of dates as days since 1970-01-01."""
    unread = DateNotation() if kind == "date" else PLAIN
    reading = column.reading or Reading(unread, (), "")
    reader, numbers = number_reader(reading.notation, reading.marks), []
    for row, cell in enumerate(column.cells, start=1):
        try:
            numbers.append(reader.number(_plain(cell)))
        except CellError:
            raise UsageError(
                f"{column.key} is {kind}, but row {row} holds {cell!r}: add it to data.missing_values, or make it a "
                "category"
            ) from None
    infinite = sum(number is not None and not math.isfinite(number) for number in numbers)
    if infinite:
        report.warnings.append(f"{column.name} has {infinite:,} infinite values, read as missing")
    return Column(
        column.name,
        "date" if kind == "date" else "number",
        finite(numbers),
        notation=None if reading.notation == PLAIN else reading.notation,
        missing_words=reading.marks,
        why=f"{why}; {reading.said()}" if why == DECLARED else why,
        example=reading.example,
    )


def _booleans(column: _Cells) -> NDArray[Any]:
    words = [_word(cell) for cell in column.cells]
    for row, word in enumerate(words, start=1):
        if word is not None and word.lower() not in BOOLEAN_WORDS:
            raise UsageError(f"{column.key} is boolean, but row {row} holds {word!r}: make it a category")
    return objects([None if word is None else BOOLEAN_WORDS[word.lower()] for word in words])


def _one_spelling(column: _Cells, report: TypingReport) -> NDArray[Any]:
    """Words; whole numbers among them are written in one way: "1.0" and "1" are "1", but "01" is a code.

    Where other numbers are written in two ways ("1.1" and "1.10") they may be versions: both are kept, and it is said.
    """
    words = [_word(cell) for cell in column.cells]
    numbers = {word: number for word in set(words) if word is not None and (number := PLAIN.parse(word)) is not None}
    if all(math.isfinite(number) and number.is_integer() for number in numbers.values()):
        return objects([f"{numbers[word]:.0f}" if word in numbers else word for word in words])
    spellings: dict[float, list[str]] = defaultdict(list)
    for word, number in sorted(numbers.items()):
        spellings[number].append(word)
    if several := next((one for one in spellings.values() if len(one) > 1), None):
        report.warnings.append(
            f"{column.name} is a category that writes one number in {len(several)} ways, which stay apart: "
            f"{', '.join(map(repr, several))}"
        )
    return objects(words)


def _ordinal_order(key: str, wanted: str | list[str], words: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[Any]]:
    found = {word for word in words if word is not None}
    if isinstance(wanted, list):
        reader = CategoryCells(wanted)
        words = objects([reader.read(word) for word in words])
        strange = sorted({word for word in words if word is not None} - set(wanted))
        if strange:
            raise UsageError(f"{key} does not list {', '.join(map(repr, strange[:5]))}, which the table holds: add it")
        return tuple(wanted), words
    if any(parse_number(word) is None for word in found):
        raise UsageError(f'{key} is ordinal, but words have no order of their own: list them, ["low", "high"]')
    return tuple(sorted(found, key=float)), words


def _without(missing_words: set[str], cells: Sequence[Any]) -> list[Any]:
    """Cells, None where they are missing."""
    return [None if _is_missing(cell, missing_words) else cell for cell in cells]


def _is_missing(cell: Any, missing_words: set[str]) -> bool:
    if isinstance(cell, str):
        return cell.strip() in missing_words
    return isinstance(cell, float) and math.isnan(cell)


def _plain(cell: Any) -> Any:
    """A cell as a server could get it."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, date):
        return days_of(cell)
    return float(cell) if isinstance(cell, Decimal) else cell


def _word(cell: Any) -> str | None:
    return label_name(float(cell) if isinstance(cell, Decimal) else cell)
