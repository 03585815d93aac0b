"""A server on devices: who serves after one is full, lost or wrong, and what callers and operators are told."""

import asyncio
import gc
import json
import re
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_server.app import StartError
from explicate_server.runtime.devices.cuda import CUDA
from explicate_server.runtime.devices.device_kinds import DeviceUnavailable
from support.harness import TEXT, Running, explain_request, predict_request, running_server, server_process, until
from support.toy_device import Faults, ToyKind, the_only_kind

TOOLS = "CUDA failure 700: an illegal memory access was encountered"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyKind:
    """Two devices; more and others by changing it before the server starts."""
    kind = ToyKind([Faults(), Faults()])
    the_only_kind(monkeypatch, kind)
    return kind


@pytest.fixture(autouse=True)
def _only_the_toy(toy: ToyKind) -> None:
    """For tests that do not ask for it."""


def models(running: Running) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(running.channel)


async def described(running: Running) -> Any:
    return await models(running).GetModel(model_service_pb2.GetModelRequest(model="tiny"))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


async def test_a_model_has_a_session_on_each_device_and_says_so_everywhere(tiny_repository: Path, toy: ToyKind) -> None:
    async with running_server(tiny_repository, device="toy:1,0", device_memory_bytes=5) as running:
        answer = await running.inference.Predict(predict_request("good tea", TEXT))
        told = await described(running)
        (listed,) = (await models(running).ListModels(model_service_pb2.ListModelsRequest())).models
    assert toy.loaded == [(1, 5), (0, 5)]
    assert answer.model.runtime == told.status.runtime == told.runtimes[0].runtime == "onnxruntime-toy"
    assert list(listed.devices) == list(told.status.devices) == ["toy:1", "toy:0"]
    assert [(each.device, each.serves, each.nodes, each.cpu_nodes) for each in told.devices] == [
        ("toy:1", True, 12, 3),
        ("toy:0", True, 12, 3),
    ]
    assert not told.HasField("device_reason")
    assert all(faults.ran for faults in toy.faults), "the golden inputs are answered on each device"


async def test_an_explanation_is_the_same_where_batches_do_not_fit_and_they_are_smaller_then(
    tiny_repository: Path, toy: ToyKind
) -> None:
    request = explain_request(TEXT, method="permutation-shap", tolerance=0.0, max_evaluations=400)
    async with running_server(tiny_repository, device="cpu") as running:
        expected = (await running.inference.Explain(request)).result.explanation.attributions[0].values
    async with running_server(tiny_repository, device="toy", max_memo_bytes=0) as running:
        toy.faults[0].most_rows = 3
        answer = (await running.inference.Explain(request)).result
        full = (await described(running)).devices[0]
        assert full.out_of_memory > 0, "a batch was too large, and its halves went on"
        tried = len(toy.faults[0].tried)
        await running.inference.Explain(request)
    assert max(toy.faults[0].tried[tried:]) <= 3, "none is too large again"
    np.testing.assert_allclose(answer.explanation.attributions[0].values, expected, rtol=0, atol=1e-5)


async def test_an_input_for_which_there_is_no_memory_fails_alone_and_typed(tiny_repository: Path, toy: ToyKind) -> None:
    async with running_server(tiny_repository, device="toy") as running:
        toy.faults[0].most_rows = 0
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request("good tea"))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(caught.value) == "DEVICE_OUT_OF_MEMORY"
        toy.faults[0].most_rows = None
        assert (await running.inference.Predict(predict_request("good tea"))).predictions


