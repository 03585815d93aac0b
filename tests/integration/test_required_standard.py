"""`--require-standard`: a version that does not meet it is refused, and what serves goes on."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from explicate import AsyncClient
from explicate.v1 import model_service_pb2 as messages
from explicate.v1 import model_service_pb2_grpc as services
from explicate_server.app import StartError
from support.harness import running_server
from support.judged_bundles import GOOD, WORSE, publish_version, read_manifest, record, rows_file, seal, standard_file

REQUIREMENTS = """
{ id = "accuracy", metric = "accuracy", at_least = 0.8 },
{ id = "no-worse", metric = "accuracy", against = "live", margin = 0.05 },
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with version 1, which meets the standard beside it; and the test rows."""
    rows = rows_file(tmp_path / "rows.jsonl")
    standard = standard_file(tmp_path / "standard.toml", REQUIREMENTS)
    record(publish_version(tmp_path / "repository", GOOD, 1), standard, rows)
    return tmp_path


def publish(folder: Path, weights: tuple[float, ...], version: int, live: int) -> None:
    repository = folder / "repository"
    bundle = publish_version(repository, weights, version)
    record(bundle, folder / "standard.toml", folder / "rows.jsonl", live=repository / "table" / str(live))


def required(folder: Path) -> dict[str, Any]:
    return {"repository": folder / "repository", "require_standard": str(folder / "standard.toml")}


async def test_a_worse_version_is_refused_and_a_better_one_goes_live(folder: Path) -> None:
    async with running_server(**required(folder)) as running:
        admin: Any = services.ModelServiceStub(running.channel)
        publish(folder, WORSE, 2, live=1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await admin.ActivateVersion(messages.ActivateVersionRequest(model="table", version=2))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "accuracy: accuracy: not met" in str(refused.value.details())
        listed = {one.version: one for one in (await admin.ListModels(messages.ListModelsRequest())).models}
        assert listed[1].labels == ["live"]
        assert "no-worse: accuracy, by how much better than table version 1: not met" in listed[2].reason
        publish(folder, (3.0, -2.0, 1.1), 3, live=1)
        await admin.ActivateVersion(messages.ActivateVersionRequest(model="table", version=3))
        async with AsyncClient(running.target) as client:
            shown = await client.get_model("table", version=3)
        assert shown.standard is not None
        assert (shown.standard.verdict, shown.standard.met, shown.standard.judged) == ("met", 2, 2)


async def test_the_version_that_was_live_may_return_whatever_is_required_now(folder: Path) -> None:
    publish(folder, (3.0, -2.0, 1.1), 2, live=1)
    async with running_server(folder / "repository") as running:
        admin: Any = services.ModelServiceStub(running.channel)
        for version in (1, 2):
            await admin.ActivateVersion(messages.ActivateVersionRequest(model="table", version=version))
    standard_file(folder / "standard.toml", '{ id = "accuracy", metric = "accuracy", at_least = 0.99 }')
    async with running_server(**required(folder)) as running:
        admin = services.ModelServiceStub(running.channel)
        rolled_back = await admin.RollbackModel(messages.RollbackModelRequest(model="table"))
        assert rolled_back.status.version == 1


async def test_without_a_record_nothing_serves(folder: Path) -> None:
    bundle = folder / "repository" / "table" / "1"
    (bundle / "standard.json").unlink()
    seal(bundle, read_manifest(bundle))
    with pytest.raises(StartError, match=r"no standard\.json, and s 2 is required: export it with --standard"):
        async with running_server(**required(folder)):
            pass


async def test_a_server_does_not_start_with_a_standard_it_cannot_read(folder: Path) -> None:
    (folder / "standard.toml").write_text("[standard]\nname = 3\n")
    with pytest.raises(StartError, match=r"--require-standard: .*standard\.toml, line 2: name is not a text"):
        async with running_server(**required(folder)):
            pass
