"""The texts a command is given: as arguments, from a file, or from stdin, one a line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from explicate.errors import ServerError, UsageError

STDIN = "-"


@dataclass(frozen=True)
class Row:
    """One text and its place among the texts given, from 1; in a file that is its line."""

    number: int
    text: str


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """TEXT arguments and --file."""
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; - reads one text a line from stdin")
    parser.add_argument("--file", metavar="FILE", type=Path, help="read one text a line from FILE (UTF-8)")


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """The texts, lazily, so that a file may be larger than memory; raises UsageError when there are none to read."""
    if bool(arguments.texts) == bool(arguments.file):
        raise UsageError("give texts as arguments, or - for stdin, or --file FILE")
    return _rows(arguments)


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    if arguments.file:
        try:
            with arguments.file.open("rb") as file:
                yield from _lines(file)
        except OSError as error:
            raise UsageError(f"cannot read {arguments.file}: {error.strerror}") from error
    elif arguments.texts == [STDIN]:
        yield from _lines(sys.stdin.buffer)
    else:
        for number, text in enumerate(arguments.texts, start=1):
            yield Row(number, text)


def _lines(file: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        # What is not UTF-8 becomes lone surrogates, as in arguments; the client then refuses that one row by name.
        yield Row(number, line.rstrip(b"\r\n").decode("utf-8", errors="surrogateescape"))


def report(row: Row, error: ServerError) -> None:
    """Say on stderr why one text has no answer."""
    print(f"explicate: text {row.number}: {why(error)}", file=sys.stderr)


def why(error: ServerError) -> str:
    """The cause, without the field path, which speaks of a request that the user has not seen."""
    return "; ".join(description for _, description in error.violations) or error.message
