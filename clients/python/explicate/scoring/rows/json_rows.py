"""Rows of JSON lines: an object a line, as `explicate predict --jsonl` reads them.

A column goes along to the output as what its values are: truth values, whole numbers, numbers or texts. Where they are
of several types, or lists or objects, it goes along as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from explicate.scoring.rows.row_files import AS_JSON, PROBLEM, ROWS_AT_ONCE, Columns, FileIndex, RowFormat
from explicate.scoring.rows.text_places import TextFile

_EXACT = 2**53  # whole numbers up to it are exact as float64
_TYPES = {
    frozenset(): pa.string(),
    frozenset({"truth"}): pa.bool_(),
    frozenset({"whole"}): pa.int64(),
    frozenset({"whole", "large"}): pa.int64(),
    frozenset({"large"}): pa.int64(),
    frozenset({"number"}): pa.float64(),
    frozenset({"number", "whole"}): pa.float64(),
    frozenset({"text"}): pa.string(),
}


class JsonRows(RowFormat):
    """JSON lines."""

    name = "JSON lines"

    def look(self, path: Path, known: Collection[str], fingerprint: tuple[int, str]) -> FileIndex:  # noqa: ARG002
        text = TextFile.of(path)
        marks, rows = [], 0
        facts: dict[str, set[str]] = {}
        with text.lines() as lines:
            found = _objects(lines)
            while True:
                marks.append(lines.end)
                if not (some := list(islice(found, ROWS_AT_ONCE))):
                    break
                rows += len(some)
                for row, _ in some:
                    for name, value in row.items():
                        if value is not None:
                            facts.setdefault(name, set()).add(_fact(value))
                        else:
                            facts.setdefault(name, set())
        told = {name: sorted(own) for name, own in facts.items()}
        return FileIndex(str(path), *fingerprint, rows, tuple(marks), told, vars(text) | {"path": str(path)})

    def columns(self, files: Sequence[FileIndex]) -> Columns:
        names = dict.fromkeys(name for file in files for name in file.facts)
        facts = {name: frozenset(one for file in files for one in file.facts.get(name, ())) for name in names}
        typed = pa.schema([(name, _TYPES.get(own, pa.string())) for name, own in facts.items()])
        mixed = [field.with_metadata(AS_JSON) if facts[field.name] not in _TYPES else field for field in typed]
        return Columns(pa.schema(mixed), typed)

    def resume_point(self, file: FileIndex, row: int) -> int:  # noqa: ARG002
        return row // ROWS_AT_ONCE * ROWS_AT_ONCE

    def read(self, file: FileIndex, start: int, columns: pa.Schema) -> Iterator[pa.Table]:
        layout = file.layout
        text = TextFile(Path(file.path), str(layout["encoding"]), int(str(layout["start"])))
        with text.lines(file.marks[start // ROWS_AT_ONCE]) as lines:
            found = _objects(lines)
            while some := list(islice(found, ROWS_AT_ONCE)):
                arrays = [_array([row.get(field.name) for row, _ in some], field) for field in columns]
                problems = pa.array([problem or None for _, problem in some], pa.string())
                yield pa.table([*arrays, problems], names=[*columns.names, PROBLEM])


def _objects(lines: Iterable[str]) -> Iterator[tuple[Mapping[str, object], str]]:
    """The object of each line that is not empty, and what is wrong with the line or ""."""
    for line in lines:
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:  # the latter for many brackets within one another
            yield {}, f"is not JSON: {error}"
            continue
        if not isinstance(given, dict):
            yield {}, "is not a JSON object"
            continue
        held_out = given.get("row")  # as `explicate train` writes them: {"row": {...}, "label": ...}
        yield ({**given, **held_out} if isinstance(held_out, dict) else given), ""


def _fact(value: object) -> str:
    """What a value is that is not null."""
    match value:
        case bool():
            return "truth"
        case int():
            return "whole" if abs(value) <= _EXACT else "large" if -(2**63) <= value < 2**63 else "other"
        case float():
            return "number" if math.isfinite(value) else "other"
        case str():
            return "text" if value.isascii() or _is_unicode(value) else "other"
        case _:
            return "other"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can write as \ud800
        return False
    return True


def _array(values: list[object], field: pa.Field) -> pa.Array:
    """The values as the column's type, or each as JSON, null where there is none."""
    if field.metadata == AS_JSON:
        values = [None if value is None else json.dumps(value) for value in values]
    return pa.array(values, field.type)
