"""The rows a command is given: from a CSV or JSON lines file, or as `--row`; typed by the columns of the model."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence

from explicate.cli import files
from explicate.cli.asked import Asked
from explicate.cli.cell_values import cell_value
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.inputs import CellValue
from explicate.model_info import Column

_NAMED = 8  # columns that are named in a message
_EXAMPLE = '{"age": 34}'


def add_row_options(parser: argparse.ArgumentParser) -> None:
    """--csv, --jsonl and --row."""
    group = parser.add_argument_group("rows and lines", "An empty cell, or null in JSON, is a missing value.")
    group.add_argument("--csv", metavar="FILE", help="read rows from a CSV file (UTF-8) with a line of column names")
    group.add_argument(
        "--jsonl",
        metavar="FILE",
        help='read one input a line from FILE, as JSON: a row {"age": 34, "job": "clerk"}, a text {"text": "..."}, a'
        ' pair {"text": "...", "text_pair": "..."} or an image {"image": "FILE"}, found from the folder of the lines',
    )
    group.add_argument(
        "--row",
        metavar="ROW",
        action="append",
        help="a row: 'age=34,job=clerk', or JSON; may be given again; in CSV's way, '\"job=clerk, senior\",age=34'",
    )


def rows(arguments: argparse.Namespace, columns: Sequence[Column]) -> Iterator[Asked]:
    """The rows, lazily, so that a file may be larger than memory; a row that does not fit has its refusal.

    Raises UsageError for a file that cannot be read, or a CSV file without the model's columns.
    """
    if arguments.csv:
        yield from _csv_rows(arguments.csv, columns)
    elif arguments.jsonl:
        for number, _, given in files.json_lines(arguments.jsonl, _EXAMPLE):
            yield _asked(number, _row(given), columns)
    else:
        for number, written in enumerate(arguments.row, start=1):
            is_json = written.lstrip().startswith("{")
            yield _asked(number, _row(files.json_object(written, _EXAMPLE)) if is_json else _pairs(written), columns)


def _csv_rows(name: str, columns: Sequence[Column]) -> Iterator[Asked]:
    with files.opened(name) as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            if problem := _wrong_names(header, columns):
                raise UsageError(f"{name} {problem}")
            lines = (line for line in reader if line)
            for number, line in enumerate(lines, start=1):
                if len(line) == len(header):
                    yield _asked(number, dict(zip(header, line, strict=True)), columns)
                else:
                    written = dict(zip(header, line, strict=False))
                    problem = f"has {len(line)} cells where the line of column names has {len(header)}"
                    yield Asked(number, written, _refusal(problem))
        except csv.Error as error:
            raise UsageError(f"{name} is not CSV: {error} in line {reader.line_num}") from error


def _row(given: Mapping[str, object] | InvalidArgument) -> Mapping[str, object] | InvalidArgument:
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


def _asked(number: int, given: Mapping[str, object] | InvalidArgument, columns: Sequence[Column]) -> Asked:
    if isinstance(given, InvalidArgument):
        return Asked(number, {}, given)
    written = {name: _shown(value) for name, value in given.items()}
    if problem := _wrong_names(list(given), columns):
        return Asked(number, written, _refusal(problem))
    row: dict[str, CellValue] = {}
    problems: list[str] = []
    for column in columns:
        try:
            row[column.name] = cell_value(given[column.name], column)
        except InvalidArgument as error:
            problems.append(error.violations[0][1])
    return Asked(number, written, _refusal("; ".join(problems))) if problems else Asked(number, row)


def _shown(value: object) -> CellValue:
    """What was written, for a row that is shown as it was."""
    return value if value is None or isinstance(value, str | bool | int | float) else json.dumps(value)


def _wrong_names(names: Sequence[str], columns: Sequence[Column]) -> str:
    """What is wrong with the names of a row's columns, such as "lacks the column age"; empty when they are right."""
    known = [column.name for column in columns]
    problems = [
        ("lacks", [name for name in known if name not in names], ""),
        (
            "has",
            [name for name in names if name not in known],
            " too many (leave out what is not the model's)",
        ),
        ("has", sorted({name for name in names if names.count(name) > 1}), " twice"),
    ]
    return " and ".join(f"{verb} {_columns(wrong)}{how}" for verb, wrong, how in problems if wrong)


def _columns(names: Sequence[str]) -> str:
    """Some columns by name, such as "the columns age, job", a few of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"the column{'' if len(names) == 1 else 's'} {', '.join(names[:_NAMED])}{more}"


def _refusal(problem: str) -> InvalidArgument:
    return invalid_argument("row", problem)
