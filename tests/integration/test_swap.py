"""Versions are swapped under load: nobody fails, nobody gets half of one and half of another, and a failure changes
nothing.
"""

import asyncio
import weakref
from pathlib import Path
from typing import Any

import grpc
import pytest

import explicate
from explicate.v1 import model_service_pb2 as messages
from explicate.v1 import model_service_pb2_grpc as services
from support.bundle_edits import edit_manifest
from support.harness import TEXT, Running, explain_request, gate, predict_request, running_server, until
from support.versions import break_golden, copy_with_constant_version, is_constant, publish_copy


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return copy_with_constant_version(tiny_repository, tmp_path / "repository")


def admin(running: Running) -> Any:
    return services.ModelServiceStub(running.channel)


def activate(version: int, **fields: Any) -> messages.ActivateVersionRequest:
    return messages.ActivateVersionRequest(model="tiny", version=version, **fields)


async def test_no_answer_fails_while_versions_are_swapped_and_each_comes_from_one(repository: Path) -> None:
    async with running_server(repository) as running:
        done = asyncio.Event()
        seen: set[tuple[str, int]] = set()

        async def predict() -> None:
            while not done.is_set():
                answer = await running.inference.Predict(predict_request(*[TEXT] * 3))
                assert {is_constant(one) for one in answer.predictions} == {answer.model.version == 2}
                seen.add(("Predict", answer.model.version))

        async def explain() -> None:
            seed = 0
            while not done.is_set():
                seed += 1
                request = explain_request(TEXT, seed=seed, max_evaluations=64, tolerance=0.0)
                answer = (await running.inference.Explain(request)).result
                (attribution,) = answer.explanation.attributions
                assert is_constant(answer.prediction) == (answer.model.version == 2)
                assert (max(map(abs, attribution.values)) < 1e-9) == (answer.model.version == 2)
                seen.add(("Explain", answer.model.version))

        callers = [asyncio.create_task(work()) for work in (predict, predict, explain)]
        for version in (1, 2, 1, 2):
            switched = await admin(running).ActivateVersion(activate(version))
            assert switched.status.labels == ["live"]
            seen.clear()
            await until(lambda version=version: {("Predict", version), ("Explain", version)} <= seen)  # type: ignore[misc]
            assert {answered for _, answered in seen} <= {1, 2}
        done.set()
        await asyncio.gather(*callers)


@pytest.mark.usefixtures("no_cycle_collection")
async def test_a_request_ends_on_the_version_it_began_with_which_is_freed_after_it(repository: Path) -> None:
    async with running_server(repository, keep_previous=False) as running:
        assert running.served().bundle.manifest.version == 2
        gated = gate(running)
        old = weakref.ref(running.served().runtime)
        call = running.inference.Predict(predict_request(TEXT))
        await gated.entered.get()
        await admin(running).ActivateVersion(activate(1))
        described = await admin(running).GetModel(messages.GetModelRequest(model="tiny", version=2))
        assert described.status.state == messages.MODEL_STATE_UNLOADING
        assert described.status.leases == 1
        assert (await running.inference.Predict(predict_request(TEXT))).model.version == 1
        gated.let_through(1)
        assert (await call).model.version == 2
        record = running.server.registry.find("tiny", version=2)
        await until(lambda: record.state.name == "AVAILABLE")
        del gated
        assert old() is None


@pytest.mark.usefixtures("no_cycle_collection")
async def test_a_server_that_has_stopped_holds_no_model_any_more(repository: Path) -> None:
    async with running_server(repository) as running:
        await running.inference.Predict(predict_request(TEXT))
        served = weakref.ref(running.served())
        runtime = weakref.ref(running.served().runtime)
    assert running.server.registry.records, "the server itself is still here"
    await until(lambda: (served(), runtime()) == (None, None))  # a thread may be about to let go of it


async def test_a_failed_activation_leaves_the_old_version_serving_and_says_why(repository: Path) -> None:
    break_golden(publish_copy(repository, 3))
    async with running_server(repository) as running:
        assert (await running.inference.Predict(predict_request(TEXT))).model.version == 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin(running).ActivateVersion(activate(3))
        live = await admin(running).GetModel(messages.GetModelRequest(model="tiny"))
        failed = await admin(running).GetModel(messages.GetModelRequest(model="tiny", version=3))
        assert (await running.inference.Predict(predict_request(TEXT))).model.version == 2
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "golden.npz" in (caught.value.details() or "")
    assert live.status.version == 2
    assert failed.status.state == messages.MODEL_STATE_FAILED
    assert "golden.npz" in failed.status.reason


