"""Reads the columns of a spreadsheet: one sheet of an .xlsx file, whose header is the row with the required names.

Numbers, words and truth values stay what they are, dates become text as ISO 8601 writes them, and cells with an error,
such as #N/A, are missing.
"""

import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any  # openpyxl's sheets

from explicate.errors import UsageError
from explicate_training.data.header import Rows, Tell, Wanted, listed

_MOST_TIMES, _ALWAYS_BYTES = 100, 256 * 2**20  # bytes of a file against those it unpacks to; tables pack 5 to 30 times
_MOST_CELLS = 100_000_000  # of a sheet, empty ones among them: one cell far to the right makes a row wide
# What openpyxl raises for files that are damaged or of another kind; its XML parser's errors are SyntaxErrors.
_UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, SyntaxError, EOFError, zipfile.BadZipFile, zlib.error)
_HEADER_WITHIN = 20  # rows in which the header is looked for


def read_workbook(path: Path, wanted: Wanted, sheet: str, tell: Tell) -> dict[str, list[object]]:
    """The wanted columns of one sheet; `sheet` names it, empty: the only one with the required columns.

    Raises UsageError when openpyxl is missing, the file is no spreadsheet, or no sheet or several have the columns.
    """
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise UsageError(
            f"{path}: spreadsheets are read by openpyxl: pip install openpyxl, or save it as CSV"
        ) from None
    _check_size(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of drawings, styles and rules, which are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            with closing(book):
                name, start = _choose(path, book, wanted, sheet)
                return _read(path, book, name, start, wanted, tell)
    except _UNREADABLE as error:
        raise UsageError(f"{path} is not a spreadsheet that openpyxl can read ({error}): save it as CSV") from None


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        raise UsageError(f"{path} is not a spreadsheet: give an .xlsx file, or name it by what it is") from None
    if unpacked > max(_ALWAYS_BYTES, _MOST_TIMES * path.stat().st_size):
        raise UsageError(f"{path} unpacks to {unpacked / 2**20:,.0f} MiB, which no table does: save it as CSV")


def _choose(path: Path, book: Any, wanted: Wanted, sheet: str) -> tuple[str, int]:
    """The sheet to read, and how many rows are before its header."""
    names = [one.title for one in book.worksheets]
    if sheet and sheet not in names:
        raise UsageError(f"data.sheet: {path} has no sheet {sheet!r}, but {listed(names)}")
    asked = [sheet] if sheet else [one.title for one in book.worksheets if one.sheet_state == "visible"] or names
    headers = {name: place for name in asked if (place := _header_place(path, book[name], wanted)) is not None}
    if len(headers) > 1:
        raise UsageError(f"{path} has the columns in the sheets {listed(list(headers))}: set data.sheet to one of them")
    return next(iter(headers.items()), (asked[0], 0))  # without one the reader says what is missing


def _header_place(path: Path, sheet: Any, wanted: Wanted) -> int | None:
    for place, row in enumerate(islice(_rows(path, sheet), _HEADER_WITHIN)):
        if wanted.in_header(row):
            return place
    return None


def _read(path: Path, book: Any, name: str, start: int, wanted: Wanted, tell: Tell) -> dict[str, list[object]]:
    from openpyxl.cell.cell import ERROR_CODES

    rows = _rows(path, book[name])
    header = next(islice(rows, start, None), ())
    if not header:
        raise UsageError(f"{path}, sheet {name!r} is empty: its first row must name the columns")
    place = f"{path}, sheet {name!r}, row {start + 1}"
    kept = Rows(wanted.places(header, place), wanted.unnamed(header), empty_is_missing=True)
    errors = 0
    for number, row in enumerate(rows, start=start + 2):
        if not any(cell not in (None, "") for cell in row):
            continue
        if any(cell not in (None, "") for cell in row[len(header) :]):
            raise UsageError(f"{path}, sheet {name!r}, row {number} is wider than the header: name all columns")
        cells = [_plain(cell) for cell in row[: len(header)]] + [None] * (len(header) - len(row))
        wrong = [index for index, cell in enumerate(cells) if isinstance(cell, str) and cell in ERROR_CODES]
        for index in wrong:
            cells[index] = None
        errors += len(wrong)
        kept.add(cells)
    said = [f"sheet {name!r}", *([f"header in row {start + 1}"] if start else [])]
    said += [f"cells with an error, such as #N/A, are missing: {errors}"] if errors else []
    values, notes = kept.columns()
    tell(f"{path.name}: {', '.join([*said, *notes])}")
    return values


def _rows(path: Path, sheet: Any) -> Iterator[Sequence[Any]]:
    """The rows of a sheet, each as wide as its last cell; the size that a file says it has is not believed."""
    if not hasattr(sheet, "reset_dimensions"):  # a sheet of charts alone
        return
    sheet.reset_dimensions()
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row)
        if cells > _MOST_CELLS:
            raise UsageError(f"{path}, sheet {sheet.title!r} has more than {_MOST_CELLS:,} cells: save it as CSV")
        yield row


def _plain(cell: Any) -> object:
    """Dates and times as text; a day without a time of day as the day alone."""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date | time) else cell
