"""The control mode "watch": whole versions go live, half-written ones are left alone, what was rolled back stays so."""

import asyncio
import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

import explicate
from support.bundle_edits import edit_manifest
from support.harness import TEXT, Running, running_server, until
from support.versions import break_golden, publish_copy


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "repository"))


def watching(repository: Path) -> AbstractAsyncContextManager[Running]:
    # The tests look themselves; an hour is longer than any of them.
    return running_server(repository, model_control="watch", watch_interval_s=3600.0)


async def live_version(running: Running) -> int:
    async with explicate.AsyncClient(running.target) as client:
        return (await client.predict("tiny", [TEXT])).model.version


async def test_a_published_version_goes_live_by_itself(repository: Path) -> None:
    async with watching(repository) as running:
        await running.server.poll.look()
        assert await live_version(running) == 1
        publish_copy(repository, 3)
        await running.server.poll.look()
        assert await live_version(running) == 3
        assert not (repository / "tiny" / "labels.json").exists()


async def test_the_repository_is_looked_at_again_and_again(repository: Path) -> None:
    async with running_server(repository, model_control="watch", watch_interval_s=0.1) as running:
        for version in (3, 4):
            publish_copy(repository, version)
            while await live_version(running) != version:
                pass


async def test_a_half_written_folder_is_left_alone_until_it_is_whole(repository: Path) -> None:
    origin, folder = repository / "tiny" / "1", repository / "tiny" / "2"
    async with watching(repository) as running:
        folder.mkdir()
        await running.server.poll.look()
        record = running.server.registry.find("tiny", version=2)
        assert (record.state.name, "manifest.json" in record.reason) == ("AVAILABLE", True)
        shutil.copy(origin / "manifest.json", folder)
        edit_manifest(folder, lambda manifest: manifest.update(version="2"))
        await running.server.poll.look()
        assert (record.state.name, "is missing" in record.reason) == ("AVAILABLE", True)
        for path in origin.iterdir():
            if path.name not in ("manifest.json", "model.onnx"):
                shutil.copy(path, folder)
        (folder / "model.onnx").write_bytes((origin / "model.onnx").read_bytes()[:-1])
        await running.server.poll.look()
        assert (record.state.name, "model.onnx" in record.reason) == ("AVAILABLE", True)
        assert await live_version(running) == 1
        shutil.copy(origin / "model.onnx", folder)
        await running.server.poll.look()
        assert await live_version(running) == 2


async def test_a_broken_version_is_tried_once_and_again_when_it_has_changed(repository: Path) -> None:
    whole = (repository / "tiny" / "1" / "golden.npz").read_bytes()
    async with watching(repository) as running:
        folder = publish_copy(repository, 2)
        golden = whole[:-1] + bytes([whole[-1] ^ 1])  # its size is right, its digest is not
        (folder / "golden.npz").write_bytes(golden)
        outcomes = running.server.registry.lifecycle.outcomes
        for _ in range(2):
            await running.server.poll.look()
        assert outcomes["tiny", "load", "failed"] == 1
        assert "altered" in running.server.registry.find("tiny", version=2).reason
        assert await live_version(running) == 1
        (folder / "golden.npz").write_bytes(whole)
        await running.server.poll.look()
        assert await live_version(running) == 2


async def test_a_version_that_was_rolled_back_is_not_made_live_again_and_a_newer_one_is(repository: Path) -> None:
    async with watching(repository) as running:
        publish_copy(repository, 2)
        await running.server.poll.look()
        async with explicate.AsyncClient(running.target) as client:
            await client.rollback_model("tiny")
        await running.server.poll.look()
        assert await live_version(running) == 1
    async with watching(repository) as running:
        await running.server.poll.look()
        assert await live_version(running) == 1
        publish_copy(repository, 3)
        await running.server.poll.look()
        assert await live_version(running) == 3
    async with watching(repository) as running:
        assert await live_version(running) == 3