async def test_a_failed_version_can_be_activated_once_it_is_mended(repository: Path) -> None:
    folder = publish_copy(repository, 3)
    whole = (folder / "golden.npz").read_bytes()
    break_golden(folder)
    async with running_server(repository) as running:
        (folder / "golden.npz").write_bytes(whole)
        switched = await admin(running).ActivateVersion(activate(3))
        assert switched.status.state == messages.MODEL_STATE_READY
        assert switched.previous_version == 2
        assert (await running.inference.Predict(predict_request(TEXT))).model.version == 3


async def test_rolling_back_needs_no_load_and_twice_is_forward_again(repository: Path) -> None:
    async with running_server(repository) as running:
        await admin(running).ActivateVersion(activate(1))
        previous = running.server.registry.find("tiny", version=2)
        assert previous.loaded is not None
        assert previous.previous_of == ["live"]
        loads = running.server.registry.lifecycle.outcomes["tiny", "load", "ok"]
        back = await admin(running).RollbackModel(messages.RollbackModelRequest(model="tiny"))
        assert (back.status.version, back.previous_version) == (2, 1)
        assert is_constant((await running.inference.Predict(predict_request(TEXT))).predictions[0])
        forward = await admin(running).RollbackModel(messages.RollbackModelRequest(model="tiny", expected_version=2))
        assert (forward.status.version, forward.previous_version) == (1, 2)
        assert running.server.registry.lifecycle.outcomes["tiny", "load", "ok"] == loads


async def test_nothing_to_roll_back_to_is_told(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        with pytest.raises(explicate.FailedPrecondition, match="pointed at 2 only") as caught:
            await client.rollback_model("tiny")
        with pytest.raises(explicate.NotFound, match="tiny@canary"):
            await client.rollback_model("tiny", label="canary")
    assert caught.value.reason == "NO_PREVIOUS_VERSION"


async def test_of_two_who_expect_the_same_version_exactly_one_wins(repository: Path) -> None:
    publish_copy(repository, 3)
    publish_copy(repository, 4)
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        live = (await client.get_model("tiny")).status.version
        assert live == 4
        outcomes = await asyncio.gather(
            *(client.activate_version("tiny", version, expected_version=live) for version in (1, 3)),
            return_exceptions=True,
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, explicate.Switched)]
        (lost,) = [outcome for outcome in outcomes if isinstance(outcome, explicate.Aborted)]
        assert len(won) == 1
        assert lost.reason == "LABEL_MOVED"
        assert (await client.get_model("tiny")).status == won[0].status
        loser = ({1, 3} - {won[0].status.version}).pop()
        assert (await client.get_model("tiny", version=loser)).status.state == "available"


@pytest.mark.usefixtures("no_cycle_collection")
async def test_a_labelled_version_is_not_unloaded_and_another_is(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        assert (await client.load_model("tiny", version=1)).state == "ready"
        assert (await client.predict("tiny", [TEXT], version=1)).model.version == 1
        with pytest.raises(explicate.FailedPrecondition, match="is labelled live") as caught:
            await client.unload_model("tiny", 2)
        assert caught.value.reason == "VERSION_IN_USE"
        freed = weakref.ref(running.server.registry.find("tiny", version=1).loaded.runtime)
        await client.explain("tiny", TEXT, version=1)
        store = running.server.registry.lifecycle.on_freed[0].__self__
        assert store.bytes > 0
        assert (await client.unload_model("tiny", 1)).state == "available"
        assert freed() is None
        assert store.bytes == 0
        with pytest.raises(explicate.FailedPrecondition, match="not loaded"):
            await client.predict("tiny", [TEXT], version=1)
        with pytest.raises(explicate.FailedPrecondition, match="not loaded"):
            await client.unload_model("tiny", 1)


async def test_a_change_runs_to_its_end_when_its_caller_leaves(repository: Path) -> None:
    async with running_server(repository) as running:
        lock = running.server.registry.known("tiny").lock
        await lock.acquire()
        call = admin(running).ActivateVersion(activate(1))
        await until(lambda: bool(running.server.registry.changes.running))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: running.server.calls.in_flight == 0)
        lock.release()
        await until(lambda: running.server.registry.find("tiny").location.version == 1)


async def test_a_change_of_one_model_does_not_wait_for_another(repository: Path) -> None:
    publish_copy(repository, 3)
    (repository / "other").mkdir()
    folder = publish_copy(repository, 9)
    folder.rename(repository / "other" / "9")
    edit_manifest(repository / "other" / "9", lambda manifest: manifest.update(model="other"))
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        await running.server.registry.known("tiny").lock.acquire()
        assert (await client.activate_version("other", 9, label="canary")).status.labels == ("canary", "live")


