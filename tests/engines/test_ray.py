"""`explicate.ray` on a local Ray: predictions, explanations, texts, rows that are refused, and what is killed."""

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
import pytest

pytest.importorskip("ray", reason="Ray is not installed; make test-engines has it")

import ray
from engines.conftest import TEXTS, Loans
from engines.local_ray import local_ray
from engines.ray_job import JOB, PARTS, ScorerThatDiesOnce

import explicate.ray
from explicate import Client, NotFound, UsageError

TOKEN = "secret-of-the-bank-4711"


@pytest.fixture(scope="module", autouse=True)
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray of its own, which ends with the tests."""
    with local_ray():
        yield


@pytest.fixture
def rows(loans: Loans) -> Any:
    """The loans in three blocks."""
    return ray.data.read_parquet(str(loans.path), override_num_blocks=3)


def test_rows_are_predicted_beside_their_columns(rows: Any, loans: Loans, server: str) -> None:
    scored = explicate.ray.score(rows, "loans", server=server, batch_rows=16, token=TOKEN)
    assert TOKEN not in repr(scored)
    found = scored.take_all()
    assert list(found[0])[: len(loans.table.column_names)] == loans.table.column_names
    loans.check_predictions(found)


def test_explanations_are_the_shapley_values(rows: Any, loans: Loans, server: str) -> None:
    some = ray.data.from_arrow(loans.table.take([0, 3, 7, 20]))
    scored = explicate.ray.score(some, "loans", server=server, explain="exact-shap", attributions="wide", keep=["id"])
    by_id = {row["id"]: row for row in scored.take_all()}
    assert by_id[7]["error"]["field"] == "income"
    for row in (0, 3, 20):
        found = [by_id[row][f"attr_{name}"] for name in loans.model.players()]
        np.testing.assert_allclose(found, loans.attributions(row), atol=1e-5)


def test_texts_are_scored_from_the_column_that_has_them(text_server: str) -> None:
    texts = ray.data.from_arrow(pa.table({"id": range(len(TEXTS)), "review": TEXTS}))
    scored = explicate.ray.score(
        texts, "tiny", server=text_server, columns={"text": "review"}, explain="kernel-shap", max_evaluations=64
    )
    by_id = {row["id"]: row for row in scored.take_all()}
    assert by_id[2]["error"]["field"] == "review"
    with Client(text_server) as client:
        for place in (0, 1, 3):
            alone = client.explain("tiny", TEXTS[place], method="kernel-shap", max_evaluations=64)
            assert by_id[place]["label"] == alone.prediction.label
            values = [item["value"] for item in by_id[place]["explanation"]]
            assert values == pytest.approx(alone.explanation.attributions[0].values, abs=1e-6)


def test_a_scorer_keeps_the_version_it_was_planned_with(rows: Any, loans: Loans, server: str) -> None:
    job = explicate.ray.planned(rows, "loans", server=server)
    with Client(server) as client:
        client.activate_version("loans", 2)
        try:
            scored = rows.map_batches(
                explicate.ray.Scorer,
                fn_constructor_args=(job,),
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=1),
                num_cpus=0.1,
            )
            loans.check_predictions(scored.take_all())
        finally:
            client.rollback_model("loans")


def test_what_does_not_fit_is_said_before_any_job(rows: Any, server: str) -> None:
    with pytest.raises(UsageError, match="the dataset lacks the column income"):
        explicate.ray.score(rows.drop_columns(["income"]), "loans", server=server)
    with pytest.raises(TypeError, match="sever"):
        explicate.ray.score(rows, "loans", sever=server)  # type: ignore[call-arg]
    with pytest.raises(NotFound):
        explicate.ray.score(rows, "loan", server=server)


def test_an_actor_that_is_killed_costs_no_row(rows: Any, loans: Loans, server: str, tmp_path: Path) -> None:
    job = explicate.ray.planned(rows, "loans", server=server)
    scored = rows.map_batches(
        ScorerThatDiesOnce,
        fn_constructor_args=(job, str(tmp_path / "killed")),
        batch_format="pyarrow",
        batch_size=10,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=0.1,
    )
    loans.check_predictions(scored.take_all())
    assert (tmp_path / "killed").exists()


def test_a_job_whose_driver_is_killed_goes_on_with_the_parts_that_are_missing(
    rows: Any, loans: Loans, server: str, tmp_path: Path
) -> None:
    """It is killed after its first part, and another version is made live: the same call ends as if undisturbed."""
    output = tmp_path / "out"
    address = ray.get_runtime_context().gcs_address
    script = [sys.executable, "-m", "engines.ray_job", str(loans.path), str(output), server, address]
    driver = subprocess.Popen(script, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    try:
        while len(parts_done(output)) < 1:
            assert driver.poll() is None, "the driver ended before it could be killed"
            time.sleep(0.05)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    before = files(output, parts_done(output))
    assert len(before) < PARTS, "it was killed too late"

    with Client(server) as client:
        client.activate_version("loans", 2)
        try:
            scored = explicate.ray.score_to(rows, str(output), "loans", server=server, **JOB)
        finally:
            client.rollback_model("loans")
    assert files(output, set(before)) == before
    whole = explicate.ray.score(rows, "loans", server=server, explain=JOB["explain"], seed=JOB["seed"]).take_all()
    assert sorted(scored.take_all(), key=lambda row: row["id"]) == sorted(whole, key=lambda row: row["id"])
    loans.check_predictions(whole)

    with pytest.raises(UsageError, match="the number of parts is 7 now and was 3"):
        explicate.ray.score_to(rows, str(output), "loans", server=server, **{**JOB, "parts": 7})
    with pytest.raises(UsageError, match="is not empty"):
        explicate.ray.score_to(rows, str(loans.path.parent), "loans", server=server, **JOB)


def parts_done(output: Path) -> set[int]:
    return {int(path.stem) for path in (output / "_explicate" / "done").glob("*.json")}


def files(output: Path, parts: set[int]) -> dict[int, list[tuple[str, int, int]]]:
    """Each part's files, with their inode and time."""
    found = {}
    for part in parts:
        paths = sorted((output / f"part-{part:05d}").glob("*.parquet"))
        found[part] = [(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]
    return found
