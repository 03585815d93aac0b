"""ModelStreamInfer: many requests in one call, and the estimates of an explanation as they grow."""

import asyncio
from pathlib import Path

import grpc
import pytest

from explicate_server.rpc.open_inference import infer_calls
from support.harness import TEXT, explain_request, gate, running_server, until
from support.open_inference import infer_request, stream, tensors_of

FINAL = "triton_final_response"


async def test_requests_are_answered_in_their_order_and_a_bad_one_does_not_end_the_stream(
    tiny_repository: Path,
) -> None:
    async with running_server(tiny_repository) as running:
        calls = stream(running.channel)
        requests = [
            infer_request("tiny", {"text": ("BYTES", ["good tea"])}, id="1"),
            infer_request("none", {"text": ("BYTES", ["good tea"])}, id="2"),
            infer_request("tiny", {"text": ("BYTES", [b"\xff"])}, id="3"),
            infer_request("tiny", {"text": ("BYTES", ["bad tea", "tea"])}, id="4"),
        ]
        for request in requests:
            await calls.write(request)
        await calls.done_writing()
        answers = [answer async for answer in calls]
        assert await calls.code() is grpc.StatusCode.OK
    assert [answer.infer_response.id for answer in answers] == ["1", "2", "3", "4"]
    assert all(answer.infer_response.parameters[FINAL].bool_param for answer in answers)
    assert [bool(answer.error_message) for answer in answers] == [False, True, True, False]
    assert [answer.infer_response.parameters["reason"].string_param for answer in answers[1:3]] == [
        "MODEL_NOT_FOUND",
        "INVALID_FIELD",
    ]
    assert "inputs[text][0]: is not UTF-8" in answers[2].error_message
    assert tensors_of(answers[3].infer_response)["label"].shape == (2, 1)


async def test_an_explanation_grows_and_its_last_answer_is_that_of_explain(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer_calls, "STREAM_INTERVAL_S", 0.0)
    options = {"method": "kernel-shap", "seed": 5, "max_evaluations": 400, "tolerance": 0.0}
    async with running_server(tiny_repository) as running:
        own = (await running.inference.Explain(explain_request(TEXT, **options))).result.explanation
        calls = stream(running.channel)
        outputs = ["attributions", "lower", "upper"]
        await calls.write(infer_request("tiny", {"text": ("BYTES", [TEXT])}, outputs=outputs, **options))
        answers = [await calls.read()]
        while not answers[-1].infer_response.parameters[FINAL].bool_param:
            answers.append(await calls.read())
        calls.cancel()
    assert len(answers) > 1
    last = tensors_of(answers[-1].infer_response)
    assert last["attributions"][0].tolist() == list(own.attributions[0].values)
    assert answers[-1].infer_response.parameters["evaluations"].int64_param == own.evaluations


async def test_an_idle_stream_ends_when_the_server_drains_and_a_busy_one_after_its_answer(
    tiny_repository: Path,
) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        idle, busy = stream(running.channel), stream(running.channel)
        await busy.write(infer_request("tiny", {"text": ("BYTES", ["good tea"])}))
        await gated.entered.get()
        await until(lambda: running.server.calls.in_flight == 2)
        drained = asyncio.ensure_future(running.server.drain())
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await idle.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not drained.done()
        gated.let_through(1)
        assert not (await busy.read()).error_message
        assert await drained


async def test_a_stream_without_requests_ends_with_the_reason(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_call_s=1.0, log_inputs=True) as running:
        calls = stream(running.channel)
        await calls.write(infer_request("tiny", {"text": ("BYTES", ["good tea"])}))
        assert not (await calls.read()).error_message
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await calls.read()
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not arrive in time" in (ended.value.details() or "")


async def test_a_caller_who_leaves_takes_the_rows_of_its_request_along(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        calls = stream(running.channel)
        request = infer_request("tiny", {"text": ("BYTES", [TEXT])}, outputs=["attributions"], max_evaluations=400)
        await calls.write(request)
        await gated.entered.get()
        calls.cancel()
        await until(lambda: running.server.admission.in_progress == 0)
        gated.let_through(1000)
        await until(lambda: running.server.calls.in_flight == 0)
        assert gated.rows_run < 100
