"""Scores the rows of a Ray dataset: `score` is lazy as any `map_batches`, `score_to` a job to go on with.

    applicants = ray.data.read_parquet("s3://bank/applicants")
    scored = explicate.ray.score(applicants, "credit", server="models:8500", explain="auto", seed=0, workers=4)
    scored.filter(expr="probability < 0.6").write_parquet("s3://bank/doubtful")

The version is looked up once, when `score` is called, and every actor asks that one. The server is the scarce resource:
actors spread the waiting, and each finds out how many calls the server takes. A row that the server refuses has its
reason in the column `error`; what is not about a row ends the job. It needs `explicate[ray]`, on the workers too.

`Scorer` is the actor class, for a `map_batches` with other resources:

    job = explicate.ray.planned(rows, "credit", server="models:8500")
    rows.map_batches(explicate.ray.Scorer, fn_constructor_args=(job,), batch_format="pyarrow", batch_size=1000, ...)
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from typing import Unpack

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs
from ray.data import ActorPoolStrategy, Dataset, SaveMode, from_arrow, read_parquet

from explicate.errors import UsageError
from explicate.scoring.arrow_batches import BatchJob, BatchOptions, BatchScorer
from explicate.scoring.engine_parts import FOLDER, PARTS, as_begun, check_same, default_by, job_document, not_ours

BATCH_ROWS = 1000
"""Rows that an actor is handed at once unless said otherwise: a full call of a table."""

_WORKER_CPUS = 0.25  # an actor waits for the server most of its time
_log = logging.getLogger("explicate.ray")


class Scorer:
    """An actor of `map_batches`, which has one client as long as it lives; Ray starts another one if it dies."""

    def __init__(self, job: BatchJob) -> None:
        self._scorer = BatchScorer(job)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows with their answers, and `error`."""
        return self._scorer(rows)


def planned(rows: Dataset, model: str, **options: Unpack[BatchOptions]) -> BatchJob:
    """What a `Scorer` is made with: the version, as the server has it now, and the columns.

    Raises UsageError for a column that is missing or cannot be what the model reads. Ray may read a first block for it.
    """
    return _planned(rows, model, options)


def _planned(rows: Dataset, model: str, options: BatchOptions) -> BatchJob:
    schema = rows.schema()
    if schema is None:
        raise UsageError("the dataset does not have rows, so its columns are not known")
    given = pa.schema(list(zip(schema.names, schema.types, strict=True)))
    return BatchJob.planned(given, model, options, called="the dataset")


def score(
    rows: Dataset, model: str, *, workers: int = 1, batch_rows: int = BATCH_ROWS, **options: Unpack[BatchOptions]
) -> Dataset:
    """Each row with its prediction and, with `explain`, its explanation: the columns of `explicate score`, and `error`.

    workers: actors, each with a connection of its own and a quarter of a CPU. batch_rows: that an actor is handed at
    once. The options are those of `explicate.scoring.arrow_batches.BatchOptions`.
    """
    return _with_answers(rows, _planned(rows, model, options), workers, batch_rows)


def _with_answers(rows: Dataset, job: BatchJob, workers: int, batch_rows: int) -> Dataset:
    return rows.map_batches(
        Scorer,
        fn_constructor_args=(job,),
        batch_format="pyarrow",
        batch_size=batch_rows,
        compute=ActorPoolStrategy(size=workers),
        num_cpus=_WORKER_CPUS,
        udf_modifying_row_count=False,
    )


def score_to(
    rows: Dataset,
    path: str,
    model: str,
    *,
    parts: int = PARTS,
    by: Sequence[str] | None = None,
    workers: int = 1,
    batch_rows: int = BATCH_ROWS,
    **options: Unpack[BatchOptions],
) -> Dataset:
    """The rows as `score` gives them, written as Parquet in the folder `path`; called again, it does what is missing.

    path: absolute, or a URI that pyarrow knows, such as "s3://bank/scored", that every machine of the cluster reaches.
    parts: into how many the rows are cut, each of which reads `rows`: materialize what is dear to make. by: columns
    that say which part a row belongs to; by default all single values. What these hold must be the same in each call.
    The version is that of the first call.

    Raises UsageError if `path` is of another job, and names what differs.
    """
    folder = _Folder(path)
    manifest = folder.read("job.json")
    job = _planned(rows, model, as_begun(path, model, options, manifest))
    by = default_by(job) if by is None else tuple(by)
    document = job_document(job, parts, by)
    if manifest is None:
        folder.check_empty()
        folder.write("job.json", document)
    else:
        check_same(path, manifest, document)
    for part in range(parts):
        if folder.read(f"done/{part}.json") is None:
            own = rows.map_batches(_of_part, fn_args=(part, parts, by), batch_format="pyarrow", batch_size=None)
            folder.write_part(part, _with_answers(own, job, workers, batch_rows))
            _log.info("part %d of %d is done", part + 1, parts)
    return folder.whole(job.schema)


def _of_part(rows: pa.Table, part: int, parts: int, by: Sequence[str]) -> pa.Table:
    """The rows of one part."""
    columns = [rows[name].cast(pa.string()) for name in by]
    held = pc.binary_join_element_wise(*columns, "\x1f", null_handling="replace", null_replacement="\x00")
    return rows.filter(pa.array([zlib.crc32(each.encode()) % parts == part for each in held.to_pylist()], pa.bool_()))


class _Folder:
    """The folder of a job, wherever pyarrow reaches."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._files, self._root = fs.FileSystem.from_uri(path)
        except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError
            raise UsageError(f"cannot write to {path}: give an absolute path or a URI ({error})") from error

    def read(self, name: str) -> str | None:
        """A file of the job's own; None if it is not there."""
        try:
            with self._files.open_input_stream(f"{self._root}/{FOLDER}/{name}") as file:
                return bytes(file.read()).decode()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file of the job's own, whole or not at all."""
        target = f"{self._root}/{FOLDER}/{name}"
        self._files.create_dir(target.rpartition("/")[0], recursive=True)
        with self._files.open_output_stream(f"{target}.tmp") as file:
            file.write(text.encode())
        self._files.move(f"{target}.tmp", target)

    def check_empty(self) -> None:
        """Raise UsageError for a folder with something else in it."""
        if found := self._parquet(self._root):
            raise not_ours(self._path, found[0])

    def write_part(self, part: int, rows: Dataset) -> None:
        """Write a part in place of what a kill has left of it, and then note that it is done."""
        own = f"{self._root}/{_part_name(part)}"
        rows.write_parquet(own, filesystem=self._files, mode=SaveMode.OVERWRITE)
        self.write(f"done/{part}.json", "{}")

    def whole(self, schema: pa.Schema) -> Dataset:
        """All parts."""
        found = self._parquet(self._root)
        if not found:
            return from_arrow(schema.empty_table())
        return read_parquet(found, filesystem=self._files, partitioning=None)

    def _parquet(self, folder: str) -> list[str]:
        infos = self._files.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True))
        return sorted(info.path for info in infos if info.path.endswith(".parquet"))


def _part_name(part: int) -> str:
    return f"part-{part:05d}"
