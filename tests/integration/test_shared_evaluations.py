"""Rows that one explanation paid for serve the others of the same input, and nothing else."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.v1 import explanation_pb2 as options
from explicate.v1 import inference_service_pb2 as messages
from explicate_server.runtime.batcher import Priority
from support.harness import TEXT, Running, explain_request, gate, predict_request, running_server, until

BUDGET = {"method": "kernel-shap", "max_evaluations": 200, "tolerance": 0.0}


def rows_run(running: Running) -> int:
    return sum(of_class.rows for of_class in running.served().batcher.statistics.values())


async def explain(running: Running, text: str = TEXT, **changes: Any) -> options.Explanation:
    answer = (await running.inference.Explain(explain_request(text, **{**BUDGET, **changes}))).result
    explanation: options.Explanation = answer.explanation
    return explanation


async def all_asked(running: Running, explanations: int) -> None:
    """Wait until so many explanations have asked for their first rows, which follows their reservation at once."""
    await until(lambda: sum(running.server.admission.evaluations_by_caller.values()) == explanations * 200)


async def test_a_repeated_request_pays_for_no_row_and_gets_the_same_answer(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        first = await explain(running)
        paid = rows_run(running)
        again = await explain(running)
        assert rows_run(running) == paid == first.evaluations == 200
        assert (first.reused_evaluations, again.reused_evaluations) == (0, 200)
        assert list(again.attributions[0].values) == list(first.attributions[0].values)
        assert again.evaluations == first.evaluations


async def test_a_refined_request_pays_only_for_new_rows(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        await explain(running)
        more = await explain(running, max_evaluations=400)
        assert rows_run(running) == more.evaluations == 400
        assert more.reused_evaluations == 200


async def test_another_target_space_or_level_of_quality_reuses_the_rows(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        await explain(running)
        request = explain_request(TEXT, **BUDGET, output_space=options.OUTPUT_SPACE_LOGIT)
        request.spec.options.target.all.SetInParent()
        answer = (await running.inference.Explain(request)).result
        assert answer.explanation.reused_evaluations == 200
        full = await explain(running, quality=options.QUALITY_LEVEL_FULL)
        assert full.reused_evaluations >= 200
        assert full.evaluations <= 220


@pytest.mark.parametrize(
    "change",
    [
        {"masking": options.MASKING_MASK_TOKEN},
        {"granularity": options.GRANULARITY_TOKEN},
        {"text": TEXT.replace("great", "bad")},
    ],
)
async def test_another_game_reuses_nothing(tiny_repository: Path, change: dict[str, Any]) -> None:
    async with running_server(tiny_repository) as running:
        await explain(running)
        assert (await explain(running, **change)).reused_evaluations == 0


async def test_without_memory_for_them_values_are_forgotten(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_memo_bytes=0) as running:
        await explain(running)
        assert (await explain(running)).reused_evaluations == 0
        assert rows_run(running) == 400


async def test_identical_requests_in_flight_share_one_computation(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        calls = [asyncio.ensure_future(explain(running)) for _ in range(4)]
        await all_asked(running, 4)  # and all wait for the same two rows
        gated.let_through(10_000)
        answers = await asyncio.gather(*calls)
        assert rows_run(running) == 200
        assert sum(answer.reused_evaluations for answer in answers) == 3 * 200
        for answer in answers[1:]:
            assert list(answer.attributions[0].values) == list(answers[0].attributions[0].values)


async def test_who_leaves_takes_no_row_away_from_those_who_joined(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_memo_bytes=0) as running:
        expected = await explain(running)
        gated = gate(running)
        first = running.inference.Explain(explain_request(TEXT, **BUDGET))
        second = running.inference.Explain(explain_request(TEXT, **BUDGET))
        await all_asked(running, 2)
        gated.let_through(2)  # the text and the empty text
        await until(lambda: running.served().batcher.queued_rows[Priority.EXPLAIN] > 0)
        first.cancel()
        await until(lambda: running.server.admission.in_progress == 1)
        gated.let_through(10_000)
        answer = (await second).result.explanation
        assert answer.stop_reason == options.STOP_REASON_BUDGET
        np.testing.assert_allclose(answer.attributions[0].values, expected.attributions[0].values, atol=1e-5)


async def test_when_all_readers_left_their_rows_are_dropped(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        calls = [running.inference.Explain(explain_request(TEXT, **BUDGET)) for _ in range(2)]
        await all_asked(running, 2)
        gated.let_through(2)  # the text and the empty text
        await until(lambda: running.served().batcher.queued_rows[Priority.EXPLAIN] > 0)
        for call in calls:
            call.cancel()
        await until(lambda: running.server.admission.in_progress == 0)
        assert running.served().batcher.queued_rows[Priority.EXPLAIN] == 0
        gated.let_through(10_000)
        # Whoever comes next is none the worse.
        assert (await explain(running)).stop_reason == options.STOP_REASON_BUDGET


async def test_urgent_work_does_not_wait_for_rows_that_wait_as_bulk(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_memo_bytes=0) as running:
        gated = gate(running)
        request = explain_request(TEXT, **BUDGET)
        request.spec.priority = messages.PRIORITY_BULK
        bulk = running.inference.Explain(request)
        gated.let_through(2)  # the text and the empty text
        await until(lambda: running.served().batcher.queued_rows[Priority.BULK] > 0)
        urgent = asyncio.ensure_future(explain(running))
        await until(lambda: running.served().batcher.queued_rows[Priority.PREDICT] > 0)
        gated.let_through(10_000)
        assert (await urgent).reused_evaluations < 200
        assert (await bulk).result.explanation.evaluations == 200


async def test_a_row_that_fails_fails_every_explanation_that_needs_it(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_memo_bytes=0) as running:
        gated = gate(running)
        gated.fail = True
        calls = [running.inference.Explain(explain_request(TEXT, **BUDGET)) for _ in range(2)]
        await all_asked(running, 2)
        gated.let_through(10_000)
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert "the model failed on this input" in str(outcome)
        gated.fail = False
        assert len((await running.inference.Predict(predict_request("good tea"))).predictions) == 1
