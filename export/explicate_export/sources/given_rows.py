"""The inputs that are given for a model: a CSV, JSON-lines or Parquet file, as rows of named cells.

Nothing of a row is trusted: a cell is what the file has, and whoever takes it says what is wrong with it.
"""

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any  # cells

from explicate.errors import UsageError
from explicate.reading.text_files import opened, read_csv

_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
_PARQUET_ENDINGS = (".parquet", ".pq")
_LONGEST_CELL = 16 * 1024 * 1024  # characters: what a message to a server holds; csv's own limit is 131,072
_NAMED = 12  # columns in a message
Cells = Mapping[str, Any]


@dataclass(frozen=True)
class GivenRows:
    """A file of inputs: its columns, and its rows, each with its place for messages ("FILE, line 3")."""

    path: Path
    names: tuple[str, ...]
    rows: Sequence[tuple[str, Cells]]

    def column(self, field: str, columns: Mapping[str, str], *, optional: bool = False) -> str | None:
        """The column that has a field: the one that `columns` maps it to, or the one of its name.

        Raises UsageError when there is none, unless it is `optional` and nobody mapped it.
        """
        name = columns.get(field, field)
        if name in self.names:
            return name
        if optional and field not in columns:
            return None
        close = get_close_matches(name, self.names, 1) or [one for one in self.names if one.lower() == name.lower()]
        meant = f" (did you mean {close[0]}?)" if close else ""
        more = f" and {len(self.names) - _NAMED} more" if len(self.names) > _NAMED else ""
        raise UsageError(
            f"{self.path} does not have the column {name}{meant}: it has {', '.join(self.names[:_NAMED])}{more}; say "
            f"which one it is with --column {field}=COLUMN"
        )


def read_given(path: Path, known: Collection[str]) -> GivenRows:
    """The rows of a file; `known` are names of columns that are looked for, by which a CSV's separator is found.

    Raises UsageError when the file cannot be read or has no rows.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not {'a file of rows' if path.exists() else 'there'}: give the inputs as --inputs")
    ending = path.suffix.lower()
    if ending in _PARQUET_ENDINGS:
        found = _parquet(path)
    elif ending in _JSON_ENDINGS:
        found = _json_lines(path)
    else:
        found = _csv(path, known)
    if not found.rows:
        raise UsageError(f"{path} has no rows: give some inputs of the kind that the model will be asked about")
    return found


def _csv(path: Path, known: Collection[str]) -> GivenRows:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    rows: list[tuple[str, Cells]] = []
    with opened(str(path), trained_on=True) as file:
        try:
            names, lines = read_csv(file, known)
            for number, (cells, problem) in enumerate(lines, start=1):
                if problem:
                    raise UsageError(f"{path}, row {number} {problem}")
                rows.append((f"{path}, row {number}", dict(zip(names, cells, strict=True))))
        except csv.Error as error:
            raise UsageError(f"{path} is not CSV: {error}") from None
    return GivenRows(path, tuple(names), rows)


def _json_lines(path: Path) -> GivenRows:
    rows: list[tuple[str, Cells]] = []
    with opened(str(path)) as file:
        for place, value in _json_values(path, file.read()):
            if not isinstance(value, dict):
                raise UsageError(f'{place} is not a JSON object: give one a line, such as {{"text": "…"}}')
            rows.append((place, value))
    return GivenRows(path, tuple(dict.fromkeys(name for _, row in rows for name in row)), rows)


def _json_values(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """The values of a file of one a line, or of one list."""
    place = str(path)
    try:
        if text.lstrip().startswith("["):
            for number, value in enumerate(json.loads(text), start=1):
                yield f"{path}, entry {number}", value
            return
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                place = f"{path}, line {number}"
                yield place, json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is not JSON ({error})") from None


def _parquet(path: Path) -> GivenRows:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(f"{path} is a Parquet file, which needs pyarrow: pip install 'explicate[batch]'") from None
    try:
        table = pq.read_table(path)
        cells = table.to_pylist()
    except Exception as error:  # pyarrow raises OSError, ArrowInvalid and others
        raise UsageError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None
    return GivenRows(path, tuple(table.column_names), [(f"{path}, row {n}", row) for n, row in enumerate(cells, 1)])
