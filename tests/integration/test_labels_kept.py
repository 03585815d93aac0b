"""Labels survive a restart; where they cannot be kept nothing changes; a broken label file serves nothing by guess."""

import json
import shutil
from pathlib import Path

import pytest

import explicate
from explicate_server.app import StartError
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


async def test_a_kept_version_that_is_broken_now_gives_way_to_the_one_before_it(repository: Path) -> None:
    publish_copy(repository, 3)
    publish_copy(repository, 4)
    async with running_server(repository) as running, client_of(running) as client:
        await client.activate_version("tiny", 1)
        await client.activate_version("tiny", 3)
    break_golden(repository / "tiny" / "3")
    async with running_server(repository) as running, client_of(running) as client:
        assert (await client.predict("tiny", [TEXT])).model.version == 1
        assert "golden.npz" in (await client.get_model("tiny", version=3)).status.reason


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


async def test_a_broken_label_file_is_told_and_no_version_is_guessed(repository: Path) -> None:
    (repository / "tiny" / "labels.json").write_text("{")
    with pytest.raises(StartError, match=r"labels\.json cannot be used"):
        async with running_server(repository):
            pass


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
