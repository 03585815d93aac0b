"""The texts a command is given: as arguments, from a file, or from stdin, one a line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from explicate.commands.asked import Asked
from explicate.errors import UsageError

STDIN = "-"


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """TEXT arguments and --file."""
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; - reads one text a line from stdin")
    parser.add_argument("--file", metavar="FILE", type=Path, help="read one text a line from FILE (UTF-8)")


def texts(arguments: argparse.Namespace) -> Iterator[Asked]:
    """The texts, lazily, so that a file may be larger than memory."""
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
            yield Asked(number, text)


def _lines(file: BinaryIO) -> Iterator[Asked]:
    for number, line in enumerate(file, start=1):
        # What is not UTF-8 becomes lone surrogates, as in arguments; the client then refuses that one row by name.
        yield Asked(number, line.rstrip(b"\r\n").decode("utf-8", errors="surrogateescape"))
