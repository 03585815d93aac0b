"""Reads CSV files in the dialects that people have: separators, quotes, comments, columns without a name.

The header decides. Of the dialects that could be meant the first one counts in which the header has the required
columns and every line of a prefix of the file has as many cells: csv.Sniffer, which looks at how often a character
occurs, finds no separator in three lines of text. A line that does not fit is refused by its number, unless what it has
too much is empty: a text with a separator in it and no quotes must not be cut where nobody sees it.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from explicate.errors import UsageError
from explicate_training.data.encodings import Encoding, find_encoding, first_undecodable_line, open_text
from explicate_training.data.header import Rows, Tell, Wanted

if TYPE_CHECKING:
    import _csv

_MAX_CELL_CHARACTERS = 2**24  # Python's own limit of 131,072 is less than a long document
_MAX_LINE_CHARACTERS = 2**27
_SAMPLE_CHARACTERS, _SAMPLE_LINES = 2**18, 2000
_FEWEST_COUNTED = 3  # rows that count from 0 or 1, from which the first cell is their number
_HEADER_WITHIN = 20  # lines in which the header is looked for below a title
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_NOTHING = " \t\r\n\x1a"  # \x1a ended files in DOS
NO_QUOTE = "none"


@dataclass(frozen=True)
class Written:
    """What the config says of how a file is written; empty: it is found."""

    encoding: str = ""
    separator: str = ""
    quote: str = ""  # '"', "'" or "none"
    sheet: str = ""  # of a spreadsheet


@dataclass(frozen=True)
class Dialect:
    """How the lines of a file become cells."""

    separator: str = ","
    quote: str = '"'  # or NO_QUOTE
    escaped: bool = False  # \\" stands for a quote in quotes, where others write it twice
    blanks: bool = False  # after separators, not part of the cells
    before: int = 0  # lines before the header
    comments: bool = False  # lines that begin with # and do not fit are comments
    hash_header: bool = False  # the header begins with #, as comments do
    row_names: bool = False  # lines begin with a cell more than the header, as R writes them

    def reader(self, lines: Iterator[str]) -> "_csv.Reader":
        """The cells of lines, strictly."""
        quoted = self.quote != NO_QUOTE
        return csv.reader(
            lines,
            delimiter=self.separator,
            quotechar=self.quote if quoted else None,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            escapechar="\\" if self.escaped else None,
            doublequote=not self.escaped,
            skipinitialspace=self.blanks,
            strict=True,
        )

    def cells(self, row: list[str], width: int) -> list[str] | None:
        """A line's cells, as many as the header names; None when they do not fit."""
        if self.row_names:
            return row[1:] if len(row) == width + 1 else None
        if len(row) > width and not any(cell.strip(_NOTHING) for cell in row[width:]):
            return row[:width]
        return row if len(row) == width else None

    def passes(self, row: list[str], header: list[str]) -> str:
        """Why a line holds no row: it is "empty", a "comment" or a "repeated header"; else ""."""
        if not row or (len(row) == 1 < len(header) and not row[0].strip(_NOTHING)):
            return "empty"
        if row == header:
            return "repeated header"
        return "comment" if self.comments and row[0].startswith("#") and len(row) != len(header) else ""

    def told(self) -> list[str]:
        """What is unusual or may be doubted, for people."""
        said = [f"separator {_SEPARATORS.get(self.separator, repr(self.separator))}"]
        said += [f"quotes {self.quote}"] if self.quote == "'" else []
        said += ["quotes are plain characters"] if self.quote == NO_QUOTE else []
        said += ['quotes in quotes are written \\"'] if self.escaped else []
        said += [f"header in line {self.before + 1}"] if self.before else []
        said += ["row names before the first column left out"] if self.row_names else []
        return said


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines of a text; raises UsageError for one that no table has."""
    for number, line in enumerate(iter(partial(file.readline, _MAX_LINE_CHARACTERS), ""), start=1):
        if "\0" in line:
            raise UsageError(
                f"{path}, line {number} has a zero byte, which no text has: the file is damaged, or its encoding is "
                "another one: set data.encoding"
            )
        if len(line) == _MAX_LINE_CHARACTERS:
            raise UsageError(f"{path}, line {number} has more than {len(line):,} characters: is it a table?")
        yield line


def read_delimited(path: Path, wanted: Wanted, written: Written, tell: Tell) -> dict[str, list[object]]:
    """The wanted columns of a CSV file, cells as they are written, None where empty.

    Raises UsageError, with the line, for what does not fit.
    """
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    encoding = find_encoding(path, written.encoding)
    try:
        with open_text(path, encoding) as file:
            dialect = find_dialect(Sample.of(_lines(file, path)), wanted, written, tabs=".tsv" in path.name.lower())
        with open_text(path, encoding) as file:
            return _read(file, path, wanted, dialect, encoding, tell)
    except UnicodeError as error:
        raise UsageError(_not_decoded(path, encoding, error)) from None


def _not_decoded(path: Path, encoding: Encoding, error: UnicodeError) -> str:
    wide = encoding.name.startswith(("utf-16", "utf-32"))
    place = str(path) if wide else f"{path}, line {first_undecodable_line(path, encoding)}"
    how = getattr(error, "reason", error)
    return f"{place} cannot be read as {encoding.told} ({how}): mend it, or set data.encoding"


def _read(
    file: TextIO, path: Path, wanted: Wanted, dialect: Dialect, encoding: Encoding, tell: Tell
) -> dict[str, list[object]]:
    reader = dialect.reader(islice(_lines(file, path), dialect.before, None))
    passed = {"comment": 0, "repeated header": 0, "empty": 0}
    try:
        if (header := next(reader, None)) is None:
            raise UsageError(f"{path} is empty: its first line must name the columns")
        rows = _rows(header, f"{path}, line {dialect.before + reader.line_num}", wanted, dialect)
        width, first = len(header), header[0]
        for row in reader:
            if len(row) == width and row[0] != first and not dialect.row_names:
                rows.add(row)
            elif why := dialect.passes(row, header):
                passed[why] += 1
            elif (cells := dialect.cells(row, width)) is None:
                raise UsageError(_misfit(f"{path}, line {dialect.before + reader.line_num}", row, header))
            else:
                rows.add(cells)
    except csv.Error as error:
        place = f"{path}, line {dialect.before + reader.line_num}"
        raise UsageError(f'{place}: {error}: check its quotes, or set data.quote = "none"') from None
    values, notes = rows.columns()
    told = {why: count for why, count in passed.items() if count and why != "empty"}
    left_out = [f"{count} {why}{'s' if count > 1 else ''} left out" for why, count in told.items()]
    tell(f"{path.name}: {', '.join([*dialect.told(), encoding.told, *left_out, *notes])}")
    return values


def _rows(header: list[str], place: str, wanted: Wanted, dialect: Dialect) -> Rows:
    """The rows to fill; raises UsageError when the header lacks a required column."""
    names = [header[0].removeprefix("#"), *header[1:]] if dialect.hash_header else header
    separator = _SEPARATORS.get(dialect.separator, repr(dialect.separator))
    advice = f", or data.separator, if it is not the {separator}: the first line must name the columns"
    return Rows(wanted.places(names, place, advice=advice), wanted.unnamed(names), empty_is_missing=True)


def _misfit(place: str, row: list[str], header: list[str]) -> str:
    place += f": {len(row)} field{'' if len(row) == 1 else 's'}, but the header has {len(header)}"
    if row[0].startswith("#"):
        return f"{place}: take the comment out, or begin the file with one, so that others are known"
    if len(row) < len(header):
        return f"{place}: write a separator for each missing cell, and quotes around texts with line ends in them"
    return f"{place}: put quotes around texts with separators in them, or name all columns"


@dataclass(frozen=True)
class Sample:
    """The first lines of a file, whole ones."""

    lines: Sequence[str]
    is_all: bool

    @classmethod
    def of(cls, lines: Iterator[str]) -> "Sample":
        """As many as say enough."""
        taken: list[str] = []
        size = 0
        for line in lines:
            taken.append(line)
            size += len(line)
            if size > _SAMPLE_CHARACTERS or len(taken) == _SAMPLE_LINES:
                return cls(taken, is_all=False)
        return cls(taken, is_all=True)


def find_dialect(sample: Sample, wanted: Wanted, written: Written, *, tabs: bool) -> Dialect:
    """The dialect of a file by its first lines; the likeliest one when none fits all of them.

    `tabs`: whether the file's name speaks for tabs.
    """
    before, named = 0, ""  # a first line "sep=;" is a note to Excel
    comments = False
    for line in sample.lines:
        text = line.strip(_NOTHING)
        if text[:4].lower() == "sep=" and len(note := line.rstrip("\r\n")) == 5 and not before:
            named = note[4]
        elif text.startswith("#"):
            comments = True
        elif text:
            break
        before += 1
    separators = [written.separator or named] if written.separator or named else list(_SEPARATORS)
    if tabs:
        separators.sort(key=lambda separator: separator != "\t")
    found: list[_Fit] = []
    for separator in separators:
        for dialect in _dialects(separator, written.quote, sample.lines[before:]):
            fit = _fit(replace(dialect, before=before, comments=comments), sample, wanted)
            if fit.named and not fit.misfits:
                return fit.dialect
            found.append(fit)
    # Where none is right, the first of those that are nearly: its first misfit is what the user hears of.
    return max(found, key=lambda fit: (fit.named, 2 * fit.misfits <= fit.rows, fit.columns)).dialect


@dataclass(frozen=True)
class _Fit:
    """How well a dialect fits a sample."""

    dialect: Dialect  # with what was found of its header and its row names
    named: bool  # whether the header has the required columns
    rows: int
    misfits: int
    columns: int


def _dialects(separator: str, quote: str, lines: Sequence[str]) -> Iterator[Dialect]:
    """Those with a separator that the lines speak for, the header first; the likeliest dialect is the first."""
    header = lines[0] if lines else ""
    marks = ['"']
    if 2 * sum(line.startswith("'") or f"{separator}'" in line for line in lines) > len(lines):
        marks.append("'")
    if separator in "\t|":  # an open quote among commas is a mistake: among tabs it may well be a character
        marks.append(NO_QUOTE)
    for mark in [quote] if quote else marks:
        plain, spaced = Dialect(separator, mark), Dialect(separator, mark, blanks=True)
        if mark == NO_QUOTE or separator in " \t":
            yield plain
        else:
            all_spaced = 0 < header.count(separator) == header.count(f"{separator} ")
            yield from (spaced, plain) if all_spaced else (plain, spaced)
        if mark != NO_QUOTE:
            yield replace(plain, escaped=True)


def _fit(dialect: Dialect, sample: Sample, wanted: Wanted) -> _Fit:
    dialect = _with_header(dialect, sample.lines, wanted)
    rows, broken = _parsed(dialect, sample.lines[dialect.before :], whole=sample.is_all)
    if not rows:
        return _Fit(dialect, named=False, rows=0, misfits=1, columns=0)
    header, *rest = rows
    names = [header[0].removeprefix("#"), *header[1:]] if dialect.hash_header else header
    rest = [row for row in rest if row and not dialect.passes(row, header)]
    if len(rest) >= _FEWEST_COUNTED and all(len(row) == len(header) + 1 for row in rest):
        counted = [row[0].strip() for row in rest]
        dialect = replace(dialect, row_names=any(counted == _counting(first, counted) for first in (0, 1)))
    misfits = broken + sum(dialect.cells(row, len(header)) is None for row in rest)
    return _Fit(dialect, wanted.in_header(names), len(rest), misfits, len(header))


def _counting(first: int, like: Sequence[object]) -> list[str]:
    return [str(number) for number in range(first, first + len(like))]


def _with_header(dialect: Dialect, sample: Sequence[str], wanted: Wanted) -> Dialect:
    """The line that names the required columns: below a title, or the last comment before the rows."""
    before = dialect.before
    own = _parsed(dialect, sample[before : before + _HEADER_WITHIN])[0]  # a name may have a line end in it
    if own and wanted.in_header(own[0]):
        return dialect
    for number, line in enumerate(sample[: before + _HEADER_WITHIN]):
        (row,) = _parsed(dialect, [line])[0] or [[]]
        if number < before and row and wanted.in_header([row[0].strip().removeprefix("#"), *row[1:]]):
            return replace(dialect, before=number, hash_header=True)
        if number > before and wanted.in_header(row):
            return replace(dialect, before=number)
    return dialect


def _parsed(dialect: Dialect, lines: Sequence[str], *, whole: bool = False) -> tuple[list[list[str]], int]:
    """(rows, faults) of some lines; a quote that is never closed is no fault unless the lines are the whole file."""
    rows: list[list[str]] = []
    reader = dialect.reader(iter(lines))
    try:
        rows.extend(reader)
    except csv.Error:
        return rows, int(whole or reader.line_num < len(lines))
    return rows, 0
