"""Finds the type of each column from its values, unless the config declares it, and turns the values into that type."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any  # cells as they were read

from explicate.errors import UsageError
from explicate_training.config.sections import Entries
from explicate_training.data.header import Tell, quietly
from explicate_training.data.labels import finite, label_name, objects, parse_number, settle_labels
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import BOOLEAN_CATEGORIES, Column, ColumnType, RawTable, Table
from explicate_training.tasks.registry import task_named, task_of_cells
from explicate_training.tasks.task import Task

ROW_NUMBERS = "counts the rows"
OWN_VALUES = "nearly every row has a value of its own"
NO_VALUES = "has no values"
UNREADABLE = "holds neither numbers nor words"
IGNORED = "the config says ignore"

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_NEARLY_ALL = 0.9  # part of numbers from which a column of words is suspected to be a column of numbers
_OWN_VALUE_SHARE = 0.5  # distinct values by rows, from which words are names or free text
_FEWEST_ROWS = 20  # with fewer, distinct values say little


@dataclass
class TypingReport:
    """What typing left out and what it wondered at. Grows while it works."""

    left_out: dict[str, str] = field(default_factory=dict)  # reason by column
    warnings: list[str] = field(default_factory=list)


def type_table(raw: RawTable, config: TableDataConfig, tell: Tell = quietly) -> tuple[Table, TypingReport]:
    """Types all columns but the label's and the group's; `tell` hears how the label was read.

    Raises UsageError when a declared type does not hold.
    """
    report = TypingReport()
    words = {word.strip() for word in config.missing_values.split(",")} | {""}
    _check_names(raw, config)
    label_columns = list(config.columns_with_labels().values())
    label_cells = {name: [_cell(cell, words) for cell in raw.columns[name]] for name in label_columns}
    task = _task(label_cells, config, tell)
    columns = []
    for name, cells in raw.columns.items():
        if name not in (*label_columns, config.group_column):
            column = _type_column(name, [_cell(cell, words) for cell in cells], config.columns, report)
            columns += [column] if column else []
    if report.left_out and not columns:
        reasons = ", ".join(f"{name!r} {reason}" for name, reason in list(report.left_out.items())[:5])
        raise UsageError(f"no column is left to learn from: {reasons}; declare one in data.columns to keep it")
    groups = None
    if config.group_column:
        groups = objects([_word(cell) for cell in raw.columns[config.group_column]])
        if any(group is None for group in groups):
            raise UsageError(f"data.group_column: some rows have no {config.group_column}: fill it, or take them out")
    labels = task.table_labels(label_cells, config)
    if labels.dtype == object:  # names, not numbers
        labels = objects(settle_labels(labels.tolist(), config, tell))
    return Table(task=task, columns=tuple(columns), labels=labels, groups=groups, splits=objects(raw.splits)), report


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


def _task(columns: Mapping[str, list[Any]], config: TableDataConfig, tell: Tell) -> Task:
    """The configured one, or the one that the label's cells speak for."""
    if config.task != "auto":
        return task_named(config.task)
    cells = [cell for cell in columns[config.label_column] if cell is not None]
    return task_of_cells(cells, [parse_number(cell) for cell in cells], config.label_column, tell)


def _type_column(name: str, cells: list[Any], declared: Entries, report: TypingReport) -> Column | None:
    wanted = declared.get(name)
    if wanted == "ignore":
        report.left_out[name] = IGNORED
        return None
    known = [cell for cell in cells if cell is not None]
    if not known:
        report.left_out[name] = NO_VALUES
        return None
    if wanted is None:
        wanted, reason = _infer(name, known, report)
        if reason:
            report.left_out[name] = reason
            return None
    key = f"data.columns.{name}"
    if wanted == "number":
        return Column(name, "number", _numbers(key, cells, name, report))
    if wanted == "boolean":
        return Column(name, "boolean", _booleans(key, cells), BOOLEAN_CATEGORIES)
    words = objects([_word(cell) for cell in cells])
    if wanted == "category":
        return Column(name, "category", words)
    return Column(name, "ordinal", words, _ordinal_order(key, wanted, words))


def _infer(name: str, known: list[Any], report: TypingReport) -> tuple[ColumnType, str]:
    """(type, why to leave the column out or "")."""
    if any(not isinstance(cell, str | int | float | Decimal) for cell in known):
        return "category", UNREADABLE
    if all(isinstance(cell, bool) or (isinstance(cell, str) and cell.lower() in BOOLEAN_CATEGORIES) for cell in known):
        return "boolean", ""
    numbers = [parse_number(cell) for cell in known]
    found = [number for number in numbers if number is not None]
    enough = len(known) >= _FEWEST_ROWS
    if len(found) == len(known):
        counting = enough and all(after == before + 1 for before, after in pairwise(found))
        return "number", ROW_NUMBERS if counting else ""
    if len(found) >= _NEARLY_ALL * len(known):
        odd = next(cell for cell, number in zip(known, numbers, strict=True) if number is None)
        report.warnings.append(
            f"{name} is read as a category, but {len(found) / len(known):.0%} of it are numbers: if {odd!r} and its "
            f"like mean missing, add them to data.missing_values"
        )
        return "category", ""
    own = enough and len(set(map(str, known))) > _OWN_VALUE_SHARE * len(known)
    return "category", OWN_VALUES if own else ""


def _numbers(key: str, cells: list[Any], name: str, report: TypingReport) -> Any:
    numbers = [None if cell is None else parse_number(cell) for cell in cells]
    for row, (cell, number) in enumerate(zip(cells, numbers, strict=True), start=1):
        if cell is not None and number is None:
            raise UsageError(
                f"{key} is number, but row {row} holds {cell!r}: add it to data.missing_values, or make it a category"
            )
    infinite = sum(number is not None and not math.isfinite(number) for number in numbers)
    if infinite:
        report.warnings.append(f"{name} has {infinite:,} infinite values, read as missing")
    return finite(numbers)


def _booleans(key: str, cells: list[Any]) -> Any:
    meaning = dict.fromkeys(_TRUE, "true") | dict.fromkeys(_FALSE, "false") | {None: None}
    words = [_word(cell) for cell in cells]
    for row, word in enumerate(words, start=1):
        if word is not None and word.lower() not in meaning:
            raise UsageError(f"{key} is boolean, but row {row} holds {word!r}: make it a category")
    return objects([meaning[word.lower() if word else None] for word in words])


def _ordinal_order(key: str, wanted: str | list[str], words: Any) -> tuple[str, ...]:
    found = {word for word in words if word is not None}
    if isinstance(wanted, list):
        strange = sorted(found - set(wanted))
        if strange:
            raise UsageError(f"{key} does not list {', '.join(map(repr, strange[:5]))}, which the table holds: add it")
        return tuple(wanted)
    if any(parse_number(word) is None for word in found):
        raise UsageError(f'{key} is ordinal, but words have no order of their own: list them, ["low", "high"]')
    return tuple(sorted(found, key=float))


def _cell(cell: Any, missing_words: set[str]) -> Any:
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return None if isinstance(cell, str) and cell.strip() in missing_words else cell


def _word(cell: Any) -> str | None:
    return label_name(float(cell) if isinstance(cell, Decimal) else cell)
