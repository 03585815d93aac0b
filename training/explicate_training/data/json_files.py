"""Reads the columns of JSON files: an object a line, or one array of objects.

A name may stand in some rows only: where it does not, the value is missing. A name twice in one object is refused.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any  # JSON values

from explicate.errors import UsageError
from explicate_training.data.encodings import find_encoding, open_text
from explicate_training.data.header import Rows, Tell, Wanted

_FORMS = (
    'give an object a line, {"text": ..., "label": ...}, or one array of such objects, '
    'as pandas\' to_json(orient="records") writes it'
)


class _Twice(ValueError):
    """An object has a name twice."""


def read_json(path: Path, wanted: Wanted, given_encoding: str, tell: Tell) -> dict[str, list[object]]:
    """The wanted columns; raises UsageError, with the line, for what is not JSON or not rows."""
    encoding = find_encoding(path, given_encoding)
    try:
        with open_text(path, encoding) as file:
            first = next((line for line in file if line.strip()), "").lstrip()
        with open_text(path, encoding) as file:
            found = _of_array(path, file.read()) if first.startswith("[") else _of_lines(path, file)
            objects = list(found)
    except UnicodeError as error:
        raise UsageError(f"{path} cannot be read as {encoding.told} ({error}): set data.encoding") from None
    known = list(dict.fromkeys(name for one in objects for name in one))  # in the order of their first appearance
    if not objects:
        raise UsageError(f"{path} is empty: {_FORMS}")
    if len(objects) == 1 and all(isinstance(value, dict | list) for value in objects[0].values()):
        raise UsageError(f"{path} is one object of lists or objects, not rows: {_FORMS}")
    # Some object must have a required column; where another lacks it, it is missing.
    rows = Rows(wanted.places(known, str(path)), wanted.unnamed(known), empty_is_missing=False)
    for one in objects:
        rows.add([one.get(name) for name in known])
    values, notes = rows.columns()
    form = "an array of objects" if first.startswith("[") else "an object a line"
    tell(f"{path.name}: {', '.join([form, encoding.told, *notes])}")
    return values


def _of_lines(path: Path, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        row = _parse(line, place)
        if not isinstance(row, dict):
            raise UsageError(f"{place} is not a JSON object: {_FORMS}")
        yield row


def _of_array(path: Path, text: str) -> Iterator[dict[str, Any]]:
    array = _parse(text, str(path), lines=True)
    for number, row in enumerate(array, start=1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}, row {number} is not a JSON object: {_FORMS}")
        yield row


def _parse(text: str, place: str, *, lines: bool = False) -> Any:
    """A JSON value; `lines`: the text has many, so that a fault is placed in one of them."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        where = f"{place}, line {error.lineno}" if lines else place
        raise UsageError(f"{where} is not JSON: {error.msg}: {_FORMS}") from None
    except _Twice as error:
        raise UsageError(f"{place} has {error} twice in one object: rename one") from None
    except RecursionError:
        raise UsageError(f"{place} is nested too deeply to be rows: {_FORMS}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return held
