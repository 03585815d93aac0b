"""A server on a device: it is there, it answers as a CPU does, and it bears swaps, want of memory and unloading."""

import asyncio
import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import explicate
from explicate.cli.main import main
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.nvml import open_nvml
from support.harness import TEXT, WORDS, Running, running_server, until
from support.versions import copy_with_constant_version, publish_copy

pytestmark = pytest.mark.gpu

FP32_TOLERANCE = 1e-4
MIB = 1 << 20
# What the memory of a device may vary by between two loads of one small model: the driver hands it out in pieces.
SLACK_MIB = 64
LOADS = 5
_LONG = " ".join([*WORDS, *WORDS, *WORDS, *WORDS])


@pytest.fixture(params=["tiny_repository", "table_repository", "image_repository"])
def repository(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


async def test_each_model_is_on_the_device_and_gives_its_golden_outputs_and_attributions(
    repository: Path, device: str
) -> None:
    async with running_server(repository, device=device) as running, explicate.AsyncClient(running.target) as client:
        for status in await client.list_models():
            model = await client.get_model(status.model)
            served, tried = running.served(status.model), model.runtimes[0]
            assert served.runtime.device.kind == device.partition(":")[0]
            assert tried.passed
            assert tried.attribution_difference is None or tried.attribution_difference <= 0.05
            if model.status.precision == "fp32" and served.bundle.manifest.class_labels:
                assert tried.logit_difference is not None
                assert tried.logit_difference <= FP32_TOLERANCE
            nodes, on_cpu = served.runtime.nodes, served.runtime.cpu_nodes
            assert nodes is None or on_cpu <= max(6, nodes // 10), "shapes are computed on the CPU, and nothing else"


async def test_versions_are_swapped_under_load_and_no_call_fails(
    tiny_repository: Path, tmp_path: Path, device: str
) -> None:
    repository = copy_with_constant_version(tiny_repository, tmp_path / "repository")
    async with running_server(repository, device=device) as running, explicate.AsyncClient(running.target) as client:
        seen: set[tuple[str, int]] = set()
        done = asyncio.Event()

        async def predict() -> None:
            while not done.is_set():
                seen.add(("predict", (await client.predict("tiny", [TEXT] * 3)).model.version))

        async def explain(seed: int) -> None:
            while not done.is_set():
                answer = await client.explain("tiny", TEXT, seed=seed, max_evaluations=64, tolerance=0.0)
                seen.add(("explain", answer.model.version))

        callers = [asyncio.create_task(work) for work in (predict(), predict(), explain(1), explain(2))]
        for version in (1, 2, 1, 2):
            await client.activate_version("tiny", version)
            seen.clear()
            wanted = {("predict", version), ("explain", version)}
            await until(lambda wanted=wanted: wanted <= seen or any(one.done() for one in callers))  # type: ignore[misc]
        done.set()
        await asyncio.gather(*callers)


async def test_a_version_that_is_unloaded_gives_its_memory_back(
    tiny_repository: Path, tmp_path: Path, device: str
) -> None:
    repository = copy_with_constant_version(tiny_repository, tmp_path / "repository")
    nvml = open_nvml() if device.startswith("cuda") else None
    async with running_server(repository, device=device) as running, explicate.AsyncClient(running.target) as client:
        gc.collect()
        used: list[int] = []
        for _ in range(LOADS):
            await client.load_model("tiny", version=1)
            await client.predict("tiny", [_LONG] * 64, version=1)
            runtime = weakref.ref(running.server.registry.find("tiny", version=1).loaded.runtime)
            await client.unload_model("tiny", 1)
            assert runtime() is None
            reading = nvml.reading(0) if nvml else None
            used += [] if reading is None else [reading.used_bytes]
        assert not used or max(used) - used[0] <= SLACK_MIB * MIB, [value // MIB for value in used]


class _Small:
    """A runtime whose device holds so many rows at once."""

    def __init__(self, inner: Runtime, rows: int) -> None:
        self._inner = inner
        self._rows = rows
        self.name, self.device, self.precision = inner.name, inner.device, inner.precision
        self.nodes, self.cpu_nodes = inner.nodes, inner.cpu_nodes
        self.batch_tokens, self.lanes = inner.batch_tokens, inner.lanes

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        if len(next(iter(feeds.values()))) > self._rows:
            raise DeviceOutOfMemory("it holds fewer rows")
        return self._inner.run(feeds)


def _make_batches_too_large(running: Running, device: str) -> None:
    """From now on a batch is as large as what waits, which does not fit in the memory that the session may take."""
    (instance,) = running.served().batcher.instances
    instance.cost = BatchCost.unmeasured(1 << 22)
    if not device.startswith("cuda"):
        instance.runtime = _Small(instance.runtime, 100)


async def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_every_row_is_answered(
    tiny_repository: Path, device: str
) -> None:
    limits = {"device_memory_bytes": 96 * MIB} if device.startswith("cuda") else {}
    changes = {"device": device, "max_queued_rows": 100_000, **limits}
    async with running_server(tiny_repository, **changes) as running, explicate.AsyncClient(running.target) as client:
        one = (await client.predict("tiny", [_LONG])).predictions[0]
        _make_batches_too_large(running, device)
        answers = (await client.predict("tiny", [_LONG] * 500, timeout_s=60)).predictions
        assert running.served().batcher.instances[0].out_of_memory >= 1
        assert {answer.label for answer in answers} == {one.label}
        for answer in answers:
            assert answer.scores[0].logit == pytest.approx(one.scores[0].logit, abs=FP32_TOLERANCE)
        assert (await client.explain("tiny", TEXT, max_evaluations=64)).prediction.label


async def test_what_was_explained_is_explained_again_alike_from_the_audit_log(
    tiny_repository: Path, tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    changes = {"device": device, "audit_log": str(log), "audit_inputs": True}
    async with running_server(tiny_repository, **changes) as running, explicate.AsyncClient(running.target) as client:
        for seed in range(3):
            await client.explain("tiny", TEXT, seed=seed, max_evaluations=100, tolerance=0.0)
        await until(lambda: log.exists() and len(log.read_text("utf-8").splitlines()) == 3)
        words = ["replay", "--format", "json", "--tolerance", "1e-3", str(log), "--server", running.target]
        code = await asyncio.to_thread(main, words)
    verdicts = [json.loads(line)["verdict"] for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert set(verdicts) <= {"same", "close"}
    assert len(verdicts) == 3


async def test_a_second_version_fits_beside_the_first_or_is_refused_in_a_sentence(
    tiny_repository: Path, tmp_path: Path, device: str
) -> None:
    repository = copy_with_constant_version(tiny_repository, tmp_path / "repository")
    publish_copy(repository, 3)
    async with running_server(repository, device=device) as running, explicate.AsyncClient(running.target) as client:
        memory = running.server.registry.lifecycle.loader.memory
        assert (await client.load_model("tiny", version=1)).state == "ready"
        for pool in [pool for pool in memory.devices if pool.free() is not None] or [memory.host]:
            pool.reserve_bytes = 1 << 60
        with pytest.raises(explicate.FailedPrecondition, match=r"MiB( of cuda:\d)? are free"):
            await client.load_model("tiny", version=2 if running.served().bundle.manifest.version != 2 else 1)
        assert (await client.predict("tiny", [TEXT])).predictions
