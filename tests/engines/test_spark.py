"""`explicate.spark` on a local Spark: predictions, explanations, texts, rows that are refused, and what is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyspark", reason="Spark is not installed; make test-engines has it")

from engines.conftest import TEXTS, Loans
from engines.local_spark import local_spark
from engines.spark_job import JOB, PARTS
from pyspark.sql import DataFrame, SparkSession

import explicate.spark
from explicate import Client, NotFound, UsageError

TOKEN = "secret-of-the-bank-4711"


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Two cores; a task may fail three times. It logs its events, as a history server reads them."""
    folder = tmp_path_factory.mktemp("spark")
    (folder / "events").mkdir()
    session = local_spark("local[2,4]", folder)
    yield session
    session.stop()


@pytest.fixture
def rows(spark: SparkSession, loans: Loans) -> DataFrame:
    """The loans in three partitions."""
    return spark.read.parquet(str(loans.path)).repartition(3, "id")


def collected(scored: DataFrame) -> list[dict[str, Any]]:
    return [row.asDict(recursive=True) for row in scored.collect()]


def test_rows_are_predicted_beside_their_columns(rows: DataFrame, loans: Loans, server: str) -> None:
    scored = explicate.spark.score(rows, "loans", server=server)
    told = {field.name: field.dataType.simpleString() for field in scored.schema.fields}
    assert list(told)[: len(loans.table.column_names)] == loans.table.column_names
    assert told["label"] == "string"
    assert told["probabilities"] == "array<double>"
    assert told["error"] == "struct<reason:string,field:string,message:string>"
    loans.check_predictions(collected(scored))


def test_explanations_are_the_shapley_values(rows: DataFrame, loans: Loans, server: str) -> None:
    asked = rows.where("id in (0, 3, 7, 20)")
    scored = explicate.spark.score(asked, "loans", server=server, explain="exact-shap", keep=["id"], top=2)
    by_id = {row["id"]: row for row in collected(scored)}
    assert by_id[7]["error"]["field"] == "income"
    assert by_id[7]["explanation"] is None
    for row in (0, 3, 20):
        named = dict(zip(loans.model.players(), loans.attributions(row), strict=True))
        strongest = sorted(named, key=lambda name: -abs(named[name]))[:2]
        assert [item["feature"] for item in by_id[row]["explanation"]] == strongest
        assert [item["value"] for item in by_id[row]["explanation"]] == pytest.approx(
            [named[name] for name in strongest], abs=1e-5
        )


def test_every_feature_may_have_a_column(rows: DataFrame, loans: Loans, server: str) -> None:
    asked = rows.where("id = 20")
    scored = explicate.spark.score(asked, "loans", server=server, explain="exact-shap", attributions="wide", keep=[])
    (row,) = collected(scored)
    names = [name for name in row if name.startswith("attr_")]
    assert names == [f"attr_{name}" for name in loans.model.players()]
    np.testing.assert_allclose([row[name] for name in names], loans.attributions(20), atol=1e-5)


def test_spark_reads_only_the_columns_that_are_wanted(rows: DataFrame, server: str) -> None:
    scored = explicate.spark.score(rows.withColumn("unused", rows.id + 1), "loans", server=server, keep=["id"])
    assert "unused" not in str(scored._jdf.queryExecution().optimizedPlan().toString())
    assert scored.columns[0] == "id"
    assert "age" not in scored.columns


def test_texts_are_scored_from_the_column_that_has_them(spark: SparkSession, text_server: str) -> None:
    texts = spark.createDataFrame(list(enumerate(TEXTS)), "id long, review string")
    scored = explicate.spark.score(
        texts, "tiny", server=text_server, columns={"text": "review"}, explain="kernel-shap", max_evaluations=64
    )
    by_id = {row["id"]: row for row in collected(scored)}
    assert by_id[2]["error"]["field"] == "review"
    with Client(text_server) as client:
        for place in (0, 1, 3):
            alone = client.explain("tiny", TEXTS[place], method="kernel-shap", max_evaluations=64)
            assert by_id[place]["label"] == alone.prediction.label
            features = [item["feature"] for item in by_id[place]["explanation"]]
            assert features == [feature.name for feature in alone.explanation.features]
            values = [item["value"] for item in by_id[place]["explanation"]]
            assert values == pytest.approx(alone.explanation.attributions[0].values, abs=1e-6)


def test_the_version_is_the_one_that_was_live_when_the_job_was_planned(
    rows: DataFrame, loans: Loans, server: str
) -> None:
    scored = explicate.spark.score(rows, "loans", server=server)
    with Client(server) as client:
        client.activate_version("loans", 2)
        try:
            loans.check_predictions(collected(scored))
        finally:
            client.rollback_model("loans")


def test_what_does_not_fit_is_said_before_any_job(rows: DataFrame, server: str) -> None:
    with pytest.raises(UsageError, match="the DataFrame lacks the column income"):
        explicate.spark.score(rows.drop("income"), "loans", server=server)
    with pytest.raises(UsageError, match="income of the DataFrame holds bool"):
        explicate.spark.score(rows.selectExpr("* except (income)", "true as income"), "loans", server=server)
    with pytest.raises(UsageError, match="error"):
        explicate.spark.score(rows.withColumn("error", rows.id), "loans", server=server)
    with pytest.raises(UsageError, match="seed is an option of explanations"):
        explicate.spark.score(rows, "loans", server=server, seed=1)
    with pytest.raises(TypeError, match="sever"):
        explicate.spark.score(rows, "loans", sever=server)  # type: ignore[call-arg]
    with pytest.raises(NotFound):
        explicate.spark.score(rows, "loan", server=server)


