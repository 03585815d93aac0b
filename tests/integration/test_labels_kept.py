"""Labels survive a restart, which serves what the operator wanted or nothing; what cannot be kept does not change."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import explicate
from explicate_server.registry.label_store import LabelStore
from support.bundle_edits import edit_manifest
from support.harness import TEXT, Running, running_server, until
from support.versions import break_golden, copy_with_constant_version, publish_copy


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return copy_with_constant_version(tiny_repository, tmp_path / "repository")


def client_of(running: Running) -> explicate.AsyncClient:
    return explicate.AsyncClient(running.target)


async def test_a_restarted_server_serves_what_its_operator_chose(repository: Path) -> None:
    publish_copy(repository, 3)
    async with running_server(repository) as running, client_of(running) as client:
        assert not (repository / "tiny" / "labels.json").exists()
        await client.activate_version("tiny", 1)
        await client.activate_version("tiny", 2, label="canary")
        await client.set_traffic("tiny", canary_share=0.25, shadow_share=0.5)
    async with running_server(repository) as running, client_of(running) as client:
        described = await client.get_model("tiny")
        assert described.status.version == 1
        assert described.labels == (explicate.ModelLabel("canary", 2, None), explicate.ModelLabel("live", 1, 3))
        assert described.traffic == explicate.Traffic(0.25, 0.5)
        assert (await client.get_model("tiny", label="canary")).status.version == 2
        assert (await client.get_model("tiny", version=3)).status.state == "available"
        assert (await client.rollback_model("tiny")).status.version == 3
        await client.remove_label("tiny", "canary")
        assert (await client.get_model("tiny")).traffic == explicate.Traffic(0.0, 0.0)
        assert (await client.get_model("tiny", version=2)).status.labels == ()
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.get_model("tiny")).labels == (explicate.ModelLabel("live", 3, 1),)


async def test_activating_what_is_live_already_keeps_it_live_beside_newer_versions(repository: Path) -> None:
    async with running_server(repository) as running, client_of(running) as client:
        switched = await client.activate_version("tiny", 2)
        assert (switched.status.version, switched.previous_version) == (2, None)
    publish_copy(repository, 3)
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 2


async def test_a_restart_serves_nothing_in_the_place_of_a_live_version_that_is_broken_now(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_copy(repository, 3)
    publish_copy(repository, 4)
    async with running_server(repository) as running, client_of(running) as client:
        await client.activate_version("tiny", 1)
        await client.activate_version("tiny", 3)
    whole = (repository / "tiny" / "3" / "golden.npz").read_bytes()
    kept = (repository / "tiny" / "labels.json").read_bytes()
    break_golden(repository / "tiny" / "3")
    async with running_server(repository) as running, client_of(running) as client:
        # Neither 1, which its operator has left, nor 4, which nobody has chosen.
        with pytest.raises(explicate.FailedPrecondition, match=r"tiny/3 is failed, not loaded\. golden\.npz"):
            await client.predict("tiny", [TEXT])
        shown = await client.get_model("tiny")
        assert (shown.status.version, shown.status.state, shown.status.labels) == (3, "failed", ("live",))
        assert "golden.npz" in (shown.status.reason or "")
        (told,) = [record for record in caplog.records if "label live wants version 3" in record.getMessage()]
        assert (told.levelname, "golden.npz" in told.getMessage()) == ("ERROR", True)
        assert (repository / "tiny" / "labels.json").read_bytes() == kept
        (repository / "tiny" / "3" / "golden.npz").write_bytes(whole)
        await client.load_model("tiny", version=3)
        assert (await client.predict("tiny", [TEXT])).model.version == 3
        assert (await client.get_model("tiny")).labels == (explicate.ModelLabel("live", 3, 1),)
    assert (repository / "tiny" / "labels.json").read_bytes() == kept


async def test_a_live_version_that_has_gone_is_told_and_another_can_be_activated(repository: Path) -> None:
    async with running_server(repository) as running, client_of(running) as client:
        await client.activate_version("tiny", 1)
    shutil.move(repository / "tiny" / "1", repository / "away")
    async with running_server(repository) as running, client_of(running) as client:
        with pytest.raises(explicate.FailedPrecondition, match="not in the repository"):
            await client.predict("tiny", [TEXT])
        assert [(status.version, status.state) for status in await client.list_models()] == [
            (1, "failed"),
            (2, "available"),
        ]
        switched = await client.activate_version("tiny", 2, expected_version=1)
        assert switched.previous_version == 1
        assert (await client.predict("tiny", [TEXT])).model.version == 2
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 2
        shutil.move(repository / "away", repository / "tiny" / "1")
        assert (await client.rollback_model("tiny")).status.version == 1


async def test_a_canary_that_is_broken_now_keeps_its_label_and_its_share(repository: Path) -> None:
    async with running_server(repository) as running, client_of(running) as client:
        await client.activate_version("tiny", 1)
        await client.activate_version("tiny", 2, label="canary")
        await client.set_traffic("tiny", canary_share=1.0)
    whole = (repository / "tiny" / "2" / "golden.npz").read_bytes()
    break_golden(repository / "tiny" / "2")
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 1  # the live one answers for it
        with pytest.raises(explicate.FailedPrecondition, match=r"golden\.npz"):
            await client.predict("tiny", [TEXT], label="canary")
        (repository / "tiny" / "2" / "golden.npz").write_bytes(whole)
        await client.load_model("tiny", version=2)
        assert (await client.predict("tiny", [TEXT])).model.version == 2


async def test_a_version_that_is_live_because_it_is_the_newest_is_not_kept_with_other_labels(repository: Path) -> None:
    publish_copy(repository, 3)
    whole = (repository / "tiny" / "3" / "golden.npz").read_bytes()
    break_golden(repository / "tiny" / "3")
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 2  # the newest intact one: nobody has chosen
        await client.activate_version("tiny", 1, label="canary")
        await client.set_traffic("tiny", canary_share=0.0)
    kept = json.loads((repository / "tiny" / "labels.json").read_text())
    assert (kept["live"], kept["labels"]) == ("newest", {"canary": {"version": 1, "previous": 0}})
    (repository / "tiny" / "3" / "golden.npz").write_bytes(whole)
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 3
        await client.activate_version("tiny", 3)
    assert "live" not in json.loads((repository / "tiny" / "labels.json").read_text())


async def test_a_change_leaves_what_another_server_has_kept_meanwhile(repository: Path) -> None:
    async with (
        running_server(repository) as one,
        running_server(repository) as other,
        client_of(one) as here,
        client_of(other) as there,
    ):
        await here.activate_version("tiny", 1)
        await there.activate_version("tiny", 1, label="canary")
        await there.set_traffic("tiny", canary_share=0.25)
    kept = json.loads((repository / "tiny" / "labels.json").read_text())
    assert kept["labels"] == {"canary": {"version": 1, "previous": 0}, "live": {"version": 1, "previous": 2}}
    assert kept["traffic"] == {"canary_share": 0.25, "shadow_share": 0.0}


async def test_a_change_that_changes_nothing_writes_nothing(repository: Path) -> None:
    async with running_server(repository) as running, client_of(running) as client:
        await client.set_traffic("tiny", canary_share=0.0)
    assert not (repository / "tiny" / "labels.json").exists()


async def test_labels_that_cannot_be_kept_are_not_moved(repository: Path) -> None:
    (repository / "tiny" / "labels.json").mkdir()  # stands in the way of the file, whoever runs the test
    state = repository.parent / "state"
    async with running_server(repository, state_dir=str(state)) as running, client_of(running) as client:
        state.write_text("a file where the folder should be")
        with pytest.raises(explicate.FailedPrecondition, match="--state-dir") as caught:
            await client.activate_version("tiny", 1)
        assert caught.value.reason == "LABELS_READ_ONLY"
        assert (await client.get_model("tiny", version=1)).status.state == "available"
        assert (await client.predict("tiny", [TEXT])).model.version == 2
        state.unlink()
        assert (await client.activate_version("tiny", 1)).previous_version == 2
    assert json.loads((state / "tiny" / "labels.json").read_text())["labels"]["live"] == {"version": 1, "previous": 2}
    async with running_server(repository, state_dir=str(state)) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 1


async def test_a_version_loaded_for_a_label_that_could_not_be_kept_is_freed(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = repository.parent / "state"
    async with running_server(repository, state_dir=str(state)) as running, client_of(running) as client:
        # Writable when it is looked at before the load, and a folder in its place when it is written after it.
        look = LabelStore.check_writable

        def look_and_block(store: LabelStore, model: str) -> None:
            look(store, model)
            (state / "tiny" / "labels.json").mkdir()

        monkeypatch.setattr(LabelStore, "check_writable", look_and_block)
        with pytest.raises(explicate.FailedPrecondition) as caught:
            await client.activate_version("tiny", 1)
        assert caught.value.reason == "LABELS_READ_ONLY"
        record = running.server.registry.find("tiny", version=1)
        await until(lambda: record.state.name == "AVAILABLE")
        assert record.loaded is None
        assert (await client.get_model("tiny")).labels == (explicate.ModelLabel("live", 2, None),)


async def test_a_broken_label_file_is_told_no_version_is_guessed_and_an_operator_can_mend_it(repository: Path) -> None:
    path = repository / "tiny" / "labels.json"
    path.write_text("{")
    async with running_server(repository) as running, client_of(running) as client:
        for attempt in (
            client.predict("tiny", [TEXT]),
            client.set_traffic("tiny", canary_share=0.0),
            client.activate_version("tiny", 1, label="canary"),
            client.remove_label("tiny", "live"),
        ):
            with pytest.raises(explicate.FailedPrecondition, match=r"labels\.json cannot be used") as caught:
                await attempt
            assert caught.value.reason == "LABELS_UNREADABLE"
        assert path.read_text() == "{"
        assert {status.reason for status in await client.list_models()} == {
            str(running.server.registry.known("tiny").fault)
        }
        path.write_text('{"format": 1, "labels": {"live": {"version": 1}}}')
        await client.load_model("tiny", version=1)  # which looks at the file again
        assert (await client.predict("tiny", [TEXT])).model.version == 1


async def test_a_label_file_that_the_disk_does_not_give_is_never_replaced(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(repository) as running, client_of(running) as client:
        await client.activate_version("tiny", 1)
    path = repository / "tiny" / "labels.json"
    kept, read = path.read_bytes(), Path.read_text

    def fails(read_path: Path, *arguments: Any, **named: Any) -> str:
        if read_path.name == "labels.json":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(read_path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", fails)
    async with running_server(repository) as running, client_of(running) as client:
        with pytest.raises(explicate.FailedPrecondition, match="Stale"):
            await client.predict("tiny", [TEXT])
        for attempt in (client.activate_version("tiny", 2), client.set_traffic("tiny", canary_share=0.0)):
            with pytest.raises(explicate.FailedPrecondition, match="Stale"):
                await attempt
        assert path.read_bytes() == kept
        monkeypatch.undo()
        await client.load_model("tiny", version=1)
        assert (await client.predict("tiny", [TEXT])).model.version == 1


async def test_a_broken_label_file_is_replaced_when_its_operator_moves_a_label(repository: Path) -> None:
    shutil.copytree(repository / "tiny", repository / "twin")
    for version in ("1", "2"):
        edit_manifest(repository / "twin" / version, lambda manifest: manifest.update(model="twin"))
    (repository / "twin" / "labels.json").write_text('{"format": 1, "labels": {"live": {"version": true}}}')
    async with running_server(repository) as running, client_of(running) as client:
        with pytest.raises(explicate.FailedPrecondition, match="is not a version"):
            await client.predict("twin", [TEXT])
        assert (await client.predict("tiny", [TEXT])).model.version == 2
        await client.activate_version("twin", 1)
        assert (await client.predict("twin", [TEXT])).model.version == 1
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("twin", [TEXT])).model.version == 1


async def test_a_model_whose_live_label_was_removed_stays_so(repository: Path, table_repository: Path) -> None:
    shutil.copytree(table_repository / "loans", repository / "loans")
    async with running_server(repository) as running, client_of(running) as client:
        await client.remove_label("tiny", "live")
        with pytest.raises(explicate.FailedPrecondition, match="labelled live"):
            await client.predict("tiny", [TEXT])
    async with running_server(repository) as running, client_of(running) as client:
        with pytest.raises(explicate.FailedPrecondition, match="labelled live"):
            await client.predict("tiny", [TEXT])
        assert (await client.activate_version("tiny", 2)).previous_version is None
        assert (await client.predict("tiny", [TEXT])).model.version == 2
