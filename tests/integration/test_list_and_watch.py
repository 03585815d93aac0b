"""Versions are listed page by page, and watched by readers of any speed."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest

import explicate
from explicate.cli.main import main
from explicate.v1 import model_service_pb2 as messages
from explicate.v1 import model_service_pb2_grpc as services
from support.harness import Running, running_server, until
from support.versions import publish_copy


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    for version in (2, 3, 10):
        publish_copy(repository, version)
    return repository


def models(running: Running) -> Any:
    return services.ModelServiceStub(running.channel)


async def pages(client: explicate.AsyncClient, size: int) -> list[list[int]]:
    found, token = [], ""
    while True:
        statuses, token = await client.list_models_page(size, token)
        found.append([status.version for status in statuses])
        if not token:
            return found


async def test_pages_hold_every_version_once_in_order(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        assert [status.version for status in await client.list_models()] == [1, 2, 3, 10]
        assert await pages(client, 1) == [[1], [2], [3], [10]]
        assert await pages(client, 3) == [[1, 2, 3], [10]]
        assert await pages(client, 4) == [[1, 2, 3, 10]]
        assert await pages(client, 5000) == [[1, 2, 3, 10]]


async def test_a_field_that_says_nothing_is_unset(repository: Path) -> None:
    async with running_server(repository) as running:
        answer = await models(running).ListModels(messages.ListModelsRequest())
        first = await models(running).ListModels(messages.ListModelsRequest(page_size=1))
        described = await models(running).GetModel(messages.GetModelRequest(model="tiny"))
    assert not answer.HasField("next_page_token")
    assert first.HasField("next_page_token")
    (waiting, *_, live), served = answer.models, ("runtime", "precision")
    assert [waiting.HasField(name) for name in (*served, "reason", "bundle_digest")] == [False, False, False, False]
    assert [live.HasField(name) for name in (*served, "bundle_digest", "graph_bytes")] == [True] * 4
    assert not live.HasField("reason")
    (label,) = described.labels
    assert not label.HasField("previous_version")
    assert described.HasField("model_card")
    assert not described.bundle.HasField("target_name")


async def test_a_page_goes_on_after_the_last_one_whatever_came_or_went_meanwhile(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        first, token = await client.list_models_page(2)
        shutil.rmtree(repository / "tiny" / "2")
        publish_copy(repository, 4)
        await client.load_model("tiny", version=1)  # looks at the folder
        rest, end = await client.list_models_page(10, token)
        assert [status.version for status in first] == [1, 2]
        assert [status.version for status in rest] == [3, 4, 10]
        assert not end


async def test_a_watch_tells_all_and_then_each_change(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        changes = client.watch_models("tiny")
        snapshot = await anext(changes)
        assert snapshot.snapshot
        assert snapshot.statuses == await client.list_models()
        seen: list[tuple[int, str, tuple[str, ...]]] = []

        async def read() -> None:
            async for change in changes:
                assert not change.snapshot
                seen.extend((status.version, status.state, status.labels) for status in change.statuses)
                if seen[-1] == (10, "ready", ()):
                    return

        reader = asyncio.create_task(read())
        await client.activate_version("tiny", 2)
        await reader
        assert (2, "loading", ()) in seen
        assert (2, "ready", ("live",)) in seen
        await changes.aclose()
        await until(lambda: not running.server.registry.watches._watches)


async def test_a_watch_of_one_model_hears_nothing_of_another_and_an_unknown_one_is_watched_until_it_comes(
    repository: Path,
) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        changes = client.watch_models("later")
        assert (await anext(changes)).statuses == ()
        await client.activate_version("tiny", 1)
        shutil.copytree(repository / "tiny", repository / "later")
        with pytest.raises(explicate.FailedPrecondition, match="its folder says 'later'"):
            await client.load_model("later")
        assert {status.model for status in (await anext(changes)).statuses} == {"later"}
        await changes.aclose()


async def test_a_reader_that_does_not_read_holds_up_nothing_and_takes_no_memory(repository: Path) -> None:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        stalled = models(running).WatchModels(messages.WatchModelsRequest())
        assert (await stalled.read()).snapshot
        registry = running.server.registry
        record = registry.find("tiny", version=1)
        record.reason = "x" * 10_000  # a status that fills the connection's window soon
        for _ in range(5000):
            registry.watches.tell(record)
            if registry.watches.pending:
                await asyncio.sleep(0)
        assert registry.watches.pending <= len(registry.records)
        record.reason = "the last"
        registry.watches.tell(record)
        assert (await client.predict("tiny", ["tea"])).model.version == 10
        told = 1
        while (await stalled.read()).models[0].reason != "the last":
            told += 1
        assert told < 5000  # what the connection could not take was told once
        stalled.cancel()


async def test_a_drain_ends_watches_instead_of_waiting_for_them(repository: Path) -> None:
    async with running_server(repository, drain_s=60.0) as running:
        watch = models(running).WatchModels(messages.WatchModelsRequest())
        assert (await watch.read()).snapshot
        assert await running.server.drain()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_watching_on_the_command_line_ends_well_when_its_time_is_over(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_server(repository) as running:
        arguments = ["models", "watch", "--server", running.target, "--timeout", "2", "--format", "text"]
        assert await asyncio.to_thread(main, arguments) == 0
    out, err = capsys.readouterr()
    assert [line.split("  ", 1)[1] for line in out.splitlines()] == [
        "tiny version 1 available",
        "tiny version 2 available",
        "tiny version 3 available",
        "tiny version 10 ready [live]",
    ]
    assert "explicate:" not in err
