"""Writes a part of the output, so that the same rows are the same bytes whenever and by whomever they are written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from explicate.errors import UsageError
from explicate.scoring.output_columns import OutputColumns
from explicate.scoring.output_folder import OutputFolder, sync_folder, written_whole

# Fixed, for they decide the bytes of a file.
_FORMAT: dict[str, Any] = {  # Any: as ParquetWriter takes them
    "compression": "zstd",
    "compression_level": 3,
    "version": "2.6",
    "data_page_version": "1.0",
    "use_dictionary": True,
    "write_statistics": True,
}
# A row group is written once its rows have about so many bytes, which bounds memory where rows are long texts.
_GROUP_BYTES = 8 * 1024 * 1024
_CELL_BYTES = 8


class PartWriter:
    """One part under way: in a `with` statement `add` its batches in their order, then `finish`.

    Left in another way, such as by an error, nothing of it stays. Raises CannotWrite.
    """

    def __init__(self, folder: OutputFolder, number: int, columns: OutputColumns) -> None:
        self._folder, self._number, self._columns = folder, number, columns
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._failed: list[pa.RecordBatch] = []
        self._open = ExitStack()
        self._writer: Any = None  # a ParquetWriter, once there is a row group

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def add(self, answered: pa.RecordBatch, failed: pa.RecordBatch) -> None:
        """Add the answered and the failed ones of the next rows."""
        if failed.num_rows:
            self._failed.append(failed)
        self._held.append(answered)
        self._held_bytes += _about_bytes(answered)
        if self._held_bytes >= _GROUP_BYTES:
            self._write_group()

    def finish(self) -> None:
        """Give the part its name. The file of its failed rows is there before."""
        failed = self._folder.failed_part(self._number)
        if self._failed:
            with written_whole(failed) as file:
                rows = pa.Table.from_batches(self._failed, self._columns.failed_schema).combine_chunks()
                pq.write_table(rows, file, **_FORMAT)
        elif failed.exists():  # of an earlier run, which these rows have an answer in
            failed.unlink()
            sync_folder(failed.parent)
        if self._held or self._writer is None:
            self._write_group()
        self._open.close()

    def _write_group(self) -> None:
        if self._writer is None:
            file = self._open.enter_context(written_whole(self._folder.part(self._number)))
            self._writer = self._open.enter_context(pq.ParquetWriter(file, self._columns.schema, **_FORMAT))
        group = pa.Table.from_batches(self._held, self._columns.schema).combine_chunks()
        self._writer.write_table(group, row_group_size=max(1, group.num_rows))
        self._held, self._held_bytes = [], 0


def _about_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of a batch by its values alone, whatever buffers they lie in: it decides where row groups end."""
    return sum(_array_bytes(array) for array in batch.columns)


def _array_bytes(array: pa.Array) -> int:
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return int(pc.sum(pc.binary_length(array)).as_py() or 0)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _array_bytes(array.flatten())
    if pa.types.is_struct(kind):
        return sum(_array_bytes(each) for each in array.flatten())
    return _CELL_BYTES * len(array)


class EarlierPart:
    """A part that an earlier run has written, with rows that failed then."""

    def __init__(self, folder: OutputFolder, number: int, columns: OutputColumns, rows: range) -> None:
        """Raises UsageError if its files cannot be read, or do not have the part's rows."""
        path = folder.part(number)
        try:
            failed = pq.read_table(folder.failed_part(number), columns=["row"])
            self._answered = pq.read_table(path, schema=columns.schema).combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"cannot read {path}: {error}; delete it, and run the same command again") from error
        self.failed: set[int] = set(failed["row"].to_pylist())
        if len(self.failed) + self._answered.num_rows != len(rows):
            raise UsageError(f"{path} does not have the rows of its part: delete it, and run the same command again")
        self._taken = 0

    def next_rows(self, rows: range) -> tuple[pa.RecordBatch, list[int]]:
        """The rows of a range that have an answer, and their places in it; ranges come in their order."""
        places = [place for place, row in enumerate(rows) if row not in self.failed]
        answered = self._answered.slice(self._taken, len(places)).combine_chunks()
        self._taken += len(places)
        return _one_batch(answered), places


def merged(
    before: pa.RecordBatch, before_places: Sequence[int], new: pa.RecordBatch, new_places: Sequence[int]
) -> pa.RecordBatch:
    """The rows of both in the order of their places."""
    if not before_places:
        return new
    both = pa.Table.from_batches([before, new]).combine_chunks()
    places = [*before_places, *new_places]
    order = sorted(range(len(places)), key=places.__getitem__)
    return _one_batch(both.take(pa.array(order, pa.int64())).combine_chunks())


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=table.schema)
