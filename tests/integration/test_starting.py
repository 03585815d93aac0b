"""While a server starts: each model answers as soon as it can, the others say come back, and nothing is changed."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import generate_latest

import explicate
from explicate.v1 import model_service_pb2 as models
from explicate.v1 import model_service_pb2_grpc as model_services
from explicate_bundle.bundle import VerifiedBundle
from explicate_server.app import Server, StartError
from explicate_server.registry.loading import BundleLoader
from explicate_server.registry.records import ServedModel
from explicate_server.settings import Settings
from support.bundle_edits import edit_manifest
from support.harness import TEXT, Running, predict_request, running_server, until
from support.versions import publish_copy

INFERENCE = "explicate.v1.InferenceService"


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    """Three models, of which "tiny" is the last by name."""
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    for name in ("alpha", "beta"):
        edit_manifest(
            Path(shutil.copytree(repository / "tiny" / "1", repository / name / "1")),
            lambda manifest, name=name: manifest.update(model=name),
        )
    return repository


class Gate:
    """Holds loads back by the model's name, and counts those side by side."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *held: str) -> None:
        self.open = {name: asyncio.Event() for name in held}
        self.loading: set[str] = set()
        self.most = 0
        load = BundleLoader.load

        async def gated(loader: BundleLoader, bundle: VerifiedBundle, *, copies: int = 1) -> ServedModel:
            name = bundle.manifest.model
            self.loading.add(name)
            self.most = max(self.most, len(self.loading))
            try:
                if name in self.open:
                    await self.open[name].wait()
                return await load(loader, bundle, copies=copies)
            finally:
                self.loading.discard(name)

        monkeypatch.setattr(BundleLoader, "load", gated)


