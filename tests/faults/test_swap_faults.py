"""Whatever goes wrong with a new version, the old one goes on serving, with the reason told; nothing is lost."""

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # generated stubs of grpc.aio have no types of their own

import grpc
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from explicate.v1 import inference_service_pb2_grpc as inference_services
from explicate.v1 import model_service_pb2 as models
from explicate.v1 import model_service_pb2_grpc as model_services
from support.bundle_edits import edit_golden, edit_manifest, replace_file
from support.faults.faulted_server import FaultedServer, faulted_server
from support.harness import TEXT, explain_request, predict_request

LIVE = 2
_CUTS = 20


@dataclass(frozen=True)
class Connected:
    """A server process and its stubs."""

    server: FaultedServer
    admin: Any
    inference: Any
    timeout_s: float | None = 60.0

    async def live_version(self) -> int:
        """Which version predicts and explains."""
        predicted = await self.inference.Predict(predict_request(TEXT), timeout=self.timeout_s)
        explained = (
            await self.inference.Explain(explain_request(TEXT, max_evaluations=64), timeout=self.timeout_s)
        ).result
        assert predicted.model == explained.model
        return int(predicted.model.version)

    async def refusal(self, version: int) -> str:
        """What is said when a version that must be refused is to go live; GetModel must say it too."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.activate(version)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION, caught.value
        shown = await self.admin.GetModel(models.GetModelRequest(model="tiny", version=version))
        assert shown.status.state == models.MODEL_STATE_FAILED
        return str(shown.status.reason)

    async def activate(self, version: int) -> Any:
        """Make a version live."""
        return await self.admin.ActivateVersion(
            models.ActivateVersionRequest(model="tiny", version=version), timeout=self.timeout_s
        )


@asynccontextmanager
async def connected(repository: Path, *flags: str, **options: Any) -> AsyncIterator[Connected]:
    with faulted_server(repository, *flags, log=repository.parent / "log", **options) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield Connected(
                server, model_services.ModelServiceStub(channel), inference_services.InferenceServiceStub(channel)
            )


def copied(repository: Path, version: int) -> Path:
    """The live version once more, as a new one."""
    folder = Path(shutil.copytree(repository / "tiny" / str(LIVE), repository / "tiny" / str(version)))
    edit_manifest(folder, lambda manifest: manifest.update(version=str(version)))
    return folder


async def test_bundles_that_end_early_are_refused_wherever_they_end(repository: Path) -> None:
    stream = random.Random(0)
    async with connected(repository) as server:
        for version in range(10, 10 + _CUTS):
            folder = copied(repository, version)
            cut = stream.choice(sorted(folder.iterdir()))
            cut.write_bytes(cut.read_bytes()[: stream.randrange(cut.stat().st_size)])
            assert cut.name in await server.refusal(version)
        assert await server.live_version() == LIVE


def _no_digest(folder: Path) -> None:
    path = folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _other_golden_outputs(folder: Path) -> None:
    edit_golden(folder, lambda golden: replace(golden, outputs=golden.outputs + 0.5))


def _other_golden_attributions(folder: Path) -> None:
    edit_golden(
        folder,
        lambda golden: replace(golden, attributions={key: -each for key, each in golden.attributions.items()}),
    )


def _answers_nan(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(values, np.nan), tensor.name))
    replace_file(folder, "model.onnx", graph.SerializeToString())


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (_no_digest, "model.onnx"),
        (_other_golden_outputs, "golden outputs"),
        (_other_golden_attributions, "golden attributions"),
        (_answers_nan, "golden outputs"),
    ],
)
async def test_a_version_that_is_not_what_it_says_is_refused(
    repository: Path, harm: Callable[[Path], None], named: str
) -> None:
    async with connected(repository) as server:
        harm(copied(repository, 3))
        assert named in await server.refusal(3)
        assert named in server.server.said()
        assert await server.live_version() == LIVE
        copied(repository, 4)
        await server.activate(4)
        assert await server.live_version() == 4


async def test_a_repository_that_vanishes_and_comes_back_loses_no_request(repository: Path) -> None:
    async with connected(repository) as server:
        away = repository.rename(repository.with_name("away"))  # noqa: ASYNC240
        assert await server.live_version() == LIVE
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.activate(1)
        assert caught.value.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND)
        assert await server.live_version() == LIVE
        away.rename(repository)
        await server.activate(1)
        assert await server.live_version() == 1


async def test_labels_that_cannot_be_kept_stay_where_they_are(repository: Path) -> None:
    async with connected(repository) as server:
        (repository / "tiny" / "labels.json").mkdir()  # nobody can replace a folder by a file, not even root
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.activate(1)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "labels.json" in (caught.value.details() or "")
        assert await server.live_version() == LIVE


async def test_a_server_killed_while_it_swaps_serves_a_whole_version_again(repository: Path) -> None:
    stream = random.Random(0)
    for _ in range(3):
        async with connected(repository) as server:
            before = await server.live_version()
            swap = asyncio.ensure_future(server.activate(3 - before))
            await asyncio.sleep(stream.uniform(0, 0.15))  # wherever that falls: loading, switching, keeping the label
            server.server.kill()
            await asyncio.wait([swap])  # it may have been answered before
        async with connected(repository) as server:
            after = await server.live_version()
            assert after in (before, 3 - before)
            await server.activate(3 - after)
            assert await server.live_version() == 3 - after


_PUBLISHER = """
import os, resource, shutil, signal, sys
from pathlib import Path
from google.protobuf import json_format
from explicate.v1 import bundle_pb2
from explicate_export.errors import PublicationError
from explicate_export.publish import stage_bundle

