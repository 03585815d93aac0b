"""The files of a run directory as values, or one sentence that names the file and what it lacks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any  # JSON values

from explicate_export.errors import UsageError

UNFINISHED = "the run is not complete, so let `explicate train` finish or train again"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises UsageError."""
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}): {UNFINISHED}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object: {UNFINISHED}")
    return value


def read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The JSON values in a file of one a line, each with its place for messages ("FILE, line 3"); raises UsageError.

    Lines end with "\\n" only: other line separators occur inside texts. Empty lines are passed over.
    """
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                yield place, json.loads(line)
            except ValueError as error:
                raise UsageError(f"{place}: not JSON ({error}): {UNFINISHED}") from None


def field(values: Mapping[str, Any], name: str, kind: type, path: Path) -> Any:
    """A value of an object, of the type it must have; raises UsageError."""
    value = values.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{path}: {name!r} is missing or not of type {kind.__name__}: {UNFINISHED}")
    return value


def check_files(directory: Path, names: tuple[str, ...]) -> None:
    """Raises UsageError when one of them is missing."""
    for name in names:
        if not (directory / name).is_file():
            raise UsageError(f"{directory / name} is missing: {UNFINISHED}")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {UNFINISHED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): {UNFINISHED}") from None
