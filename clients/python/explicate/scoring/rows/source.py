"""The inputs of a run: their files in order, and the rows of any range of them in batches."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from explicate.errors import UsageError
from explicate.model_info import ModelDescription
from explicate.scoring.interfaces import InputFile, InputOptions, RowBatch
from explicate.scoring.rows.arrow_rows import FILE_MARK, STREAM_MARK, SUFFIXES, ArrowRows
from explicate.scoring.rows.csv_rows import CsvRows
from explicate.scoring.rows.fields import Fields, field_names, fields_of, kept_schema
from explicate.scoring.rows.json_rows import JsonRows
from explicate.scoring.rows.parquet_rows import ParquetRows
from explicate.scoring.rows.row_files import (
    PROBLEM,
    Columns,
    FileIndex,
    RowFormat,
    cannot_read,
    find,
    fingerprint,
    suffix_of,
)
from explicate.scoring.rows.texts import refused

_INDEX = ".inputs.json"
_PARQUET = b"PAR1"
_MARKS = {_PARQUET: ".parquet", FILE_MARK: ".arrow", STREAM_MARK: ".arrow"}
_FORMATS: dict[str, RowFormat] = {
    **dict.fromkeys((".parquet", ".pq"), ParquetRows()),
    **dict.fromkeys(SUFFIXES, ArrowRows()),
    **dict.fromkeys((".csv", ".tsv", ".txt"), CsvRows()),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), JsonRows()),
}


def open_source(options: InputOptions, model: ModelDescription, *, known: Iterable[FileIndex] = ()) -> FileSource:
    """The rows of files for a model. All files are looked through, and their columns checked, before any row is read.

    known: what an earlier run found; a file that still has its fingerprint is not looked through again.
    Raises UsageError, in one sentence with the file's name, for what cannot be read or does not go together.
    """
    paths = find(options.paths, _FORMATS.keys())
    formats = {path: _format_of(path) for path in paths}
    first = paths[0]
    for path, one in formats.items():
        if one is not formats[first]:
            raise UsageError(f"{first} is {formats[first].name} and {path} is {one.name}: give files of one format")
    wanted = {options.columns.get(name, name) for name in field_names(model)}
    earlier = {(file.path, file.size_bytes, file.sha256): file for file in known}
    files = []
    for path in paths:
        try:
            stamp = fingerprint(path)
            files.append(earlier.get((str(path), *stamp)) or formats[path].look(path, wanted, stamp))
        except OSError as error:
            raise cannot_read(path, error) from error
    return FileSource(formats[first], files, options, model)


def known_files(folder: Path) -> list[FileIndex]:
    """What `FileSource.keep_index` kept in the folder of a run; nothing if that cannot be read."""
    try:
        kept = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        return [FileIndex(**{**file, "marks": tuple(file["marks"])}) for file in kept]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _format_of(path: Path) -> RowFormat:
    """The format by the name, unless the file begins as Parquet or Arrow does or the name says nothing."""
    try:
        with path.open("rb") as file:
            first = file.read(len(FILE_MARK))
    except OSError as error:
        raise cannot_read(path, error) from error
    if not first:
        raise UsageError(f"{path} is empty")
    for mark, suffix in _MARKS.items():
        if first.startswith(mark):
            return _FORMATS[suffix]
    known = _FORMATS.get(suffix_of(path))
    if known is None:
        known = _FORMATS[".jsonl" if first.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{") else ".csv"]
    return known


class FileSource:
    """Rows of files, numbered from 0 in the files' order. It is an `explicate.scoring.interfaces.Source`."""

    def __init__(
        self, form: RowFormat, files: Sequence[FileIndex], options: InputOptions, model: ModelDescription
    ) -> None:
        self._form = form
        self.indices = tuple(files)
        self._ends = list(accumulate(file.rows for file in files))
        self._stamps = [_stamp(file.path) for file in files]
        columns = form.columns(files)
        self._fields = fields_of(model, options.columns, columns.raw, files[0].path)
        self.kept = kept_schema(options.keep, columns.typed, files[0].path)
        self._read = _union(columns, self._fields, self.kept)

    @property
    def files(self) -> tuple[InputFile, ...]:
        """In the order of their rows."""
        return tuple(InputFile(file.path, file.size_bytes, file.rows, file.sha256) for file in self.indices)

    def keep_index(self, folder: Path) -> None:
        """Keep what was found in the files in the folder of a run, for `known_files`, if that can be written."""
        unfinished = folder / f"{_INDEX}.{os.getpid()}"
        with suppress(OSError):
            unfinished.write_text(json.dumps([asdict(file) for file in self.indices]), encoding="utf-8")
            unfinished.replace(folder / _INDEX)

    @property
    def rows(self) -> int:
        """Of all files."""
        return self._ends[-1]

    def batches(self, ranges: Iterable[range], *, batch_rows: int) -> Iterator[RowBatch]:
        """The rows of each range in turn, see `Source.batches`."""
        cursor = _Cursor(self)
        for rows in ranges:
            for start in range(rows.start, rows.stop, batch_rows):
                stop = min(start + batch_rows, rows.stop)
                yield self._batch(start, pa.concat_tables(list(cursor.rows(start, stop))))

    def read_file(self, number: int, row: int) -> Iterator[pa.Table]:
        """The rows of a file from one of its resume points on; raises UsageError if it is not what it was."""
        file = self.indices[number]
        self._check_unchanged(number)
        for table in self._form.read(file, row, self._read):
            self._check_unchanged(number)  # a file may be open for long
            yield table

    def _check_unchanged(self, number: int) -> None:
        path = self.indices[number].path
        if _stamp(path) != self._stamps[number]:
            raise UsageError(f"{path} was changed while it was read: its rows may be others now")

    def resume_point(self, number: int, row: int) -> int:
        """The last row of a file up to `row` at which reading can begin."""
        return self._form.resume_point(self.indices[number], row)

    def place(self, row: int) -> tuple[int, int]:
        """The file that has a row, and the row's number in it."""
        number = bisect_right(self._ends, row)
        return number, row - (self._ends[number] - self.indices[number].rows)

    def _batch(self, start: int, table: pa.Table) -> RowBatch:
        inputs, refusals = self._fields.inputs(table, self._folder_of(start))
        problems = table[PROBLEM].combine_chunks()
        for place in pc.indices_nonzero(pc.is_valid(problems)).to_pylist():
            refusals[place] = refused("", f"the line {problems[place].as_py()}")
        return RowBatch(start, _record_batch(table, self.kept), inputs, dict(sorted(refusals.items())))

    def _folder_of(self, start: int) -> Callable[[int], Path]:
        return lambda place: Path(self.indices[self.place(start + place)[0]].path).parent