repository, deed = Path(sys.argv[1]), sys.argv[2]
origin = repository / "tiny" / "2"
try:
    with stage_bundle(repository, "tiny") as staged:
        if deed == "full":  # a write fails half way, as on a full disk
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        for path in origin.iterdir():
            if path.name != "manifest.json":
                shutil.copyfile(path, staged.folder / path.name)
                if deed == "killed" and path.name == "model.onnx":
                    os.kill(os.getpid(), signal.SIGKILL)
        if deed == "wait":
            print("ready", flush=True)
            sys.stdin.readline()
        manifest = json_format.Parse((origin / "manifest.json").read_text(), bundle_pb2.Bundle())
        print(staged.publish(manifest).name)
except PublicationError as error:
    sys.exit(f"refused: {error}")
"""


def publisher(repository: Path, deed: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _PUBLISHER, str(repository), deed],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("deed", ["full", "killed"])
async def test_a_publisher_that_fails_half_way_is_not_seen(repository: Path, deed: str) -> None:
    async with connected(repository, "--model-control", "watch") as server:
        process = publisher(repository, deed)
        _, said = await asyncio.to_thread(process.communicate, None, 60)
        assert process.returncode == (-signal.SIGKILL if deed == "killed" else 1), said
        assert "refused: cannot write" in said or deed == "killed"
        listed = await server.admin.ListModels(models.ListModelsRequest())
        assert [status.version for status in listed.models if status.model == "tiny"] == [1, 2]
        assert await server.live_version() == LIVE


async def test_two_publishers_at_once_publish_two_whole_versions(repository: Path) -> None:
    async with connected(repository) as server:
        both = [publisher(repository, "wait") for _ in range(2)]
        for each in both:
            assert each.stdout is not None
            assert await asyncio.to_thread(each.stdout.readline) == "ready\n"
        ended = [asyncio.to_thread(each.communicate, "go\n", 60) for each in both]
        published = sorted(int(said) for said, _ in await asyncio.gather(*ended))
        assert published == [3, 4]
        for version in published:
            await server.activate(version)
            assert await server.live_version() == version


_JUMPING_CLOCK = """
import itertools, time
_true, _jumps = time.time, itertools.cycle((0.0, 86_400.0, -86_400.0, 3e8, -1e9))
time.time = lambda: _true() + next(_jumps)
time.time_ns = lambda: int(time.time() * 1e9)
"""


async def test_a_clock_that_jumps_changes_no_answer_and_ends_no_call(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_JUMPING_CLOCK)
    async with connected(repository) as server:
        told = (await server.inference.Explain(explain_request(TEXT, max_evaluations=200), timeout=60)).result
    async with connected(repository, environment={"PYTHONPATH": str(folder)}) as server:
        # gRPC for Python reckons what a deadline leaves from the clock that is made to jump here; without one, nothing
        # of ours may look at it.
        server = replace(server, timeout_s=None)
        for _ in range(5):
            again = (await server.inference.Explain(explain_request(TEXT, max_evaluations=200))).result
            assert again.explanation.stop_reason == told.explanation.stop_reason
            values, expected = (list(each.explanation.attributions[0].values) for each in (again, told))
            np.testing.assert_allclose(values, expected, atol=1e-5)
        await server.activate(1)
        assert await server.live_version() == 1