async def test_a_model_too_large_for_the_memory_is_refused_before_it_is_loaded(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        running.server.registry.lifecycle.loader.memory.host.free = lambda: 300 << 20
        assert (await client.load_model("tiny", version=1)).state == "ready"
        await client.unload_model("tiny", 1)
        running.server.registry.lifecycle.loader.memory.host.free = lambda: 256 << 20
        with pytest.raises(explicate.FailedPrecondition, match="256 MiB are free") as caught:
            await client.activate_version("tiny", 1)
        assert caught.value.reason == "NOT_ENOUGH_MEMORY"
        assert (await client.predict("tiny", [TEXT])).model.version == 2


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda stub: stub.LoadModel(messages.LoadModelRequest()), "model"),
        (lambda stub: stub.LoadModel(messages.LoadModelRequest(model="../tiny")), "model"),
        (lambda stub: stub.LoadModel(messages.LoadModelRequest(model="tiny", version=0)), "version"),
        (lambda stub: stub.UnloadModel(messages.UnloadModelRequest(model="tiny")), "version"),
        (lambda stub: stub.ActivateVersion(activate(0)), "version"),
        (lambda stub: stub.ActivateVersion(activate(1, label="../x")), "label"),
        (lambda stub: stub.ActivateVersion(activate(1, expected_version=-1)), "expected_version"),
        (lambda stub: stub.ActivateVersion(activate(1, expected_version=0)), "expected_version"),
        (lambda stub: stub.ActivateVersion(activate(1, label="")), "label"),
        (lambda stub: stub.RollbackModel(messages.RollbackModelRequest(model="tiny", label="A B")), "label"),
        (lambda stub: stub.RemoveLabel(messages.RemoveLabelRequest(model="tiny")), "label"),
        (lambda stub: stub.SetTraffic(messages.SetTrafficRequest(model="tiny")), "traffic"),
        (
            lambda stub: stub.SetTraffic(
                messages.SetTrafficRequest(model="tiny", traffic=messages.Traffic(canary_share=1.5))
            ),
            "traffic.canary_share",
        ),
        (
            lambda stub: stub.SetTraffic(
                messages.SetTrafficRequest(model="tiny", traffic=messages.Traffic(shadow_share=float("nan")))
            ),
            "traffic.shadow_share",
        ),
        (lambda stub: stub.ListModels(messages.ListModelsRequest(page_size=-1)), "page_size"),
        (lambda stub: stub.ListModels(messages.ListModelsRequest(page_size=0)), "page_size"),
        (lambda stub: stub.GetModel(messages.GetModelRequest(model="tiny", label="")), "label"),
        (lambda stub: stub.WatchModels(messages.WatchModelsRequest(model="")).read(), "model"),
        (lambda stub: stub.ListModels(messages.ListModelsRequest(page_size=1, page_token="x")), "page_token"),
        (lambda stub: stub.GetModel(messages.GetModelRequest(model="tiny", version=1, label="live")), "label"),
    ],
)
async def test_a_bad_field_is_named(tiny_repository: Path, call: Any, path: str) -> None:
    async with running_server(tiny_repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(admin(running))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"{path}: " in (caught.value.details() or "")


async def test_what_does_not_exist_is_not_found(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        with pytest.raises(explicate.NotFound, match="no such model: 'nobody'"):
            await client.load_model("nobody")
        with pytest.raises(explicate.NotFound, match=r"'tinny'; did you mean tiny\?"):
            await client.load_model("tinny")
        with pytest.raises(explicate.NotFound, match=r"such version: 'tiny/7'; it has 1, 2$"):
            await client.activate_version("tiny", 7)
        with pytest.raises(explicate.NotFound, match="tiny@canary"):
            await client.set_traffic("tiny", canary_share=0.5)
        with pytest.raises(explicate.NotFound, match="tiny@canary"):
            await client.remove_label("tiny", "canary")


async def test_a_load_that_names_no_version_takes_the_newest(repository: Path) -> None:
    async with running_server(repository) as running:
        for version in (3, 10):
            publish_copy(repository, version)
        loaded = await admin(running).LoadModel(messages.LoadModelRequest(model="tiny"))
        assert (loaded.status.version, loaded.status.state) == (10, messages.MODEL_STATE_READY)
        assert running.served().bundle.manifest.version == 2, "it gets no label"
