"""The rows a command is given: from a CSV or JSON lines file, or as `--row`; typed by the columns of the model."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from explicate.cli.inputs import asked as line_files
from explicate.cli.inputs.asked import Asked, InputKind
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.inputs import CellValue, Input, TableRow
from explicate.reading import notes, text_files
from explicate.reading.cells import cell_value
from explicate.reading.nearest import nearest
from explicate.views import tables

if TYPE_CHECKING:
    from explicate.described.compared_with import BaselineGroup
    from explicate.model_info import Column, ModelDescription

_NAMED_COLUMNS = 8  # in a message
_SHOWN_CATEGORIES = 6  # of each column; --format json has all
_EXAMPLE = '{"age": 34}'


class RowInputs(InputKind):
    """Rows of a table."""

    plural = "tables"
    inputs = "rows of a table"
    absence = "a column: background or drawn"
    parts = "a column"
    predict_examples = (
        "explicate predict --model credit --row 'age=34,job=clerk,income='     a row of a table; the income is missing",
        "explicate predict --model credit --csv applications.csv --format csv > answers.csv",
    )
    explain_examples = (
        "explicate explain --model credit --row 'age=34,job=clerk,income='  a row of a table; the income is missing",
        "explicate explain --model credit --csv applications.csv --html applications.html",
        "explicate explain --model credit --baseline approved --csv applications.csv     why not as those approved",
    )
    places = ("csv", "row")
    choices = "--csv FILE, --jsonl FILE, --file FILE (Parquet, Arrow) or --row 'column=value,...'"
    json_lines = 'a row {"age": 34, "job": "clerk"}'
    baselines = "for a row the NAME of a group that `explicate models show` lists, or a row 'column=value,...'"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """--csv and --row."""
        group = parser.add_argument_group("rows", "An empty cell, or null in JSON, is a missing value.")
        group.add_argument(
            "--csv",
            metavar="FILE",
            help="read rows from a CSV file with a line of column names; columns that the model does not read are left "
            "out, so it may be the training file",
        )
        group.add_argument(
            "--row",
            metavar="ROW",
            action="append",
            help="a row: 'age=34,job=clerk', or JSON; repeatable; quoted as in CSV: '\"job=clerk, senior\",age=34'",
        )

    def read(self, arguments: argparse.Namespace, model: ModelDescription | None) -> Iterator[Asked]:
        """The rows; one that does not fit has its refusal.

        Raises UsageError for a CSV file without the model's columns.
        """
        rows = _Rows(model.columns if model else ())
        if arguments.csv:
            yield from rows.of_csv(arguments.csv)
        elif arguments.jsonl:
            for number, _, given in line_files.json_lines(arguments.jsonl, _EXAMPLE):
                yield rows.asked(number, _of_held_out(given))
        else:
            for number, written in enumerate(arguments.row, start=1):
                is_json = written.lstrip().startswith("{")
                row = _of_held_out(line_files.json_object(written, _EXAMPLE)) if is_json else _pairs(written)
                yield rows.asked(number, row)

    def asked(self, number: int, value: Input | None, refusal: InvalidArgument | None) -> Asked:
        return _row(number, value if isinstance(value, Mapping) else {}, refusal)

    def columns(self, model: ModelDescription) -> tuple[str, ...]:
        return tuple(column.name for column in model.columns)

    def told(self, model: ModelDescription) -> list[tuple[str, str]]:
        width = max(tables.display_width(column.name) for column in model.columns)
        lines = [_described(column, width) for column in model.columns]
        return [
            *(("columns" if i == 0 else "", line) for i, line in enumerate(lines)),
            ("background", f"{model.background_rows:,} rows replace a column that is left out"),
            *(("baselines" if i == 0 else "", _group(group)) for i, group in enumerate(model.baselines)),
        ]

    def baseline(self, written: str, model: ModelDescription | None) -> Input:
        if not written.lstrip().startswith("{") and "=" not in written:
            return written
        (row,) = self.read(argparse.Namespace(csv=None, jsonl=None, row=[written]), model)
        if row.refusal is not None:
            raise UsageError(f"--baseline: the row {row.refusal.violations[0][1]}")
        return row.value


def _group(group: BaselineGroup) -> str:
    """A group of rows, such as "approved: 20 rows for the 312 of outcome=yes"."""
    return f"{group.name}: {group.rows:,} rows for the {group.summarised_rows:,} of {group.of}"


def _described(column: Column, width: int) -> str:
    """One column, such as "job  category: clerk, driver (2); may be missing"."""
    facts = [f"{column.type}, written like {column.written}" if column.written else column.type]
    if column.categories and column.type != "boolean":
        shown = ", ".join(column.categories[:_SHOWN_CATEGORIES])
        more = len(column.categories) - _SHOWN_CATEGORIES
        facts = [f"{column.type}: {shown}{f' and {more} more' if more > 0 else ''}"]
    if column.group:
        facts.append(f"explained with the group {column.group}")
    if column.may_be_missing:
        facts.append("may be missing")
    if column.typical is not None:
        facts.append(
            f"typically {format(column.typical, '.10g') if isinstance(column.typical, float) else column.typical}"
        )
    return f"{column.name}{' ' * (width - tables.display_width(column.name))}  {'; '.join(facts)}"


class _Rows:
    """Reads rows for the columns of a model; says once which other columns it leaves out."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._names = {column.name for column in columns}
        self._noted: set[str] = set()

    def of_csv(self, name: str) -> Iterator[Asked]:
        """The rows of a CSV file; raises UsageError for one without the model's columns."""
        with text_files.opened(name, trained_on=True) as file:
            try:
                header, lines = text_files.read_csv(file, self._names)
                if wrong := _wrong_names(header, self._columns):
                    raise UsageError(f"{name} {wrong}")
                self._note(header)
                for number, (line, problem) in enumerate(lines, start=1):
                    written = dict(zip(header, line, strict=False))
                    yield _row(number, written, _refusal(problem)) if problem else self.asked(number, written)
            except csv.Error as error:
                raise UsageError(f"{name} is not CSV: {error}") from error

    def asked(self, number: int, given: Mapping[str, object] | InvalidArgument) -> Asked:
        """One row; without the columns that the model does not read."""
        if isinstance(given, InvalidArgument):
            return _row(number, {}, given)
        written = {name: _as_written(value) for name, value in given.items()}
        if problem := _wrong_names(list(given), self._columns):
            return _row(number, written, _refusal(problem))
        self._note(given)
        row: dict[str, CellValue] = {}
        problems: list[str] = []
        for column in self._columns:
            try:
                row[column.name] = cell_value(given[column.name], column)
            except InvalidArgument as error:
                problems.append(error.violations[0][1])
        return _row(number, written, _refusal("; ".join(problems))) if problems else _row(number, row)

    def _note(self, names: Iterable[str]) -> None:
        others = [name for name in names if name not in self._names and name not in self._noted]
        if others:
            them = "it" if len(others) == 1 else "them"
            notes.say(f"note: {_some(others)} left out: the model does not read {them}")
            self._noted.update(others)