async def test_when_one_device_dies_the_other_goes_on_and_when_both_have_the_model_is_unready(
    tiny_repository: Path, toy: ToyKind, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(tiny_repository, device="toy:0,1") as running:
        toy.faults[0].dies = True
        for _ in range(50):  # until it was its turn
            assert len((await running.inference.Predict(predict_request("good tea", TEXT))).predictions) == 2
            if running.served().batcher.lost:
                break
        told = await described(running)
        assert list(told.status.devices) == ["toy:1"]
        assert told.status.state == model_service_pb2.MODEL_STATE_READY
        assert told.status.reason == f"toy:0: {TOOLS}"
        assert [(each.device, each.serves, each.reason) for each in told.devices] == [
            ("toy:1", True, ""),
            ("toy:0", False, TOOLS),
        ]
        assert f"toy:0 answers no more: {TOOLS}" in caplog.text
        toy.faults[1].dies = True
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request("good tea"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert reason_of(caught.value) == "DEVICE_LOST"
        await running.server.health.refresh()
        assert running.server.health._told["explicate.v1.InferenceService/tiny"] == 2  # NOT_SERVING
        status = (await described(running)).status
        assert (status.state, list(status.devices)) == (model_service_pb2.MODEL_STATE_FAILED, [])
        assert "toy:1" in status.reason


async def test_callers_in_the_middle_of_explanations_all_get_answers_when_a_device_dies(
    tiny_repository: Path, toy: ToyKind
) -> None:
    async with running_server(tiny_repository, device="toy:0,1") as running:
        toy.faults[0].gate.clear()  # whatever it has now, it has when it dies
        seeds = range(6)
        calls = [
            asyncio.ensure_future(
                running.inference.Explain(explain_request(TEXT, seed=seed, tolerance=0.0, max_evaluations=300))
            )
            for seed in seeds
        ]
        tried = len(toy.faults[0].tried)
        await until(lambda: len(toy.faults[0].tried) > tried or len(running.served().batcher.instances[0].running) > 0)
        toy.faults[0].dies = True
        toy.faults[0].gate.set()
        answers = await asyncio.gather(*calls)
        assert running.served().batcher.lost.keys() == {"toy:0"}
    for answer in answers:
        assert answer.result.explanation.evaluations == 300


async def test_a_device_that_does_not_give_the_golden_answers_is_left_out(
    tiny_repository: Path, toy: ToyKind, caplog: pytest.LogCaptureFixture
) -> None:
    toy.faults[1].shift = 1.0
    async with running_server(tiny_repository, device="toy:0,1") as running:
        told = await described(running)
        assert [each.serves for each in told.devices] == [True, False]
        assert "golden outputs differ by 1 on onnxruntime-toy in fp32" in told.devices[1].reason
    assert "tiny/1 is not served on toy:1: golden outputs differ" in caplog.text
    toy.faults[0].shift = 1.0
    with pytest.raises(StartError, match="golden outputs differ by 1 on onnxruntime-toy"):
        async with running_server(tiny_repository, device="toy:0,1"):
            pass


async def test_what_a_version_took_of_its_devices_is_given_back_with_it(tiny_repository: Path, toy: ToyKind) -> None:
    gc.collect()
    gc.disable()
    try:
        async with running_server(tiny_repository, device="toy:0,1") as running:
            toy.faults[0].most_rows = 0  # failures must not hold on to a session either
            await asyncio.gather(
                *(running.inference.Predict(predict_request(TEXT)) for _ in range(20)), return_exceptions=True
            )
            sessions = [weakref.ref(instance.runtime) for instance in running.served().batcher.instances]
        assert [session() for session in sessions] == [None, None]
    finally:
        gc.enable()


async def test_auto_serves_on_the_cpu_and_tells_why_not_on_the_device(tiny_repository: Path, toy: ToyKind) -> None:
    toy.reason = "there is no driver"
    async with running_server(tiny_repository, device="auto") as running:
        told = await described(running)
        assert list(told.status.devices) == ["cpu"]
        assert (told.status.runtime, told.device_reason) == ("onnxruntime-cpu", "not toy: there is no driver")
    with pytest.raises(DeviceUnavailable, match="--device toy cannot be used: there is no driver"):
        async with running_server(tiny_repository, device="toy"):
            pass


async def test_auto_serves_on_the_cpu_what_the_device_cannot(tiny_repository: Path, toy: ToyKind) -> None:
    toy.faults[0].shift = 1.0
    async with running_server(tiny_repository, device="auto") as running:
        told = await described(running)
        assert (await running.inference.Predict(predict_request("good tea"))).model.runtime == "onnxruntime-cpu"
    assert [(each.device, each.serves) for each in told.devices] == [("cpu", True), ("toy:0", False)]
    assert "golden outputs differ" in told.devices[1].reason


def test_serve_ends_with_2_and_a_sentence_where_cuda_was_asked_for_and_cannot_be_used(tiny_repository: Path) -> None:
    if CUDA.why_not() is None:
        pytest.skip("this machine has CUDA")
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(tiny_repository), "--device", "cuda:0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    (sentence,) = (line for line in ended.stderr.splitlines() if line.startswith("explicate: "))
    assert sentence.startswith("explicate: --device cuda:0 cannot be used: ")
    assert sentence.endswith("; --device auto serves on the CPU until it can")
    assert "Traceback" not in ended.stderr


def test_the_command_line_shows_the_device_and_why_not_cuda(tiny_repository: Path) -> None:
    reason = CUDA.why_not()
    if reason is None:
        pytest.skip("this machine has CUDA")
    with server_process(tiny_repository) as (_, address):
        shown, listed = (
            subprocess.run(
                [sys.executable, "-m", "explicate", "models", *words, "--server", address],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for words in (["show", "tiny", "--format", "text"], ["list", "--format", "json"])
        )
    assert re.search(r"^devices +cpu: \d+ lanes?$", shown, re.MULTILINE)
    assert f" not cuda: {reason}" in shown
    assert json.loads(listed)["devices"] == ["cpu"]


async def test_metrics_tell_what_each_device_does(tiny_repository: Path, toy: ToyKind) -> None:
    async with running_server(tiny_repository, device="toy:0,1", metrics_listen="127.0.0.1:0") as running:
        toy.faults[1].most_rows = 0
        toy.faults[1].dies = True
        for _ in range(50):
            await running.inference.Predict(predict_request("good tea"))
            if running.served().batcher.lost:
                break
        registry = running.server.metrics.registry
        place = {"model": "tiny", "version": "1"}

        def value(name: str, number: int) -> float | None:
            return registry.get_sample_value(name, {**place, "device": f"toy:{number}"})

        rows = running.served().batcher.instances[0].rows
        assert value("explicate_model_device_rows_total", 0) == rows > 0
        assert [value("explicate_model_device_serves", number) for number in (0, 1)] == [1, 0]
        assert value("explicate_model_device_out_of_memory_total", 0) == 0
        assert (value("explicate_model_device_nodes", 0), value("explicate_model_device_cpu_nodes", 0)) == (12, 3)
