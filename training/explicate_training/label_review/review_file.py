"""The CSV file of suspects that a person reviews, and what comes back of it, as Excel and others write it.

A row is found again by its number in its file and by a digest of what it holds, so that a review cannot end up on other
rows than those it was made of.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO  # Any: what a row holds, as JSON values

from explicate.errors import UsageError
from explicate_training.data.delimited import Sample, Written, find_dialect
from explicate_training.data.encodings import find_encoding, open_text
from explicate_training.data.files import DataFile, read_file
from explicate_training.data.header import Wanted, clean_name, listed
from explicate_training.data.labels import SPLITS, Split, class_name, parse_number

OPTION = "--labels"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet may run; OWASP, CSV Injection
_GUARD = "'"
_KEY_CHARACTERS = 16
_YES, _NO = frozenset({"yes", "y", "x", "1", "true", "drop"}), frozenset({"", "no", "n", "0", "false", "keep"})
_REQUIRED = ("file", "row", "key", "given_label", "reviewed_label")
_OPTIONAL = ("drop", "reviewer")


@dataclass(frozen=True)
class ReviewRow:
    """A suspect as the file has it: what is known, and empty columns for the reviewer."""

    file: str  # of the given files: train, validation or test
    row: int  # in this file, from 1, without the header
    part: str  # of the run
    given_label: str
    suggested_label: str
    probability: str  # of the suggested label
    probability_given: str
    input: str
    reasons: str
    key: str
    reviewed_label: str = ""
    drop: str = ""
    reviewer: str = ""
    note: str = ""


def key_of(content: Any) -> str:
    """A digest of what a row holds besides its label; it begins with a letter, so that Excel takes it for no number."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return f"k{hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARACTERS]}"


def write_review(file: TextIO, rows: Sequence[ReviewRow]) -> None:
    """Writes suspects as CSV, none of whose cells a spreadsheet runs as a formula. Open the file with newline=""."""
    names = [declared.name for declared in fields(ReviewRow)]
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([guarded(getattr(row, name)) for name in names])


def guarded(cell: str | int) -> str | int:
    """A cell that is text in every spreadsheet: an apostrophe before what would be a formula."""
    return f"{_GUARD}{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith(_GUARD) and cell[1:].startswith(_FORMULA) else cell


@dataclass(frozen=True)
class Decision:
    """What a reviewer said of a row: another label, the same one, or to drop it."""

    place: str  # the file and the line, for messages
    file: Split
    row: int
    key: str
    given: str
    label: str  # empty: it is dropped
    reviewer: str


def read_review(path: Path) -> list[Decision]:
    """The rows of a reviewed file in which the reviewer filled in `reviewed_label` or `drop`, each once.

    Raises:
        UsageError: it cannot be read, lacks a column, or a cell is not what it should be; with line and column.
    """
    if not path.is_file():
        raise UsageError(f"{OPTION}: {path} does not exist")
    found: dict[tuple[str, int], Decision] = {}
    for place, cells in _rows(path):
        decision = _decision(place, {name: _unguarded((cells.get(name) or "").strip()) for name in cells})
        if decision is None:
            continue
        key = (decision.file, decision.row)
        other = found.setdefault(key, decision)
        if (other.label, other.key) != (decision.label, decision.key):
            raise UsageError(f"{place}: the row is also in {other.place} and is decided otherwise there: leave one")
    return list(found.values())


def _decision(place: str, cells: Mapping[str, str]) -> Decision | None:
    drop, label = cells.get("drop", "").casefold(), cells["reviewed_label"]
    if drop not in _YES | _NO:
        raise UsageError(f"{place}, column drop: {cells['drop']!r} is neither yes nor empty")
    if drop in _NO and not label:
        return None
    if drop in _YES and label:
        raise UsageError(f"{place}, column drop: the row has a reviewed_label, {label!r}, too: leave one of them empty")
    file = next((split for split in SPLITS if split == cells["file"].casefold()), None)
    if file is None:
        raise UsageError(f"{place}, column file: {cells['file']!r} is none of {', '.join(SPLITS)}")
    number = parse_number(cells["row"])
    if number is None or number < 1 or not float(number).is_integer():
        raise UsageError(f"{place}, column row: {cells['row']!r} is not the number of a row")
    return Decision(place, file, int(number), cells["key"], cells["given_label"], label, cells.get("reviewer", ""))


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a file by column, each with its place; columns may be in any order, and others among them."""
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        yield from _delimited_rows(path)
        return
    wanted = Wanted({f"{OPTION} ({name})": name for name in _REQUIRED}, optional=_OPTIONAL)
    (columns,) = read_file(DataFile(OPTION, "train", str(path), Written()), wanted)
    for number, cells in enumerate(zip(*columns.values.values(), strict=True), start=1):
        words = [class_name(cell) or "" for cell in cells]
        yield f"{path}, row {number}", dict(zip(columns.values, words, strict=True))


def _delimited_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    encoding = find_encoding(path, "")
    wanted = Wanted({name: name for name in _REQUIRED})
    try:
        with open_text(path, encoding) as file:
            dialect = find_dialect(Sample.of(iter(file)), wanted, Written(), tabs=path.suffix.lower() == ".tsv")
        with open_text(path, encoding) as file:
            for _ in range(dialect.before):
                file.readline()
            yield from _parsed(path, dialect.reader(iter(file)), dialect.before)
    except UnicodeError as error:
        raise UsageError(f"{path} cannot be read as {encoding.told} ({error}): save it as CSV in UTF-8") from None


def _parsed(path: Path, reader: Any, before: int) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        header = [clean_name(name) for name in next(reader, [])]
        for name in _REQUIRED:
            if name not in header:
                raise UsageError(
                    f"{path}, line {before + 1} has no column {name!r} but {listed(header)}: give a file that "
                    "`explicate labels` wrote and a person reviewed"
                )
        first = before + reader.line_num + 1
        for cells in reader:
            place, first = f"{path}, line {first}", before + reader.line_num + 1
            if any(cell.strip() for cell in cells):
                padded = [*cells, *[""] * (len(header) - len(cells))]  # some programs leave empty cells at the end out
                yield place, dict(zip(header, padded, strict=False))
    except csv.Error as error:
        raise UsageError(f"{path}, line {before + reader.line_num}: {error}: check its quotes") from None