def _of_held_out(given: Mapping[str, object] | InvalidArgument) -> Mapping[str, object] | InvalidArgument:
    """The row; what `explicate train` holds out, {"row": {...}, "label": ...}, is one too."""
    held_out = None if isinstance(given, InvalidArgument) else given.get("row")
    return held_out if isinstance(held_out, Mapping) else given


def _pairs(given: str) -> Mapping[str, object] | InvalidArgument:
    row: dict[str, object] = {}
    for pair in next(csv.reader([given], skipinitialspace=True), []):
        name, equals, value = pair.partition("=")
        if not equals:
            return _refusal(f"has {pair!r}, which is not of the form column=value")
        row[name.strip()] = value.strip()
    return row


def _as_written(value: object) -> CellValue:
    """What was written, for a row that is shown as it was."""
    return value if value is None or isinstance(value, str | bool | int | float) else json.dumps(value)


def _wrong_names(names: Sequence[str], columns: Sequence[Column]) -> str:
    """What is wrong with the names of a row's columns, such as "lacks the column age"; empty when they are right."""
    known = [column.name for column in columns]
    lacking = [name for name in known if name not in names]
    others = [name for name in names if name not in known] if lacking else []  # one may be misspelt
    problems = [
        ("lacks", lacking, ""),
        ("has", others, ", which the model does not read"),
        ("has", sorted({name for name in known if names.count(name) > 1}), " twice"),
    ]
    told = " and ".join(f"{verb} {_some(wrong)}{how}" for verb, wrong, how in problems if wrong)
    meant = [near for name in others[:_NAMED_COLUMNS] for near in nearest(name, lacking, most=1)]
    return f"{told} (did you mean {', '.join(meant)}?)" if meant else told


def _some(names: Sequence[str]) -> str:
    """Some columns by name, such as "the columns age, job", a few of many."""
    more = f" and {len(names) - _NAMED_COLUMNS} more" if len(names) > _NAMED_COLUMNS else ""
    return f"the column{'' if len(names) == 1 else 's'} {', '.join(names[:_NAMED_COLUMNS])}{more}"


def _refusal(problem: str) -> InvalidArgument:
    return invalid_argument("row", problem)


def _row(number: int, row: TableRow, refusal: InvalidArgument | None = None) -> Asked:
    return Asked(number, row, "row", {"row": row}, refusal)
