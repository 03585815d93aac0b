"""A caller who leaves, or whose time is up, stops its own rows and nobody else's."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from explicate.v1 import explanation_pb2
from explicate_server.runtime.batcher import Priority
from support.harness import (
    TEXT,
    WORDS,
    Running,
    explain_request,
    gate,
    predict_request,
    running_server,
    stream_request,
    until,
)

LONG = TEXT


async def until_idle(running: Running) -> None:
    """Wait until no call is in progress; `drain` is the server's own way to know."""
    assert await running.server.calls.drain(10.0)


def queued(running: Running) -> int:
    return sum(running.served().batcher.queued_rows.values())


@pytest.mark.parametrize("stage", range(5))
async def test_a_cancelled_explanation_stops_its_rows_and_batch_mates_finish(tiny_repository: Path, stage: int) -> None:
    """Stage 0 is the prediction, 1 the empty input, from 2 on the batches of the first rounds."""
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        leaver = running.inference.Explain(explain_request(LONG, tolerance=0.0, max_evaluations=4000))
        for _ in range(stage):
            await gated.entered.get()
            gated.let_through(1)
        await gated.entered.get()  # the batch at which the caller leaves is inside the model now
        predict = running.inference.Predict(predict_request("good tea"))
        explain = running.inference.Explain(explain_request("the tea is good", max_evaluations=16))
        leaver.cancel()
        gated.let_through(10_000)
        answered = await predict
        explained = (await explain).result
        with pytest.raises(asyncio.CancelledError):
            await leaver
        await until_idle(running)
        assert answered.predictions[0].classification.predicted_label in ("other", "great")
        assert explained.explanation.stop_reason == explanation_pb2.STOP_REASON_EXACT
        assert queued(running) == 0
        assert gated.rows_run < 700  # of the 4,000 asked: the window of two chunks at most


@pytest.mark.parametrize("method", ["kernel-shap", "lime"])
async def test_the_deadline_gives_the_best_answer_so_far(tiny_repository: Path, method: str) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        call = running.inference.Explain(
            explain_request(LONG, method=method, tolerance=0.0, max_evaluations=8000, time_limit_seconds=1.0)
        )
        gated.let_through(12)  # then the model hangs until the time limit has come
        answer = (await call).result
        gated.let_through(10_000)
    explanation = answer.explanation
    assert explanation.stop_reason == explanation_pb2.STOP_REASON_DEADLINE
    assert not explanation.converged
    assert 2 < explanation.evaluations < 8000
    (attribution,) = explanation.attributions
    assert len(attribution.values) == len(explanation.features)
    if method == "kernel-shap":
        assert sum(attribution.values) == pytest.approx(
            attribution.instance_value - attribution.baseline_value, rel=1e-5
        )


@pytest.mark.parametrize(
    ("method", "ends"),  # lime does without the empty input
    [("kernel-shap", 2), ("permutation-shap", 2), ("partition-shap", 2), ("occlusion", 2), ("lime", 1)],
)
async def test_an_explanation_that_has_only_its_end_points_is_no_answer(
    tiny_repository: Path, method: str, ends: int
) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        call = running.inference.Explain(explain_request(LONG, method=method, time_limit_seconds=0.5))
        gated.let_through(ends)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        gated.let_through(10_000)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "no time for an explanation: only the prediction is known" in (caught.value.details() or "")


async def test_a_flat_estimate_from_a_part_of_the_first_order_is_no_answer(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        stream = running.inference.StreamExplain(
            stream_request(LONG, method="permutation-shap", time_limit_seconds=0.5)
        )
        gated.let_through(3)  # and then a few rows of the first order
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        gated.let_through(10_000)
        assert gated.rows_run > 2
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("rpc", ["Predict", "Explain"])
async def test_a_deadline_before_any_answer_is_deadline_exceeded(tiny_repository: Path, rpc: str) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        requests: dict[str, Any] = {"Predict": predict_request(LONG), "Explain": explain_request(LONG)}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(running.inference, rpc)(requests[rpc], timeout=0.3)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        gated.let_through(10_000)
        await until_idle(running)
        assert queued(running) == 0


async def test_closing_a_stream_stops_its_rows(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        stream = running.inference.StreamExplain(stream_request(LONG, tolerance=0.0, max_evaluations=4000))
        gated.let_through(30)
        await stream.read()
        stream.cancel()
        gated.let_through(10_000)
        await until_idle(running)
        assert gated.rows_run < 2000
        assert queued(running) == 0


async def test_explanations_over_the_limit_are_refused_at_once_and_the_others_finish(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_explanations=4) as running:
        gated = gate(running)
        accepted = [running.inference.Explain(explain_request(LONG, max_evaluations=64)) for _ in range(2)]
        await until(lambda: running.server.admission.in_progress == 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(explain_request(LONG))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        gated.let_through(10_000)
        for call in accepted:
            assert (await call).result.explanation.evaluations <= 64


async def test_a_full_queue_refuses_new_rows_and_keeps_those_it_accepted(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_queued_rows=8) as running:
        gated = gate(running)
        first = running.inference.Predict(predict_request("good tea"))
        await gated.entered.get()
        accepted = running.inference.Predict(predict_request(*WORDS[:8]))
        await until(lambda: running.served().batcher.queued_rows[Priority.PREDICT] == 8)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request("one more"))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        gated.let_through(10_000)
        assert len((await first).predictions) == 1
        assert len((await accepted).predictions) == 8
