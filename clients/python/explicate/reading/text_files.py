"""Text files as spreadsheets and scripts write them: their encoding by its mark, their separator by the header.

What has no mark is UTF-8, and of the usual separators that one counts which finds the columns that are looked for. The
file that a model was trained on may also be compressed, or be in Windows-1252, which is then said. `explicate train`
reads more, with packages that the client does not need.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from explicate.errors import UsageError
from explicate.reading import notes

STDIN = "-"
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Python's name of the encoding by its byte order mark, the longer marks first."""
_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20
_FOREIGN = {
    _GZIP: "it is compressed: unpack it first",
    b"PK\x03\x04": "it is a spreadsheet or an archive: save it as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "it is an old Excel file: save it as CSV",
    b"PAR1": "it is a Parquet file: give it with --file",
    b"ARROW1": "it is an Arrow file: give it with --file",
}
_SEPARATORS = ",;\t|"
_NO_NAME = re.compile(r"(Unnamed: \d+)?")  # the index of a pandas frame, and what stands behind the last separator
_NOTHING = " \t\r\n\x1a"


def encoding_of(first: bytes) -> str:
    """The encoding of a file by its first bytes; raises UsageError when they are not those of a text."""
    for start, why in _FOREIGN.items():
        if first.startswith(start):
            raise UsageError(why)
    if encoding := next((encoding for mark, encoding in MARKS.items() if first.startswith(mark)), ""):
        return encoding
    if b"\0" in first:
        raise UsageError("it has zero bytes, as UTF-16 without a byte order mark has: save it as UTF-8")
    return "utf-8"


@contextmanager
def opened(name: str, *, trained_on: bool = False) -> Iterator[TextIO]:
    """The file `name`, or stdin for "-"; raises UsageError for what cannot be read or is not text.

    `trained_on`: it may be what a model was trained on, so it may be compressed, or be in Windows-1252.
    """
    try:
        if name == STDIN:
            yield standard_input()
            return
        with opened_bytes(Path(name), unpack=trained_on) as file:
            try:
                encoding = encoding_of(file.peek(6)[:6])
            except UsageError as error:
                raise UsageError(f"cannot read {name}: {error}") from None
            if trained_on and encoding == "utf-8" and not is_utf8(file):
                notes.say(f"note: {name} is not UTF-8: it is read as Windows-1252")
                encoding = "cp1252"
            with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
                yield text
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeError as error:
        raise UsageError(f"cannot read {name}: it is not {_told(error)}: save it as UTF-8") from error


def standard_input() -> TextIO:
    """Stdin; raises UsageError where a process was started without one."""
    if sys.stdin is None:
        raise UsageError("there is no standard input to read: it is closed")
    return sys.stdin


def opened_bytes(path: Path, *, unpack: bool) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file; with `unpack` those of the text that it holds compressed."""
    file = path.open("rb")
    if not (unpack and file.peek(2)[:2] == _GZIP):
        return file
    file.close()
    return gzip.GzipFile(path)


def is_utf8(file: gzip.GzipFile | io.BufferedReader) -> bool:
    """Whether all of a file is; one that can be read only once is taken to be."""
    if not file.seekable():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := file.read(_BLOCK_BYTES):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def _told(error: UnicodeError) -> str:
    return getattr(error, "encoding", "UTF-8").upper()


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file writes its rows.

    names: of the columns that have one. places: where these are in a line of `width` cells. spaced: whether a blank
    follows each separator.
    """

    names: tuple[str, ...]
    separator: str
    spaced: bool
    width: int
    places: tuple[int, ...]

    def lines(self, text: Iterable[str], before: int = 0) -> Iterator[list[str]]:
        """The cells of each line from any row on; raises csv.Error with the line, of which `before` came earlier."""
        return _lines(text, self.separator, before, spaced=self.spaced)

    def rows(self, lines: Iterable[list[str]]) -> Iterator[tuple[list[str], str]]:
        """Each line that is not empty: the cells of its columns, and what is wrong with it or ""."""
        for line in lines:
            if not line or (len(line) == 1 < self.width and not line[0].strip(_NOTHING)):
                continue
            fits = len(line) >= self.width and not any(cell.strip(_NOTHING) for cell in line[self.width :])
            problem = "" if fits else f"has {len(line)} cells where the line of column names has {self.width}"
            yield [line[place] for place in self.places if place < len(line)], problem


def read_csv(file: Iterable[str], known: Collection[str]) -> tuple[list[str], Iterator[tuple[list[str], str]]]:
    """The names of a CSV file's columns, and each line that is not empty: its cells, and what is wrong with them or "".

    Columns without a name are left out, blanks around names are not part of them, and a line's empty cells beyond the
    header are left out. The separator is that of a first line "sep=;", or the one that finds most of the `known` names.

    Raises csv.Error, with the line of the file, now and while the lines are read.
    """
    layout, lines = csv_layout(file, known)
    return list(layout.names), layout.rows(lines)


def csv_layout(file: Iterable[str], known: Collection[str]) -> tuple[CsvLayout, Iterator[list[str]]]:
    """The layout that a CSV file's header tells, and the lines below it, as `read_csv` has them."""
    file = iter(file)
    before, first, separator = 0, "", ""
    for line in file:
        if line[:4].lower() == "sep=" and len(note := line.rstrip("\r\n")) == 5:
            separator = note[4]
        elif line.strip(_NOTHING) and (not line.startswith("#") or _found(line, known)):
            first = line
            break
        before += 1
    separator = separator or max(_SEPARATORS, key=lambda one: _found(first, known, one))
    spaced = separator in first and first.count(separator) == first.count(f"{separator} ")
    lines = _lines(chain([first], file), separator, before, spaced=spaced)
    header = _names(next(lines, []), known)
    places = [place for place, name in enumerate(header) if not _NO_NAME.fullmatch(name)]
    names = tuple(header[place] for place in places)
    return CsvLayout(names, separator, spaced, len(header), tuple(places)), lines


def _lines(text: Iterable[str], separator: str, before: int, *, spaced: bool) -> Iterator[list[str]]:
    reader = csv.reader(text, delimiter=separator, skipinitialspace=spaced, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise csv.Error(f"{error} in line {before + reader.line_num}") from None


def _found(line: str, known: Collection[str], separator: str = "") -> int:
    """How many of the known names a line has, with a separator or the best one."""
    if not separator:
        return max(_found(line, known, one) for one in _SEPARATORS)
    return len(set(known) & set(_names(next(csv.reader([line], delimiter=separator), []), known)))


def _names(cells: Sequence[str], known: Collection[str]) -> list[str]:
    """Names without what surrounds them, unless a known one has it: blanks, and of the first a mark or a #."""
    cleaned = [cell.strip() for cell in cells]
    cleaned[:1] = [name.lstrip("\ufeff#").strip() for name in cleaned[:1]]
    return [cell if cell in known else name for cell, name in zip(cells, cleaned, strict=True)]
