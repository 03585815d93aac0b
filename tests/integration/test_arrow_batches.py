"""The core that Spark and Ray share, without either: rows of Arrow in, the same rows with their answers out."""

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from explicate import ALL, InvalidArgument, UsageError
from explicate.scoring.arrow_batches import BatchJob, BatchScorer, scorer_of
from support.harness import running_server
from support.tiny_image_bundle import pictures, png
from support.tiny_table_bundle import tiny_table

TOKEN = "secret-of-the-bank-4711"
LOANS = tiny_table()
NUMBERS, CODES = LOANS.rows(8, seed=5, missing=0.0)
ROWS = pa.Table.from_pylist([{"id": i, **LOANS.cells(list(NUMBERS[i]), list(CODES[i]))} for i in range(8)]).set_column(
    0, "id", pa.array([f"row {i}" for i in range(8)]).dictionary_encode()
)
PROBABILITIES = LOANS.probabilities(LOANS.answers(NUMBERS, CODES))


async def asked(repository: Path, work: Callable[[str], Any]) -> Any:
    """What blocking work gets from a server."""
    async with running_server(repository) as running:
        return await asyncio.to_thread(work, running.target)


def answered(rows: pa.Table, model: str, **options: Any) -> Callable[[str], list[dict[str, Any]]]:
    """The rows as a worker gives them back, whose job came to it pickled."""

    def work(server: str) -> list[dict[str, Any]]:
        job = BatchJob.planned(rows.schema, model, {"server": server, **options}, called="the table")
        scorer = BatchScorer(pickle.loads(pickle.dumps(job)))
        try:
            assert scorer(rows.slice(0, 0)).schema == job.schema
            scored = scorer(rows)
        finally:
            scorer.close()
        assert scored.schema == job.schema
        rows_back: list[dict[str, Any]] = scored.to_pylist()
        return rows_back

    return work


async def test_rows_come_back_in_their_order_with_their_answers(table_repository: Path) -> None:
    scored = await asked(table_repository, answered(ROWS, "loans"))
    assert [row["id"] for row in scored] == ROWS["id"].to_pylist()
    np.testing.assert_allclose([row["probabilities"] for row in scored], PROBABILITIES, atol=1e-6)
    assert {row["error"] for row in scored} == {None}


async def test_a_bad_row_costs_itself_alone(table_repository: Path) -> None:
    age = [*ROWS["age"].to_pylist()[:-1], float("inf")]
    owner = ["perhaps", *ROWS["owner"].to_pylist()[1:]]
    bad = (
        ROWS.drop_columns(["age", "owner"]).append_column("age", pa.array(age)).append_column("owner", pa.array(owner))
    )
    scored = await asked(table_repository, answered(bad, "loans", explain="exact-shap", attributions="wide"))
    assert [row["error"] and row["error"]["field"] for row in scored] == ["owner", *[None] * 6, "age"]
    for row in (0, 7):
        assert scored[row]["label"] is scored[row]["attr_age"] is scored[row]["bundle_digest"] is None
        assert scored[row]["error"]["reason"] == "INVALID_FIELD"
        assert scored[row]["id"] == f"row {row}"
    for row in range(1, 7):
        expected = LOANS.shapley_values(NUMBERS[row], CODES[row], probability=True)[PROBABILITIES[row].argmax()]
        found = [scored[row][f"attr_{name}"] for name in LOANS.players()]
        np.testing.assert_allclose(found, expected, atol=1e-5)


async def test_a_condition_chooses_the_rows_that_are_explained(table_repository: Path) -> None:
    middle = float(np.sort(PROBABILITIES.max(axis=1))[3:5].mean())
    asks = answered(ROWS, "loans", explain="exact-shap", explain_if=f"probability < {middle}", keep=[])
    scored = await asked(table_repository, asks)
    assert [row["explanation"] is not None for row in scored] == list(PROBABILITIES.max(axis=1) < middle)
    assert next(iter(scored[0])) == "label"


async def test_images_are_columns_of_their_files(image_repository: Path) -> None:
    first, second = map(png, pictures(2))
    images = pa.table({"content": [first, b"no image", None, second]})
    scored = await asked(image_repository, answered(images, "animals", columns={"image": "content"}, keep=[]))
    assert [row["error"] is None for row in scored] == [True, False, False, True]
    assert sum(scored[0]["probabilities"]) == pytest.approx(1)


async def test_a_process_has_one_client_of_a_job_and_few_of_many(table_repository: Path) -> None:
    def work(server: str) -> None:
        jobs = [BatchJob.planned(ROWS.schema, "loans", {"server": server}, called="the table") for _ in range(6)]
        first = scorer_of(jobs[0])
        assert scorer_of(pickle.loads(pickle.dumps(jobs[0]))) is first
        for job in jobs[1:]:
            assert scorer_of(job)(ROWS).num_rows == 8
        assert scorer_of(jobs[0]) is not first  # closed, to keep no more than a few

    await asked(table_repository, work)


@pytest.mark.parametrize(
    ("changed", "options", "error", "why"),
    [
        (ROWS.drop_columns(["age"]), {}, UsageError, "the table lacks the column age"),
        (ROWS.append_column("error", ROWS["age"]), {}, UsageError, "column error"),
        (ROWS.append_column("label", ROWS["age"]), {}, UsageError, "column label"),
        (ROWS, {"keep": ["iq"]}, UsageError, "iq"),
        (ROWS, {"seed": 1}, UsageError, "seed is an option of explanations"),
        (ROWS, {"explain": "auto", "attributions": "wide", "target": ALL}, UsageError, "all classes"),
        (ROWS, {"in_flight": 0}, InvalidArgument, "in_flight"),
        (ROWS, {"token": "a", "token_file": "b"}, UsageError, "not both"),
        (ROWS, {"token_file": "/no/such/file"}, UsageError, "cannot read the token"),
        (ROWS, {"explan": "auto"}, TypeError, "explan is not an option"),
        (ROWS, {"explain": "auto", "explain_if": "probability <"}, UsageError, "probability <"),
    ],
)
async def test_what_cannot_be_is_said_when_the_job_is_planned(
    table_repository: Path, changed: pa.Table, options: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        await asked(table_repository, answered(changed, "loans", **options))


async def test_a_job_does_not_show_its_token(table_repository: Path) -> None:
    def work(server: str) -> str:
        options: Any = {"server": server, "token": TOKEN}
        return repr(BatchJob.planned(ROWS.schema, "loans", options, called="the table"))

    told = await asked(table_repository, work)
    assert "loans" in told
    assert TOKEN not in told