async def test_a_version_that_was_live_once_is_not_made_live_again_after_a_restart(repository: Path) -> None:
    publish_copy(repository, 2)
    publish_copy(repository, 3)
    async with watching(repository) as running, explicate.AsyncClient(running.target) as client:
        await client.activate_version("tiny", 2)
        await client.activate_version("tiny", 1)
        await running.server.poll.look()
        assert await live_version(running) == 1
    async with watching(repository) as running:
        await running.server.poll.look()
        assert await live_version(running) == 1


async def test_after_a_restart_the_chosen_version_comes_back_once_it_is_mended_and_no_other_meanwhile(
    repository: Path,
) -> None:
    publish_copy(repository, 2)
    async with watching(repository) as running, explicate.AsyncClient(running.target) as client:
        await client.activate_version("tiny", 1)  # 2 was live and is left
    kept = (repository / "tiny" / "labels.json").read_bytes()
    whole = (repository / "tiny" / "1" / "golden.npz").read_bytes()
    break_golden(repository / "tiny" / "1")
    async with watching(repository) as running, explicate.AsyncClient(running.target) as client:
        for _ in range(2):
            await running.server.poll.look()
        with pytest.raises(explicate.FailedPrecondition, match=r"tiny/1 is failed"):
            await client.predict("tiny", [TEXT])
        (repository / "tiny" / "1" / "golden.npz").write_bytes(whole)
        await running.server.poll.look()
        assert await live_version(running) == 1
    assert (repository / "tiny" / "labels.json").read_bytes() == kept


async def test_a_label_file_that_is_mended_is_read_at_the_next_look(repository: Path) -> None:
    publish_copy(repository, 2)
    (repository / "tiny" / "labels.json").write_text("{")
    async with watching(repository) as running, explicate.AsyncClient(running.target) as client:
        await running.server.poll.look()
        with pytest.raises(explicate.FailedPrecondition, match="cannot be used"):
            await client.predict("tiny", [TEXT])
        (repository / "tiny" / "labels.json").write_text(
            '{"format": 1, "labels": {"live": {"version": 1, "previous": 2}}}'
        )
        await running.server.poll.look()
        assert await live_version(running) == 1


async def test_a_version_refused_for_lack_of_memory_goes_live_once_there_is_some(repository: Path) -> None:
    async with watching(repository) as running:
        loader, looks = running.server.registry.lifecycle.loader, 0
        loader.memory.host.free = lambda: 0
        publish_copy(repository, 2)
        for _ in range(2):
            await running.server.poll.look()
        assert running.server.registry.lifecycle.outcomes["tiny", "load", "failed"] == 1
        assert await live_version(running) == 1
        loader.memory.host.free = lambda: None
        while await live_version(running) == 1:
            looks += 1
            assert looks <= 12
            await running.server.poll.look()


async def test_an_operator_who_is_faster_than_the_poll_is_not_overruled(repository: Path) -> None:
    publish_copy(repository, 2)
    async with watching(repository) as running, explicate.AsyncClient(running.target) as client:
        publish_copy(repository, 3)
        lock = running.server.registry.known("tiny").lock
        await lock.acquire()
        operator = asyncio.ensure_future(client.activate_version("tiny", 1))
        await until(lambda: len(running.server.registry.changes.running) == 1)
        look = asyncio.ensure_future(running.server.poll.look())
        await until(lambda: len(running.server.registry.changes.running) == 2)
        lock.release()
        await asyncio.gather(operator, look)
        assert await live_version(running) == 1
        await running.server.poll.look()  # version 3 is newer than all that were live
        assert await live_version(running) == 3


async def test_a_server_may_start_before_there_is_anything_to_serve(repository: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    async with watching(empty) as running:
        shutil.copytree(repository / "tiny", empty / "tiny")
        await running.server.poll.look()
        assert await live_version(running) == 1


async def test_versions_whose_folders_have_gone_are_forgotten_but_not_the_one_that_serves(repository: Path) -> None:
    break_golden(publish_copy(repository, 2))
    async with watching(repository) as running:
        assert [record.location.version for record in running.server.registry.records] == [1, 2]
        shutil.rmtree(repository / "tiny")
        await running.server.poll.look()
        assert [record.location.version for record in running.server.registry.records] == [1]
        assert await live_version(running) == 1
