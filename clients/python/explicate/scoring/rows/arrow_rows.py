"""Rows of Arrow files: IPC files, which Feather files are since its version 2, and IPC streams.

A file tells where each batch of rows begins, so reading begins at any of them; a stream is read from its first row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from explicate.errors import UsageError
from explicate.scoring.rows.parquet_rows import common_columns
from explicate.scoring.rows.row_files import PROBLEM, ROWS_AT_ONCE, Columns, FileIndex, RowFormat, cannot_read

SUFFIXES = (".arrow", ".arrows", ".feather", ".ipc")
FILE_MARK = b"ARROW1"  # https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
STREAM_MARK = b"\xff\xff\xff\xff"  # the continuation of a stream's first message, as above
_OLD_FEATHER = b"FEA1"


class ArrowRows(RowFormat):
    """Arrow."""

    name = "Arrow"

    def look(self, path: Path, known: Collection[str], fingerprint: tuple[int, str]) -> FileIndex:  # noqa: ARG002
        with _opened(path) as (is_file, reader):
            if is_file:
                sizes = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
            else:
                sizes = [batch.num_rows for batch in reader]
        starts = accumulate(sizes[:-1], initial=0) if is_file and sizes else [0]
        return FileIndex(str(path), *fingerprint, sum(sizes), marks=tuple(starts))

    def columns(self, files: Sequence[FileIndex]) -> Columns:
        return common_columns(files, _schema)

    def resume_point(self, file: FileIndex, row: int) -> int:
        return max(start for start in file.marks if start <= row)

    def read(self, file: FileIndex, start: int, columns: pa.Schema) -> Iterator[pa.Table]:
        with _opened(Path(file.path)) as (is_file, reader):
            for batch in _batches(reader, file.marks, start) if is_file else reader:
                batch.validate(full=True)  # what a stranger wrote must not be read past its end
                for first in range(0, batch.num_rows, ROWS_AT_ONCE):
                    some = pa.Table.from_batches([batch.slice(first, ROWS_AT_ONCE)])
                    table = some.select(columns.names).cast(columns)
                    yield table.append_column(PROBLEM, pa.nulls(some.num_rows, pa.string()))


def _batches(reader: pa.RecordBatchFileReader, starts: Sequence[int], start: int) -> Iterator[pa.RecordBatch]:
    """Those of a file that begin at a row or after it; a file without rows may have none."""
    numbers = (number for number, first in enumerate(starts) if first >= start)
    return (reader.get_batch(number) for number in numbers if number < reader.num_record_batches)


def _schema(path: Path) -> pa.Schema:
    with _opened(path) as (_, reader):
        return reader.schema


@contextmanager
def _opened(path: Path) -> Iterator[tuple[bool, pa.RecordBatchFileReader | pa.RecordBatchStreamReader]]:
    """Whether it is a file, not a stream, and its reader; raises UsageError for what is not whole."""
    try:
        if path.stat().st_size == 0:
            raise UsageError(f"{path} is empty")
        with pa.OSFile(str(path)) as source:
            first = source.read(len(FILE_MARK))
            source.seek(0)
            if first.startswith(_OLD_FEATHER):
                raise UsageError(f"cannot read {path}: it is a Feather file of version 1: save it in version 2")
            is_file = first == FILE_MARK
            with pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source) as reader:
                yield is_file, reader
    except pa.ArrowInvalid as error:
        raise cannot_read(path, error) from error
    except (OSError, pa.ArrowException) as error:
        raise cannot_read(path, error) from error
