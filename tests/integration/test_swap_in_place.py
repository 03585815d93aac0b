"""A swap where memory holds one version only: the old one goes first, calls meanwhile are told to come back, and it is
there again when the next one is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import explicate
from explicate_bundle.bundle import VerifiedBundle
from explicate_server.registry.loading import BundleLoader
from explicate_server.registry.memory import Pool
from explicate_server.registry.records import ServedModel
from support.harness import TEXT, Running, gate, predict_request, running_server, until
from support.versions import break_golden, copy_with_constant_version, publish_copy

Served = tuple[Running, explicate.AsyncClient]


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return copy_with_constant_version(tiny_repository, tmp_path / "repository")


@asynccontextmanager
async def serving(repository: Path) -> AsyncIterator[Served]:
    async with (
        running_server(repository, swap_in_place=True) as running,
        explicate.AsyncClient(running.target) as client,
    ):
        yield running, client


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[[], "asyncio.Queue[asyncio.Event]"]:
    """From when it is called, each load waits for the event that it puts into the queue."""

    def hold() -> "asyncio.Queue[asyncio.Event]":
        loads: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        load = BundleLoader._load

        async def held_up(loader: BundleLoader, bundle: VerifiedBundle) -> ServedModel:
            go_on = asyncio.Event()
            loads.put_nowait(go_on)
            await go_on.wait()
            return await load(loader, bundle)

        monkeypatch.setattr(BundleLoader, "_load", held_up)
        return loads

    return hold


def loaded(running: Running) -> set[int]:
    return {record.location.version for record in running.server.registry.records if record.loaded is not None}


async def test_there_is_one_version_in_memory_at_a_time_and_calls_meanwhile_are_told_when_to_come_back(
    repository: Path, held: Callable[[], "asyncio.Queue[asyncio.Event]"]
) -> None:
    async with serving(repository) as (running, client):
        loads = held()
        swap = asyncio.create_task(client.activate_version("tiny", 1))
        go_on = await loads.get()
        assert loaded(running) == set()
        for selector in ({}, {"version": 2}, {"label": "live"}):
            with pytest.raises(explicate.Unavailable, match="tiny/2 makes room for version 1") as caught:
                await client.predict("tiny", [TEXT], timeout_s=0.5, **selector)
            assert caught.value.reason == "SWAPPING"
            assert caught.value.retry_after_s >= 1.0
        left = (await client.get_model("tiny")).status
        assert (left.version, left.state, left.labels) == (2, "available", ("live",))
        assert "makes room for version 1" in left.reason
        go_on.set()
        assert (await swap).previous_version == 2
        assert loaded(running) == {1}, "the one before is not kept"
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        assert not (await client.get_model("tiny", version=2)).status.reason


async def test_a_request_that_began_before_is_answered_by_the_version_that_goes(repository: Path) -> None:
    async with serving(repository) as (running, client):
        gated = gate(running)
        call = asyncio.ensure_future(running.inference.Predict(predict_request(TEXT)))
        await gated.entered.get()
        swap = asyncio.create_task(client.activate_version("tiny", 1))
        entry = running.server.registry.known("tiny")
        await until(lambda: entry.in_place is not None)
        assert not swap.done()
        gated.let_through(1)
        assert (await call).model.version == 2
        await swap
        assert (await client.predict("tiny", [TEXT])).model.version == 1


async def test_a_version_whose_files_are_broken_does_not_interrupt_what_serves(repository: Path) -> None:
    break_golden(publish_copy(repository, 3))
    async with serving(repository) as (running, client):
        before = running.served()
        with pytest.raises(explicate.FailedPrecondition, match=r"golden\.npz"):
            await client.activate_version("tiny", 3)
        assert running.served() is before
        assert (await client.get_model("tiny", version=3)).status.state == "failed"


async def test_what_served_before_comes_back_when_the_next_version_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = BundleLoader._load

    async def refuses_the_first(loader: BundleLoader, bundle: VerifiedBundle) -> ServedModel:
        if bundle.manifest.version == 1:
            raise RuntimeError("the device said no")
        return await load(loader, bundle)

    async with serving(repository) as (running, client):
        before = running.served()
        monkeypatch.setattr(BundleLoader, "_load", refuses_the_first)
        with pytest.raises(explicate.FailedPrecondition, match="the device said no"):
            await client.activate_version("tiny", 1)
        assert loaded(running) == {2}
        assert running.served() is not before
        assert (await client.predict("tiny", [TEXT])).model.version == 2
        assert (await client.get_model("tiny")).status.labels == ("live",)
        assert (await client.get_model("tiny", version=1)).status.reason == "RuntimeError: the device said no"
        assert running.server.registry.known("tiny").in_place is None


async def test_where_neither_can_be_loaded_both_reasons_are_told_and_a_look_at_the_repository_brings_one_back(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, broken = BundleLoader._load, True

    async def refuses(loader: BundleLoader, bundle: VerifiedBundle) -> ServedModel:
        if broken:
            raise RuntimeError(f"no device for {bundle.manifest.version}")
        return await load(loader, bundle)

    async with serving(repository) as (running, client):
        monkeypatch.setattr(BundleLoader, "_load", refuses)
        with pytest.raises(explicate.FailedPrecondition, match=r"no device for 1.*loaded again.*no device for 2"):
            await client.activate_version("tiny", 1)
        with pytest.raises(explicate.FailedPrecondition, match="no device for 2"):
            await client.predict("tiny", [TEXT])
        broken = False
        await running.server.poll.look()
        assert loaded(running) == {2}
        assert (await client.predict("tiny", [TEXT])).model.version == 2


async def test_a_look_at_the_repository_during_a_swap_does_not_bring_back_what_makes_room(
    repository: Path, held: Callable[[], "asyncio.Queue[asyncio.Event]"]
) -> None:
    async with serving(repository) as (running, client):
        loads = held()
        swap = asyncio.create_task(client.activate_version("tiny", 1))
        go_on = await loads.get()
        await running.server.poll.look()
        go_on.set()
        await swap
        await running.server.poll.look()
        assert loads.empty()
        assert loaded(running) == {1}


async def test_a_version_that_another_label_needs_stays(repository: Path) -> None:
    publish_copy(repository, 3)
    async with serving(repository) as (running, client):
        await client.activate_version("tiny", 3, label="canary")
        await client.activate_version("tiny", 1, label="canary")
        assert loaded(running) == {3, 1}
        await client.activate_version("tiny", 1)
        assert loaded(running) == {1}


async def test_rolling_back_is_done_in_place_too(repository: Path) -> None:
    async with serving(repository) as (running, client):
        await client.activate_version("tiny", 1)
        back = await client.rollback_model("tiny")
        assert (back.status.version, back.previous_version) == (2, 1)
        assert loaded(running) == {2}


async def test_what_is_too_large_for_a_device_beside_another_fits_in_its_place(repository: Path) -> None:
    graph = (repository / "tiny" / "1" / "model.onnx").stat().st_size
    async with serving(repository) as (running, client):
        memory = running.server.registry.lifecycle.loader.memory

        def free() -> int:
            return (2 - len(loaded(running))) * graph

        memory.devices = [Pool("cuda:0", free, graph // 2, "--device-reserve-bytes")]
        await client.activate_version("tiny", 1)
        assert loaded(running) == {1}
        with pytest.raises(explicate.FailedPrecondition, match="of cuda:0 are free") as caught:
            await client.load_model("tiny", version=2)
        assert caught.value.reason == "NOT_ENOUGH_MEMORY"
        memory.devices[0].reserve_bytes = 2 * graph
        before = running.served()
        with pytest.raises(explicate.FailedPrecondition, match="even without the version that it replaces"):
            await client.activate_version("tiny", 2)
        assert running.served() is before
