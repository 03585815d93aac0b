"""CSV files as people have them: the training file, or what a spreadsheet saved.

The separator is the one that gives the model's columns, and the encoding is UTF-8, UTF-16 by its mark, or Windows-1252.
Empty cells at the end of a line, spaces around names and comment lines before them are left away.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import IO, TextIO

from explicate.cli.inputs.asked import STDIN
from explicate.errors import UsageError

_SEPARATORS = (",", ";", "\t", "|")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GZIP_MARK = b"\x1f\x8b"
_LAST_RESORT = "cp1252"  # every byte but five is a letter or a sign in it
_CHUNK_BYTES = 1 << 20
_MAX_CELL_CHARACTERS = 2**24  # as in training


@dataclass(frozen=True)
class CsvTable:
    """The names of a file's columns, and its lines, lazily: cells as text, as many as there are names or not."""

    names: Sequence[str]
    lines: Iterator[list[str]]


@contextmanager
def csv_table(name: str, columns: Collection[str]) -> Iterator[CsvTable]:
    """A CSV file with (some of) these columns, or stdin for "-".

    Raises UsageError for what cannot be read or is not CSV; iterating the lines may raise it too.
    """
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    try:
        if name == STDIN:
            yield _table(sys.stdin, name, columns)
        else:
            with _text(Path(name), name) as file:
                yield _table(file, name, columns)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {name}: it is neither UTF-8 nor Windows-1252") from error


def _table(file: TextIO, name: str, columns: Collection[str]) -> CsvTable:
    first = next(file, "")
    while first.startswith("#") and not set(columns) & _names(first, ","):
        first = next(file, "")
    separator = max(_SEPARATORS, key=lambda one: len(set(columns) & _names(first, one)))
    reader = csv.reader(chain([first], file), delimiter=separator, strict=True)
    lines = _lines(reader, name)
    names = [one.strip() for one in next(lines, [])]
    while names and not names[-1]:  # every line ends with a separator
        names.pop()
    return CsvTable(names, (_trimmed(line, len(names)) for line in lines if line))


def _names(line: str, separator: str) -> set[str]:
    return {cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])}


def _lines(reader: Iterator[list[str]], name: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        line_num = getattr(reader, "line_num", 0)
        raise UsageError(f"{name} is not CSV: {error} in line {line_num}") from error


def _trimmed(line: list[str], width: int) -> list[str]:
    return line[:width] if not any(cell.strip() for cell in line[width:]) else line


def _text(path: Path, name: str) -> TextIO:
    encoding = _encoding(path)
    if encoding == _LAST_RESORT:
        print(f"explicate: note: {name} is not UTF-8: it is read as Windows-1252", file=sys.stderr)
    return TextIOWrapper(_opened(path), encoding=encoding, newline="")


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MARK
    return gzip.open(path, "rb") if packed else path.open("rb")


def _encoding(path: Path) -> str:
    """What a file is written in; all of it is looked at, for a wrong letter may come late."""
    with _opened(path) as file:
        if file.read(2) in _UTF16_MARKS:
            return "utf-16"
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while chunk := file.read(_CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _LAST_RESORT
    return "utf-8-sig"
