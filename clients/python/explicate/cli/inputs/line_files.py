"""Files a command reads line by line, and JSON lines in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from explicate.errors import InvalidArgument, UsageError, invalid_argument

STDIN = "-"


@contextmanager
def opened(name: str) -> Iterator[TextIO]:
    """The file `name`, or stdin for "-"; raises UsageError for what cannot be read or is not UTF-8."""
    try:
        if name == STDIN:
            yield sys.stdin
        else:
            with Path(name).open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
                yield file
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {name}: it is not UTF-8") from error


def json_lines(name: str, example: str) -> Iterator[tuple[int, str, Mapping[str, Any] | InvalidArgument]]:
    """Each line that is not empty: its number from 1, itself, and its JSON object, or why it is not one.

    `example` is a line as it should be. Any: whatever JSON holds.
    """
    with opened(name) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n"), json_object(line, example)


def json_object(line: str, example: str) -> Mapping[str, Any] | InvalidArgument:
    """The JSON object of a line, or why it is not one."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter for many brackets within one another
        return invalid_argument("line", f"is not JSON: {error}")
    if not isinstance(given, dict):
        return invalid_argument("line", f"is not a JSON object such as {example}")
    return given
