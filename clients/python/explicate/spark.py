"""Scores the rows of a Spark DataFrame: `score` is a transformation like any other, `score_to` a job to go on with.

    scored = explicate.spark.score(applicants, "credit", server="models:8500", explain="auto", seed=0)
    scored.where("error is null and probability < 0.6").write.parquet("s3://bank/doubtful")

The version is looked up once, when `score` is called, and every task asks that one. The server is the scarce resource:
Spark spreads the waiting, and each worker finds out how many calls the server takes. A row that the server refuses has
its reason in the column `error`; what is not about a row fails its task, which Spark tries again. It needs
`explicate[spark]`, on the workers too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Unpack

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Observation, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from explicate.scoring.arrow_batches import ERROR, BatchJob, BatchOptions, scorer_of
from explicate.scoring.engine_parts import FOLDER, PARTS, as_begun, check_same, default_by, job_document, not_ours

_log = logging.getLogger("explicate.spark")
_PART = "_part"  # the folder of a part is _part=7; no column has the name
_DONE = "part int, rows long, failed long"


def score(rows: DataFrame, model: str, **options: Unpack[BatchOptions]) -> DataFrame:
    """Each row with its prediction and, with `explain`, its explanation: the columns of `explicate score`, and `error`.

    The options are those of `explicate.scoring.arrow_batches.BatchOptions`.
    Raises UsageError, before any job, for a column that is missing or cannot be what the model reads.
    """
    return with_answers(rows, BatchJob.planned(to_arrow_schema(rows.schema), model, options, called="the DataFrame"))


def score_to(
    rows: DataFrame,
    path: str,
    model: str,
    *,
    parts: int = PARTS,
    by: Sequence[str] | None = None,
    **options: Unpack[BatchOptions],
) -> DataFrame:
    """The rows as `score` gives them, written as Parquet in the folder `path`; called again, it does what is missing.

    Each part is a job and a folder of its own, committed by Spark, and then noted as done. After a kill of the driver
    the same call leaves the parts that are done, and asks the version that the first call did. `path` may lie wherever
    Spark writes to.

    parts: into how many the rows are cut, each of which reads `rows`: cache what is dear to make. by: columns that say
    which part a row belongs to; by default all single values. What these hold must be the same in each call.

    Raises UsageError if `path` is of another job, and names what differs.
    """
    spark = rows.sparkSession
    begun = [str(row.value) for row in _lines(spark, f"{path}/{FOLDER}/job", "value string", "text")]
    manifest = begun[0] if begun else None
    given = to_arrow_schema(rows.schema)
    job = BatchJob.planned(given, model, as_begun(path, model, options, manifest), called="the DataFrame")
    by = default_by(job) if by is None else tuple(by)
    document = job_document(job, parts, by)
    if manifest is None:
        _check_empty(spark, path)
        spark.createDataFrame([(document,)], "value string").write.mode("overwrite").text(f"{path}/{FOLDER}/job")
    else:
        check_same(path, manifest, document)
    done = {row.part for row in _lines(spark, f"{path}/{FOLDER}/done", _DONE, "json")}
    part_of = F.pmod(F.xxhash64(*map(_quoted, by)), F.lit(parts))
    for part in sorted(set(range(parts)) - done):
        _write(with_answers(rows.where(part_of == part), job), path, part, parts)
    return spark.read.schema(_spark_schema(rows.schema, job)).parquet(path).drop(_PART)


def _write(scored: DataFrame, path: str, part: int, parts: int) -> None:
    """Write one part whole, and then note that it is done."""
    seen = Observation()
    counted = scored.observe(seen, F.count(F.lit(1)).alias("rows"), F.count(ERROR).alias("failed"))
    counted.write.mode("overwrite").parquet(f"{path}/{_PART}={part}")
    count = seen.get
    line = [(part, count["rows"], count["failed"])]
    scored.sparkSession.createDataFrame(line, _DONE).coalesce(1).write.mode("append").json(f"{path}/{FOLDER}/done")
    _log.info("part %d of %d is done: %d rows, %d failed", part + 1, parts, count["rows"], count["failed"])


def _lines(spark: SparkSession, path: str, schema: str, form: str) -> list[Row]:
    """The rows of small files; none if they are not there."""
    try:
        found: list[Row] = spark.read.schema(schema).format(form).load(path).collect()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return []
        raise
    return found


def _check_empty(spark: SparkSession, path: str) -> None:
    """Raise UsageError for a folder that has files which engines read."""
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
        found = files.select("path").limit(1).collect()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return
        raise
    if found:
        raise not_ours(path, found[0].path)


def with_answers(rows: DataFrame, job: BatchJob) -> DataFrame:
    """The rows with their answers; Spark need not read the columns that `job` is not given."""

    def explicate_answers(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # named so in Spark's plans
        for batch in batches:
            yield from scorer_of(job)(pa.Table.from_batches([batch])).to_batches()

    given = rows.select([_quoted(name) for name in job.given.names])
    return given.mapInArrow(explicate_answers, _spark_schema(rows.schema, job))


def _spark_schema(given: StructType, job: BatchJob) -> StructType:
    """The job's columns, with Spark's own types for those that go along."""
    own = {field.name: field for field in given.fields}
    return StructType([own.get(field.name, field) for field in from_arrow_schema(job.schema).fields])


def _quoted(name: str) -> str:
    """A name as Spark reads it if it has dots or other signs."""
    return f"`{name.replace('`', '``')}`"
