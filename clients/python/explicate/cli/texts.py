"""The texts a command is given: as arguments, from a file, or from stdin, one a line; and pairs of texts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from explicate.cli import files
from explicate.cli.asked import Asked
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.inputs import TextPair

STDIN = files.STDIN
_EXAMPLE = '{"text": "Great soup!"}'


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """TEXT arguments, --text-pair and --file."""
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; - reads one text a line from stdin")
    parser.add_argument(
        "--text-pair",
        metavar="TEXT",
        action="append",
        help="the second text, for a model of pairs; one for each TEXT, in their order",
    )
    parser.add_argument("--file", metavar="FILE", type=Path, help="read one text a line from FILE (UTF-8)")


def check_pairs(arguments: argparse.Namespace) -> None:
    """Raise UsageError unless every TEXT has its --text-pair, or none has."""
    given, wanted = len(arguments.text_pair or ()), len(arguments.texts)
    if given and (given != wanted or arguments.texts == [STDIN]):
        raise UsageError(
            f"--text-pair was given {given} times for {wanted} TEXT arguments: give one for each TEXT,"
            ' or --jsonl FILE with lines {"text": ..., "text_pair": ...}'
        )


def texts(arguments: argparse.Namespace) -> Iterator[Asked]:
    """The texts or pairs, lazily, so that a file may be larger than memory."""
    if arguments.file:
        try:
            with arguments.file.open("rb") as file:
                yield from _lines(file)
        except OSError as error:
            raise UsageError(f"cannot read {arguments.file}: {error.strerror}") from error
    elif arguments.texts == [STDIN]:
        yield from _lines(sys.stdin.buffer)
    elif arguments.text_pair:
        for number, pair in enumerate(zip(arguments.texts, arguments.text_pair, strict=True), start=1):
            yield Asked(number, TextPair(*pair))
    else:
        for number, text in enumerate(arguments.texts, start=1):
            yield Asked(number, text)


def json_texts(name: str) -> Iterator[Asked]:
    """The texts or pairs of JSON lines {"text": ...} or {"text": ..., "text_pair": ...}; other keys are left alone."""
    for number, line, given in files.json_lines(name, _EXAMPLE):
        if isinstance(given, InvalidArgument):
            yield Asked(number, line, given)
            continue
        parts = [given.get("text"), *([given["text_pair"]] if given.get("text_pair") is not None else [])]
        if not all(isinstance(part, str) for part in parts):
            problem = "needs a text, and if it is a pair a text_pair, each a string"
            yield Asked(number, line, invalid_argument("line", problem))
        else:
            yield Asked(number, TextPair(*parts) if len(parts) == 2 else parts[0])


def _lines(file: BinaryIO) -> Iterator[Asked]:
    for number, line in enumerate(file, start=1):
        # What is not UTF-8 becomes lone surrogates, as in arguments; the client then refuses that one row by name.
        yield Asked(number, line.rstrip(b"\r\n").decode("utf-8", errors="surrogateescape"))