def test_the_token_is_not_told(rows: DataFrame, loans: Loans, server: str, tmp_path: Path) -> None:
    scored = explicate.spark.score(rows, "loans", server=server, token=TOKEN)
    loans.check_predictions(collected(scored))
    assert TOKEN not in plan(scored)
    assert "explicate_answers" in plan(scored)
    events = Path(rows.sparkSession.conf.get("spark.eventLog.dir").removeprefix("file:"))
    logs = [path.read_bytes() for path in events.rglob("*") if path.is_file()]
    assert any(b"explicate_answers" in log for log in logs)
    assert not any(TOKEN.encode() in log for log in logs)

    (tmp_path / "token").write_text(TOKEN + "\n", encoding="utf-8")
    from_file = explicate.spark.score(rows, "loans", server=server, token_file=str(tmp_path / "token"))
    loans.check_predictions(collected(from_file))


def test_a_worker_that_is_killed_costs_no_row(rows: DataFrame, loans: Loans, server: str, tmp_path: Path) -> None:
    marker = str(tmp_path / "killed")

    def dies_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if not os.path.exists(marker):  # noqa: PTH110 - this runs in a worker
                open(marker, "w").close()  # noqa: PTH123
                os.kill(os.getpid(), signal.SIGKILL)

    scored = explicate.spark.score(rows.mapInArrow(dies_once, rows.schema), "loans", server=server)
    loans.check_predictions(collected(scored))
    assert Path(marker).exists()


def test_a_job_whose_driver_is_killed_goes_on_with_the_parts_that_are_missing(
    rows: DataFrame, loans: Loans, server: str, tmp_path: Path
) -> None:
    """It is killed after its first part, and another version is made live: the same call ends as if undisturbed."""
    output = tmp_path / "out"
    script = [sys.executable, "-m", "engines.spark_job", str(loans.path), str(output), server]
    driver = subprocess.Popen(script, cwd=Path(__file__).parents[1], start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        while len(parts_done(output)) < 1:
            assert driver.poll() is None, "the driver ended before it could be killed"
            time.sleep(0.05)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)  # with its JVM and its workers
        driver.wait()
    before = files(output, parts_done(output))
    assert len(before) < PARTS, "it was killed too late"

    with Client(server) as client:
        client.activate_version("loans", 2)
        try:
            scored = explicate.spark.score_to(rows, str(output), "loans", server=server, **JOB)
        finally:
            client.rollback_model("loans")
    assert files(output, set(before)) == before
    whole = collected(explicate.spark.score(rows, "loans", server=server, explain=JOB["explain"], seed=JOB["seed"]))
    assert sorted(collected(scored), key=lambda row: row["id"]) == sorted(whole, key=lambda row: row["id"])
    loans.check_predictions(whole)
    assert {row["bundle_digest"] for row in whole if row["error"] is None} == {digest(server, 1)}

    with pytest.raises(UsageError, match=r"the number of parts is 7 now and was 3.*explain is"):
        explicate.spark.score_to(rows, str(output), "loans", server=server, **{**JOB, "parts": 7, "seed": 4})
    with pytest.raises(UsageError, match="is not empty"):
        explicate.spark.score_to(rows, str(loans.path.parent), "loans", server=server, **JOB)


def test_an_executor_that_is_killed_costs_no_row(loans: Loans, server: str, tmp_path: Path) -> None:
    """Two executors, processes of their own; one is killed while it has a task."""
    script = [sys.executable, "-m", "engines.spark_executors", str(loans.path), str(tmp_path), server]
    subprocess.run(script, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL, check=True, timeout=500)
    assert (tmp_path / "killed").exists()
    loans.check_predictions(pq.read_table(tmp_path / "scored").to_pylist())


def test_a_stream_of_files_is_scored_once(spark: SparkSession, loans: Loans, server: str, tmp_path: Path) -> None:
    """A job over the files that have come since the last one, by Spark's own checkpoints."""
    (tmp_path / "in").mkdir()
    for name, rows in (("a", range(40)), ("b", range(40, 60))):
        pq.write_table(loans.table.take(list(rows)), tmp_path / "in" / f"{name}.parquet")
        stream = spark.readStream.schema(spark.read.parquet(str(loans.path)).schema).parquet(str(tmp_path / "in"))
        writer = explicate.spark.score(stream, "loans", server=server).writeStream.format("parquet")
        job = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True)
        job.start(str(tmp_path / "scored")).awaitTermination()
    loans.check_predictions(collected(spark.read.parquet(str(tmp_path / "scored"))))


def plan(scored: DataFrame) -> str:
    return str(scored._jdf.queryExecution().toString())


def parts_done(output: Path) -> set[int]:
    texts = [path.read_text(encoding="utf-8") for path in (output / "_explicate" / "done").glob("part-*.json")]
    return {json.loads(line)["part"] for text in texts for line in text.splitlines()}


def files(output: Path, parts: set[int]) -> dict[int, list[tuple[str, int, int]]]:
    """Each part's files, with their inode and time."""
    found = {}
    for part in parts:
        paths = sorted((output / f"_part={part}").glob("*.parquet"))
        found[part] = [(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]
    return found


def digest(server: str, version: int) -> str:
    with Client(server) as client:
        return client.get_model("loans", version=version).status.bundle_digest