class _Cursor:
    """Reads on from where it is, and jumps ahead where a file can be taken up nearer to what is wanted."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._tables: Iterator[pa.Table] = iter(())
        self._held: pa.Table | None = None
        self._file, self._at = -1, 0  # the file, and the next row of it

    def rows(self, start: int, stop: int) -> Iterator[pa.Table]:
        """The rows of a range, in tables."""
        while start < stop:
            number, row = self._source.place(start)
            in_file = self._source.indices[number].rows - row
            wanted = min(stop - start, in_file)
            self._go(number, row)
            yield from self._take(row + wanted)
            start += wanted

    def _go(self, number: int, row: int) -> None:
        point = self._source.resume_point(number, row)
        if number != self._file or row < self._at or point > self._at:
            self._tables, self._held = self._source.read_file(number, point), None
            self._file, self._at = number, point
        for _ in self._take(row):
            pass

    def _take(self, stop: int) -> Iterator[pa.Table]:
        while self._at < stop:
            table = self._held if self._held is not None else next(self._tables, None)
            if table is None:
                path = self._source.indices[self._file].path
                raise UsageError(f"{path} ends at row {self._at:,} of those that it had: it was changed")
            wanted = stop - self._at
            self._held = table.slice(wanted) if table.num_rows > wanted else None
            taken = table.slice(0, wanted)
            self._at += taken.num_rows
            yield taken


def _union(columns: Columns, fields: Fields, kept: pa.Schema) -> pa.Schema:
    """The columns to read: those that the model reads and those that go along."""
    wanted = {*fields.columns.values(), *kept.names}
    return pa.schema([field for field in columns.raw if field.name in wanted])


def _record_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [_one(table[field.name].cast(field.type)) for field in schema]
    if not arrays:  # a batch without columns counts its rows all the same
        return pa.RecordBatch.from_struct_array(pa.array([{}] * table.num_rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _one(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _stamp(path: str) -> tuple[int, int, int]:
    """What tells cheaply that a file was written to or replaced."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise cannot_read(path, error) from error
    return found.st_size, found.st_mtime_ns, found.st_ino
