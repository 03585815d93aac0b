"""A repository in which some entries cannot be served: the others are, and each of those is named once."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import explicate
from explicate_server.app import StartError
from support.bundle_edits import edit_manifest
from support.harness import TEXT, running_server, until
from support.versions import publish_copy

Fail = Callable[[Path, int], None]


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "repository"))


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Makes every look at one path fail, as a network file system does; the tests may run as root. 0: not any more."""
    broken: dict[str, int] = {}

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def looked(path: Any = ".", *arguments: Any, **named: Any) -> Any:
            number = broken.get(str(path), 0)
            if number:
                raise OSError(number, os.strerror(number), str(path))
            return call(path, *arguments, **named)

        return looked

    for name in ("listdir", "lstat", "stat"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    return lambda path, number: broken.__setitem__(str(path), number)


def twin(repository: Path, name: str) -> Path:
    """A second model."""
    folder = Path(shutil.copytree(repository / "tiny" / "1", repository / name / "1"))
    edit_manifest(folder, lambda manifest: manifest.update(model=name))
    return folder


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("control", ["explicit", "watch"])
async def test_a_model_that_cannot_be_listed_is_failed_with_its_reason_and_the_others_serve(
    repository: Path, fail: Fail, caplog: pytest.LogCaptureFixture, number: int, control: str
) -> None:
    twin(repository, "twin")
    fail(repository / "twin", number)
    why = os.strerror(number)
    async with (
        running_server(repository, model_control=control, watch_interval_s=3600.0) as running,
        explicate.AsyncClient(running.target) as client,
    ):
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        for _ in range(3):
            await running.server.poll.look()
        warned = [record for record in caplog.records if "'twin' (its folder cannot be listed" in record.getMessage()]
        assert [record.levelname for record in warned] == ["WARNING"]
        told = {status.model: (status.version, status.state, status.reason) for status in await client.list_models()}
        assert told["twin"] == (0, "failed", f"its folder cannot be listed: {why}")
        for attempt in (client.predict("twin", [TEXT]), client.activate_version("twin", 1), client.load_model("twin")):
            with pytest.raises(explicate.FailedPrecondition, match=why):
                await attempt
        fail(repository / "twin", 0)
        if control == "watch":
            await running.server.poll.look()
        else:
            await client.activate_version("twin", 1)
        assert (await client.predict("twin", [TEXT])).model.version == 1
        assert {(status.model, status.version) for status in await client.list_models()} == {("tiny", 1), ("twin", 1)}


async def test_a_model_that_cannot_be_listed_any_more_serves_on(repository: Path, fail: Fail) -> None:
    twin(repository, "twin")
    async with (
        running_server(repository, model_control="watch", watch_interval_s=3600.0) as running,
        explicate.AsyncClient(running.target) as client,
    ):
        fail(repository / "tiny", errno.ESTALE)
        publish_copy(repository, 2, model="twin")
        await running.server.poll.look()
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        assert (await client.predict("twin", [TEXT])).model.version == 2  # what goes on beside it goes on
        assert {(s.model, s.version, s.state) for s in await client.list_models()} >= {("tiny", 1, "ready")}


async def test_a_version_whose_files_the_disk_does_not_give_is_tried_again_in_watch_mode(
    repository: Path, fail: Fail
) -> None:
    folder = publish_copy(repository, 2)
    fail(folder / "model.onnx", errno.EIO)
    async with (
        running_server(repository, model_control="watch", watch_interval_s=3600.0) as running,
        explicate.AsyncClient(running.target) as client,
    ):
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        refused = await client.get_model("tiny", version=2)
        assert (refused.status.state, "model.onnx cannot be read" in (refused.status.reason or "")) == ("failed", True)
        fail(folder / "model.onnx", 0)
        await running.server.poll.look()
        assert (await client.predict("tiny", [TEXT])).model.version == 2


async def test_entries_that_are_not_served_are_warned_of_once_each(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = repository.parent / "outside"
    (outside / "1").mkdir(parents=True)
    for name in ("tiny/v2", "tiny/2.0", "tiny/latest", "Tiny"):
        (repository / name).mkdir()
    (repository / "linked").symlink_to(outside)
    (repository / "README.md").write_text("about this repository")
    (repository / "..data").mkdir()
    async with running_server(repository, model_control="watch", watch_interval_s=3600.0) as running:
        await running.server.poll.look()
        told = [message for message in caplog.messages if message.startswith("passed over")]
        named = ["'README.md'", "'Tiny'", "'linked'", "'tiny/2.0'", "'tiny/latest'", "'tiny/v2'"]
        assert sorted(message.split()[5] for message in told) == named
        (repository / "tiny" / "newest").mkdir()
        await running.server.poll.look()
        assert [message for message in caplog.messages if "'tiny/newest'" in message and "passed over" in message]
        assert len([message for message in caplog.messages if message.startswith("passed over")]) == len(named) + 1


async def test_a_repository_without_a_bundle_names_what_was_passed_over(tmp_path: Path) -> None:
    (tmp_path / "reviews" / "v2").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("/etc")
    with pytest.raises(StartError, match=r"no bundle in .*passed over: 'linked' \(.*'reviews/v2' \(.*explicate export"):
        async with running_server(tmp_path):
            pass


async def test_models_of_a_volume_of_links_are_served_and_follow_it(repository: Path) -> None:
    # As Kubernetes lays out a volume: one rename of ..data replaces all that is in it.
    (repository / "..1").mkdir()
    (repository / "tiny").rename(repository / "..1" / "tiny")
    (repository / "..data").symlink_to("..1")
    (repository / "tiny").symlink_to("..data/tiny")
    async with (
        running_server(repository, state_dir=str(repository.parent / "state")) as running,
        explicate.AsyncClient(running.target) as client,
    ):
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        shutil.copytree(repository / "..1", repository / "..2")
        (repository / "..2" / "tiny" / "1").rename(repository / "..2" / "tiny" / "2")
        edit_manifest(repository / "..2" / "tiny" / "2", lambda manifest: manifest.update(version=2))
        (repository / "..turned").symlink_to("..2")
        (repository / "..turned").rename(repository / "..data")
        shutil.rmtree(repository / "..1")
        await client.activate_version("tiny", 2)
        assert (await client.predict("tiny", [TEXT])).model.version == 2


async def test_the_repository_being_lost_for_a_while_is_one_warning(
    repository: Path, fail: Fail, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(repository, model_control="watch", watch_interval_s=0.1) as running:
        fail(repository, errno.ESTALE)
        poll, looks = running.server.poll, 0
        look = poll.look

        async def counted() -> None:
            nonlocal looks
            looks += 1
            await look()

        poll.look = counted  # type: ignore[method-assign]
        await until(lambda: looks >= 4)
        assert len([message for message in caplog.messages if "cannot read the repository" in message]) == 1
        assert running.server.registry.ready
