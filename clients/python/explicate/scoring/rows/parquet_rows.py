"""Rows of Parquet files.

The footer tells how many rows there are and where each group of rows begins, so nothing is looked through and reading
begins at any group. Dictionaries (pandas' categories) are read as their values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from explicate.errors import UsageError
from explicate.scoring.rows.row_files import PROBLEM, ROWS_AT_ONCE, Columns, FileIndex, RowFormat, cannot_read

_BUFFER_BYTES = 1 << 20  # of each column: a whole group of rows may be larger than memory


class ParquetRows(RowFormat):
    """Parquet."""

    name = "Parquet"

    def look(self, path: Path, known: Collection[str], fingerprint: tuple[int, str]) -> FileIndex:  # noqa: ARG002
        with _opened(path) as file:
            rows, starts = file.metadata.num_rows, _starts(file.metadata)
        return FileIndex(str(path), *fingerprint, rows, marks=tuple(starts))

    def columns(self, files: Sequence[FileIndex]) -> Columns:
        return common_columns(files, _schema)

    def resume_point(self, file: FileIndex, row: int) -> int:
        return max(start for start in file.marks if start <= row)

    def read(self, file: FileIndex, start: int, columns: pa.Schema) -> Iterator[pa.Table]:
        groups = [number for number, first in enumerate(file.marks) if first >= start]
        with _opened(Path(file.path)) as opened:
            names = columns.names or opened.schema_arrow.names[:1]  # the rows are counted by a column
            for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=groups, columns=names):
                table = pa.Table.from_batches([batch]).select(columns.names).cast(columns)
                yield table.append_column(PROBLEM, pa.nulls(batch.num_rows, pa.string()))


def common_columns(files: Sequence[FileIndex], schema_of: Callable[[Path], pa.Schema]) -> Columns:
    """The columns of files that have a schema each; raises UsageError where these do not go together."""
    common: dict[str, pa.DataType] = {}
    for number, file in enumerate(files):
        own = _types(schema_of(Path(file.path)), file.path)
        common = own if number == 0 else _together(common, own, files[0].path, file.path)
    schema = pa.schema(list(common.items()))
    return Columns(schema, schema)


def _schema(path: Path) -> pa.Schema:
    with _opened(path) as opened:
        return opened.schema_arrow


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """The file, read a little at a time; raises UsageError for what is not a whole Parquet file."""
    try:
        if path.stat().st_size == 0:
            raise UsageError(f"{path} is empty")
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            yield file
    except pa.ArrowInvalid as error:
        if "magic bytes" in str(error) or "footer" in str(error):
            raise UsageError(f"cannot read {path}: the file is cut short, or still being written") from error
        raise cannot_read(path, error) from error
    except (OSError, pa.ArrowException) as error:
        raise cannot_read(path, error) from error


def _starts(metadata: pq.FileMetaData) -> list[int]:
    """The first row of each group that has rows."""
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return list(accumulate(sizes[:-1], initial=0)) if sizes else [0]


def _types(schema: pa.Schema, path: str) -> dict[str, pa.DataType]:
    doubled = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if doubled:
        raise UsageError(f"{path} has the column {doubled[0]} twice")
    return {field.name: _plain(field.type) for field in schema}


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values, without how they are stored."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _together(
    common: dict[str, pa.DataType], own: dict[str, pa.DataType], first: str, path: str
) -> dict[str, pa.DataType]:
    if others := sorted(common.keys() ^ own.keys()):
        here, there = (first, path) if others[0] in common else (path, first)
        raise UsageError(f"{here} has the column {others[0]}, which {there} does not have")
    joined = {}
    for name, kind in common.items():
        both = _wider(kind, own[name])
        if both is None:
            raise UsageError(f"the column {name} holds {kind} in {first} and {own[name]} in {path}")
        joined[name] = both
    return joined


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both without a loss; None if there is none."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    for alike in (pa.types.is_signed_integer, pa.types.is_unsigned_integer, pa.types.is_floating):
        if alike(one) and alike(other):
            return max(one, other, key=lambda kind: kind.bit_width)
    return None
