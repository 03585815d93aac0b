"""Rows of CSV files, as `explicate predict --csv` reads them.

A file is looked through once: where rows begin, how many there are, and which columns hold numbers throughout. The
model gets each cell as it is written; to the output a column goes as whole numbers or numbers if that loses nothing of
any cell, else as text.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from explicate.errors import UsageError
from explicate.reading.text_files import CsvLayout, csv_layout
from explicate.scoring.rows.row_files import PROBLEM, ROWS_AT_ONCE, Columns, FileIndex, RowFormat
from explicate.scoring.rows.text_places import TextFile

_LONGEST_CELL = 16 * 1024 * 1024  # characters: what a message to a server holds; csv's own limit is 131,072
# Numbers that are the same when they are written again: no leading zeros, no more digits than the type keeps.
_NUMBERS = {
    "whole": r"^-?(0|[1-9][0-9]{0,17})$",
    "number": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?$",
}
_EMPTY = "empty"  # the column has no value at all
_MOST_FIGURES = 17  # characters of a number: 15 digits, a sign and a point


class CsvRows(RowFormat):
    """CSV, TSV and their relatives."""

    name = "CSV"

    def look(self, path: Path, known: Collection[str], fingerprint: tuple[int, str]) -> FileIndex:
        text = TextFile.of(path)
        _allow_long_cells()
        marks, rows = [], 0
        try:
            with text.lines() as lines:
                layout, cells = csv_layout(lines, known)
                doubled = sorted({name for name in layout.names if layout.names.count(name) > 1})
                if doubled:
                    raise UsageError(f"{path} has the column {doubled[0]} twice")
                facts = {name: {_EMPTY, *_NUMBERS} for name in layout.names}
                found = layout.rows(cells)
                while True:
                    marks.append(lines.end)
                    if not (some := list(islice(found, ROWS_AT_ONCE))):
                        break
                    rows += len(some)
                    _narrow(facts, _table(layout, some))
        except csv.Error as error:
            raise UsageError(f"{path} is not CSV: {error}") from error
        told = {name: sorted(own) for name, own in facts.items()}
        return FileIndex(str(path), *fingerprint, rows, tuple(marks), told, _written(text, layout))

    def columns(self, files: Sequence[FileIndex]) -> Columns:
        first = files[0]
        for file in files[1:]:
            if missing := sorted(set(first.facts) ^ set(file.facts)):
                here, there = (file, first) if missing[0] in file.facts else (first, file)
                raise UsageError(f"{here.path} has the column {missing[0]}, which {there.path} does not have")
        typed = {name: _type(set.intersection(*(set(file.facts[name]) for file in files))) for name in first.facts}
        return Columns(pa.schema([(name, pa.string()) for name in typed]), pa.schema(list(typed.items())))

    def resume_point(self, file: FileIndex, row: int) -> int:  # noqa: ARG002
        return row // ROWS_AT_ONCE * ROWS_AT_ONCE

    def read(self, file: FileIndex, start: int, columns: pa.Schema) -> Iterator[pa.Table]:
        text, layout = _as_written(file)
        _allow_long_cells()
        try:
            with text.lines(file.marks[start // ROWS_AT_ONCE]) as lines:
                found = layout.rows(layout.lines(lines))
                while some := list(islice(found, ROWS_AT_ONCE)):
                    yield _table(layout, some).select([*columns.names, PROBLEM])
        except csv.Error as error:
            raise UsageError(f"{file.path} is not CSV: {error}") from error


def _allow_long_cells() -> None:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))


def _table(layout: CsvLayout, rows: Sequence[tuple[list[str], str]]) -> pa.Table:
    """The cells as texts, null where they are empty or the line has ended before."""
    width = len(layout.names)
    cells = [line if len(line) == width else [*line, *[""] * (width - len(line))] for line, _ in rows]
    columns = [pa.array([cell or None for cell in column], pa.string()) for column in zip(*cells, strict=True)]
    problems = pa.array([problem or None for _, problem in rows], pa.string())
    return pa.table([*columns, problems], names=[*layout.names, PROBLEM])


def _narrow(facts: dict[str, set[str]], table: pa.Table) -> None:
    """Take from each column the facts that do not hold for all its cells."""
    for name, own in facts.items():
        if own:
            column = table[name].combine_chunks()
            own -= {fact for fact in own if not _holds(fact, column)}


def _holds(fact: str, column: pa.Array) -> bool:
    if fact == _EMPTY:
        return bool(column.null_count == len(column))
    if fact == "number" and (pc.max(pc.utf8_length(column)).as_py() or 0) > _MOST_FIGURES:
        return False
    return bool(pc.all(pc.match_substring_regex(column, _NUMBERS[fact]), skip_nulls=True).as_py() is not False)


def _type(facts: set[str]) -> pa.DataType:
    if _EMPTY in facts:
        return pa.string()
    if "whole" in facts:
        return pa.int64()
    return pa.float64() if "number" in facts else pa.string()


def _written(text: TextFile, layout: CsvLayout) -> dict[str, object]:
    return {"encoding": text.encoding, "start": text.start, **vars(layout)}


def _as_written(file: FileIndex) -> tuple[TextFile, CsvLayout]:
    told: dict[str, Any] = dict(file.layout)  # Any: what JSON has
    text = TextFile(Path(file.path), told.pop("encoding"), told.pop("start"))
    return text, CsvLayout(**{**told, "names": tuple(told["names"]), "places": tuple(told["places"])})
