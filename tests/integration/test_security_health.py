"""What health says of the process and of each model, also when a runtime hangs."""

import asyncio
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from explicate import AsyncClient
from explicate.v1 import inference_service_pb2_grpc as services
from explicate_server.app import Server
from explicate_server.loop_guard import EXIT_CODE
from explicate_server.settings import Settings
from support.harness import TEXT, Running, gate, predict_request, running_server, until
from support.tiny_bundle import build_onnx_variant
from support.versions import publish_copy

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_READY = "explicate.v1.InferenceService"


async def status(channel: grpc.aio.Channel, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


def watch(running: Running, service: str) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(running.channel)
    return stub.Watch(health_pb2.HealthCheckRequest(service=service))


async def test_alive_from_the_start_ready_once_loaded_and_neither_when_draining(tiny_repository: Path) -> None:
    server = Server(Settings(repository=tiny_repository, listen="127.0.0.1:0", threads=1))
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await status(channel, "") == _SERVING
            assert await status(channel, _READY) == _NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await status(channel, f"{_READY}/tiny")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            await server.load()
            for service in ("", _READY, f"{_READY}/tiny", "explicate.v1.ModelService"):
                assert await status(channel, service) == _SERVING, service
            assert await server.drain()
            for service in ("", _READY, f"{_READY}/tiny", "explicate.v1.ModelService"):
                assert await status(channel, service) == _NOT_SERVING, service
    finally:
        await server.stop()


async def test_a_model_that_was_refused_is_not_ready_and_the_others_are(tiny_repository: Path, tmp_path: Path) -> None:
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    broken = shutil.copytree(repository / "tiny", repository / "broken") / "1" / "model.onnx"
    broken.write_bytes(b"no graph")
    async with running_server(repository) as running:
        assert await status(running.channel, f"{_READY}/tiny") == _SERVING
        assert await status(running.channel, f"{_READY}/broken") == _NOT_SERVING
        assert await status(running.channel, _READY) == _SERVING


async def test_a_model_whose_runtime_hangs_is_not_ready_until_it_goes_on(
    tiny_repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    build_onnx_variant(repository, model="other")
    async with running_server(repository, stuck_batch_s=0.05, metrics_listen="127.0.0.1:0") as running:
        one, both = watch(running, f"{_READY}/tiny"), watch(running, _READY)
        assert (await one.read()).status == _SERVING
        assert (await both.read()).status == _SERVING
        gated = gate(running)
        hanging = asyncio.ensure_future(running.inference.Predict(predict_request(TEXT)))
        assert (await one.read()).status == _NOT_SERVING
        assert "tiny/1 is stuck: one batch has run for" in caplog.text
        assert await status(running.channel, f"{_READY}/other") == _SERVING
        assert await status(running.channel, _READY) == _SERVING
        assert await status(running.channel, "") == _SERVING
        sample = "explicate_running_batch_seconds"
        seconds: Any = running.server.metrics.registry.get_sample_value
        assert seconds(sample, {"model": "tiny", "version": "1"}) > 0.05
        assert seconds(sample, {"model": "other", "version": "1"}) == 0.0
        gated.let_through(100)
        assert (await hanging).predictions
        assert (await one.read()).status == _SERVING
        assert "tiny/1 answers again" in caplog.text


async def test_a_canary_whose_runtime_hangs_is_in_the_log_and_the_live_version_stays_ready(
    tiny_repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    publish_copy(repository, 2)
    async with running_server(repository, stuck_batch_s=0.05) as running, AsyncClient(running.target) as client:
        await client.activate_version("tiny", 1, label="canary")
        canary = running.server.registry.find("tiny", label="canary").loaded
        gated = gate(running, served=canary)
        hanging = asyncio.ensure_future(client.predict("tiny", [TEXT], label="canary"))
        await until(lambda: "tiny/1 is stuck: one batch has run for" in caplog.text)
        await running.server.health.refresh()
        assert await status(running.channel, f"{_READY}/tiny") == _SERVING
        gated.let_through(100)
        assert (await hanging).model.version == 1
        await until(lambda: "tiny/1 answers again" in caplog.text)


async def test_a_server_whose_only_model_hangs_is_not_ready_and_alive(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, stuck_batch_s=0.05) as running:
        ready = watch(running, _READY)
        assert (await ready.read()).status == _SERVING
        gated = gate(running)
        hanging = asyncio.ensure_future(running.inference.Predict(predict_request(TEXT)))
        assert (await ready.read()).status == _NOT_SERVING
        assert await status(running.channel, "") == _SERVING
        gated.let_through(100)
        assert (await hanging).predictions
        assert (await ready.read()).status == _SERVING


_HANGING_SERVER = """
import asyncio, sys, threading
from pathlib import Path
from explicate_server.registry import loading
from explicate_server import app, loop_guard
from explicate_server.runtime import batcher
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.settings import Settings

repository, hang, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
run = OnnxRuntime.run
if where == "lane":
    loading.may_loop = lambda graph: True
batcher.GUARD = loop_guard.LoopGuard(most_held_s=0.5)

def run_or_hang(self, feeds):
    if hang.exists():
        print("hangs", flush=True)
        threading.Event().wait()
    return run(self, feeds)

OnnxRuntime.run = run_or_hang
app.HANG_S = 0.5
settings = Settings(repository=repository, listen="127.0.0.1:0", threads=1, stuck_batch_s=0.05)
sys.exit(asyncio.run(app.serve(settings)))
"""


@contextmanager
def hanging_server(repository: Path, hang: Path, where: str = "lane") -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server whose runtime never comes back once the file `hang` is there, in a "lane" or the "loop"; its address."""
    command = [sys.executable, "-u", "-c", _HANGING_SERVER, str(repository), str(hang), where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


async def test_a_second_signal_ends_a_server_whose_runtime_hangs(tiny_repository: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    with hanging_server(tiny_repository, hang) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            ready = stub.Watch(health_pb2.HealthCheckRequest(service=_READY))
            alive = stub.Watch(health_pb2.HealthCheckRequest())
            assert (await ready.read()).status == _SERVING
            assert (await alive.read()).status == _SERVING
            hang.touch()
            call = services.InferenceServiceStub(channel).Predict(predict_request(TEXT))
            assert (await ready.read()).status == _NOT_SERVING  # the batch hangs
            process.send_signal(signal.SIGTERM)
            assert (await alive.read()).status == _NOT_SERVING
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 30) == 1
            with pytest.raises(grpc.aio.AioRpcError):
                await call


async def test_a_runtime_that_hangs_on_the_event_loop_ends_the_process(tiny_repository: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    with hanging_server(tiny_repository, hang, "loop") as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            predict = services.InferenceServiceStub(channel).Predict
            await predict(predict_request(TEXT))
            hang.touch()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await predict(predict_request("tea"), timeout=60)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert await asyncio.to_thread(process.wait, 30) == EXIT_CODE


def test_a_server_told_to_stop_while_it_loads_does_not_wait_for_the_load(tiny_repository: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    hang.touch()  # the golden inputs are never answered
    with hanging_server(tiny_repository, hang) as (process, said):
        assert said == "hangs"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, "no call was left"
