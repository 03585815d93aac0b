"""Opens the inputs of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import glob
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from explicate.errors import UsageError
from explicate.inputs import GivenValue, Input
from explicate.model_info import ModelDescription
from explicate.scoring.interfaces import InputFile, InputOptions, RowBatch, Source


def open_source(options: InputOptions, model: ModelDescription) -> Source:
    """The inputs, once they are known to have what the model reads."""
    return _Parquet(options, model)


class _Columns:
    def __init__(self, rows: pa.RecordBatch, wanted: Mapping[str, str], *, is_table: bool) -> None:
        self._rows, self._wanted, self._is_table = rows, wanted, is_table

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def value(self, place: int) -> Input:
        row: Input = {name: self._rows[column][place].as_py() for name, column in self._wanted.items()}
        return row if self._is_table else row["text"]  # type: ignore[return-value]

    def columns(self, places: Sequence[int]) -> Mapping[str, Iterable[GivenValue]] | None:
        if not self._is_table:
            return None
        rows = self._rows.take(pa.array(places, pa.int64()))
        return {name: rows[column].to_pylist() for name, column in self._wanted.items()}


class _Parquet:
    def __init__(self, options: InputOptions, model: ModelDescription) -> None:
        self._paths = [Path(each) for path in options.paths for each in sorted(glob(path))]
        if not self._paths:
            raise UsageError(f"there is no file {' '.join(options.paths)}")
        self._is_table = bool(model.columns)
        names = [column.name for column in model.columns] or ["text"]
        self._wanted = {name: options.columns.get(name, name) for name in names}
        self.files = [self._file(path) for path in self._paths]
        schema = pq.read_schema(self._paths[0]).remove_metadata()
        missing = [column for column in self._wanted.values() if column not in schema.names]
        if missing:
            raise UsageError(f"{self._paths[0]} does not have the column {missing[0]}, which the model reads")
        self.kept = schema if options.keep is None else pa.schema([schema.field(name) for name in options.keep])

    @staticmethod
    def _file(path: Path) -> InputFile:
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"cannot read {path}: {error}") from error
        return InputFile(str(path), path.stat().st_size, rows, hashlib.sha256(path.read_bytes()).hexdigest())

    def batches(self, ranges: Iterable[range], *, batch_rows: int) -> Iterator[RowBatch]:
        table = pa.concat_tables([pq.read_table(path) for path in self._paths])
        for each in ranges:
            for start in range(each.start, each.stop, batch_rows):
                rows = table.slice(start, min(batch_rows, each.stop - start)).combine_chunks().to_batches()[0]
                inputs = _Columns(rows, self._wanted, is_table=self._is_table)
                yield RowBatch(start, rows.select(self.kept.names), inputs, {})