@asynccontextmanager
async def starting_server(repository: Path, **changes: Any) -> AsyncIterator[tuple[Running, "asyncio.Task[None]"]]:
    """A server that has begun to load."""
    server = Server(Settings(repository=repository, listen="127.0.0.1:0", threads=1, **changes))
    port = await server.start()
    loading = asyncio.ensure_future(server.load())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Running(server, channel, f"127.0.0.1:{port}"), loading
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await server.stop()


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, int]:
    """Code, reason and milliseconds to wait of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status, info, retry = status_pb2.Status(), error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status.ParseFromString(dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"])
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    return caught.value.code(), info.reason, retry.retry_delay.ToMilliseconds()


async def health(running: Running, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(running.channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_the_first_model_serves_while_the_others_load(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "alpha", "beta")
    async with starting_server(repository, max_loads=3) as (running, loading):
        await until(lambda: len(running.server.registry.ready) == 1 and len(gate.loading) == 2)
        assert (await running.inference.Predict(predict_request(TEXT))).model.model == "tiny"
        code, reason, wait_ms = await refusal(running.inference.Predict(predict_request(TEXT, model="alpha")))
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "STARTING")
        assert wait_ms > 0
        await running.server.health.refresh()
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        told = [await health(running, name) for name in (f"{INFERENCE}/tiny", f"{INFERENCE}/alpha", INFERENCE, "")]
        assert told == [serving, not_serving, not_serving, serving]
        gate.open["alpha"].set()
        await until(lambda: len(running.server.registry.ready) == 2)
        assert (await running.inference.Predict(predict_request(TEXT, model="alpha"))).model.model == "alpha"
        gate.open["beta"].set()
        await loading
        assert [await health(running, name) for name in (f"{INFERENCE}/beta", INFERENCE)] == [serving, serving]


async def test_no_more_than_was_asked_for_are_loaded_at_once_and_the_others_say_what_they_wait_for(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "alpha", "beta", "tiny")
    async with starting_server(repository, max_loads=2) as (running, loading):
        await until(lambda: len(gate.loading) == 2)  # which two ask first depends on whose labels are read first
        [last] = gate.open.keys() - gate.loading
        first = min(gate.loading)
        await until(lambda: running.server.registry.find(last, version=1).code == "WAITS")
        async with explicate.AsyncClient(running.target) as client:
            waiting = (await client.get_model(last, version=1)).status
            assert waiting.state == "available"
            assert "--max-loads" in (waiting.reason or "")
            assert (await client.get_model(first, version=1)).status.state == "loading"
        stub: Any = model_services.ModelServiceStub(running.channel)
        for name in (first, last):  # what describes no version in particular is for programs, which need its columns
            code, reason, wait_ms = await refusal(stub.GetModel(models.GetModelRequest(model=name)))
            assert (code, reason, wait_ms > 0) == (grpc.StatusCode.UNAVAILABLE, "STARTING", True)
        metrics = generate_latest(running.server.metrics.registry).decode()
        line = f'explicate_model_state{{model="{last}",reason="WAITS",state="available",version="1"}} 1.0'
        assert line in metrics.splitlines()
        for opened in gate.open.values():
            opened.set()
        await loading
        assert gate.most == 2
        assert len(running.server.registry.ready) == 3


async def test_nothing_is_changed_before_a_model_is_started(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_copy(repository, 2)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        await client.activate_version("tiny", 1)
        await client.activate_version("tiny", 2, label="canary")
        await client.set_traffic("tiny", canary_share=0.5)
    kept = (repository / "tiny" / "labels.json").read_bytes()
    gate = Gate(monkeypatch, "tiny")
    async with starting_server(repository) as (running, loading):
        await until(lambda: gate.loading == {"tiny"})
        stub: Any = model_services.ModelServiceStub(running.channel)
        for call in (
            stub.SetTraffic(models.SetTrafficRequest(model="tiny", traffic=models.Traffic())),
            stub.ActivateVersion(models.ActivateVersionRequest(model="tiny", version=2)),
            stub.RollbackModel(models.RollbackModelRequest(model="tiny")),
            stub.RemoveLabel(models.RemoveLabelRequest(model="tiny", label="canary")),
            stub.LoadModel(models.LoadModelRequest(model="tiny", version=2)),
            stub.UnloadModel(models.UnloadModelRequest(model="tiny", version=2)),
        ):
            code, reason, wait_ms = await refusal(call)
            assert (code, reason, wait_ms > 0) == (grpc.StatusCode.UNAVAILABLE, "STARTING", True)
        gate.open["tiny"].set()
        await loading
        assert (repository / "tiny" / "labels.json").read_bytes() == kept
        await stub.SetTraffic(models.SetTrafficRequest(model="tiny", traffic=models.Traffic()))
    changed = json.loads((repository / "tiny" / "labels.json").read_bytes())
    assert changed["labels"] == json.loads(kept)["labels"]
    assert changed["traffic"] == {"canary_share": 0.0, "shadow_share": 0.0}


async def test_before_the_repository_is_listed_nobody_is_told_that_a_model_does_not_exist(repository: Path) -> None:
    server = Server(Settings(repository=repository, listen="127.0.0.1:0", threads=1))
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = model_services.ModelServiceStub(channel)
            for call in (
                Running(server, channel, "").inference.Predict(predict_request(TEXT)),
                stub.ListModels(models.ListModelsRequest()),
                stub.GetModel(models.GetModelRequest(model="tiny")),
                stub.SetTraffic(models.SetTrafficRequest(model="tiny", traffic=models.Traffic())),
                stub.UnloadModel(models.UnloadModelRequest(model="tiny", version=1)),
            ):
                assert (await refusal(call))[:2] == (grpc.StatusCode.UNAVAILABLE, "STARTING")
    finally:
        await server.stop()


async def test_only_the_chosen_models_are_served(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    (repository / "Odd").mkdir()
    async with (
        running_server(repository, models="alpha, tiny") as running,
        explicate.AsyncClient(running.target) as client,
    ):
        assert [status.model for status in await client.list_models()] == ["alpha", "tiny"]
        for attempt in (client.predict("beta", [TEXT]), client.load_model("beta")):
            with pytest.raises(explicate.NotFound):
                await attempt
    assert "passed over" not in caplog.text  # what nobody has chosen need not be mentioned


async def test_a_chosen_model_that_does_not_exist_is_an_error_that_says_what_there_is(repository: Path) -> None:
    (repository / "linked").symlink_to("/etc")
    with pytest.raises(StartError, match=r"--models names 'gamma', .*; there are alpha, beta, tiny"):
        async with running_server(repository, models="tiny,gamma,alpha"):
            pass
    with pytest.raises(StartError, match=r"--models names 'linked'.*passed over: 'linked' \(it is an absolute link"):
        async with running_server(repository, models="linked"):
            pass


async def test_memory_that_one_load_will_take_is_not_counted_on_by_the_next(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = (repository / "tiny" / "1" / "model.onnx").stat().st_size
    gate = asyncio.Event()
    load = BundleLoader._load

    async def gated(loader: BundleLoader, bundle: VerifiedBundle) -> ServedModel:
        await gate.wait()
        return await load(loader, bundle)

    monkeypatch.setattr(BundleLoader, "_load", gated)
    async with starting_server(repository, max_loads=2, memory_reserve_bytes=1) as (running, loading):
        running.server.registry.lifecycle.loader.memory.host.free = lambda: graph + graph // 2  # room for one
        await until(lambda: "failed" in {record.state.name.lower() for record in running.server.registry.records})
        gate.set()
        await loading
        told = {record.location.model: record.code for record in running.server.registry.records}
        assert sorted(told.values()) in (["", "", "NOT_ENOUGH_MEMORY"], ["", "NOT_ENOUGH_MEMORY", "NOT_ENOUGH_MEMORY"])
