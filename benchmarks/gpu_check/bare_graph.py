"""A graph by itself: does the device answer as the CPU does; rows a second, bare and through the batcher."""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # onnxruntime has no types

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.gpu_check.findings import Findings, require
from benchmarks.gpu_check.random_models import SHAPES, Batch
from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_server.device import Device
from explicate_server.modalities.modalities import open_modality
from explicate_server.registry.loading import BundleLoader
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.devices.cuda import CUDA
from explicate_server.runtime.devices.device_kinds import place
from explicate_server.runtime.model_runtime import Feeds
from explicate_server.runtime.onnx_runtime import ON_CPU, OnnxRuntime, Provider
from explicate_server.settings import Settings

# Of an output in fp32, and of a probability in a lower precision: GPU.md, Wanted 3 and issue 11.
FP32_TOLERANCE, PROBABILITY_TOLERANCE = 1e-4, 5e-3
_ROUNDS = 7
# So many batches of a shape go through the batcher at once, so that its lanes overlap.
_BATCHES_AT_ONCE, _MOST_ROWS_AT_ONCE = 6, 50_000


class Graph:
    """A model's bundle, and batches for it."""

    def __init__(self, name: str, out: Path, device: str) -> None:
        self.settings = Settings(repository=out / "repository", device=device, threads=4, memory_reserve_bytes=0)
        self.bundle: VerifiedBundle = verify_bundle(out / "repository" / name / "1", model=name, version=1)
        self.modality = open_modality(self.bundle, self.settings)
        self.device = place(device, runtime="onnxruntime").devices[0]
        self.golden = [self.modality.encode(value).row for value in self.bundle.golden().inputs]
        self.batches = SHAPES[name].batches

    def feeds(self, batch: Batch) -> Feeds:
        """The graph's inputs for so many rows of so many tokens."""
        rows, length = batch
        return self.modality.collate([self.modality.stretched(self.golden[-1], length)] * rows)

    @property
    def files(self) -> Mapping[str, Path]:
        """The graphs in the bundle by precision."""
        folder = self.bundle.folder
        return {"fp32": self.bundle.model_path} | {
            each.precision: folder / each.file for each in self.bundle.manifest.variants
        }

    def outputs(self, session: Any) -> NDArray[np.float64]:
        """Answers to the golden inputs, one by one: float64[inputs, outputs]."""
        return np.concatenate([session.run(None, dict(self.modality.collate([row])))[0] for row in self.golden]).astype(
            np.float64
        )


def check_graph(name: str, out: Path, device: str, findings: Findings) -> None:
    """All parts of the step."""
    graph = Graph(name, out, device)
    findings.part("nodes on the device", lambda: _nodes(graph, findings))
    findings.part("parity in fp32", lambda: _parity(graph, findings))
    for precision in graph.files:
        if precision != "fp32":
            findings.part(f"parity in {precision}", lambda p=precision: _reduced_parity(graph, p, findings))  # type: ignore[misc]
        findings.part(f"speed in {precision}", lambda p=precision: _speed(graph, p, findings))  # type: ignore[misc]
    findings.part("speed through the batcher", lambda: asyncio.run(_through_batcher(graph, findings)))


def provider_of(device: Device) -> Provider:
    """What the server's own sessions ask for on a device."""
    return ON_CPU if device.number is None else CUDA.provider(device.number)


def session_on(path: Path, provider: Provider) -> Any:
    """A session beside the server's."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    return ort.InferenceSession(str(path), options, providers=provider.chain)


def seconds(run: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Median seconds of a call, after two that warm up."""
    run(), run()
    taken = []
    for _ in range(rounds):
        begun_s = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun_s)
    return statistics.median(taken)


def bound_run(session: Any, feeds: Feeds, device: Device) -> Callable[[], object]:
    """A run with IO binding: inputs are on the device already, the output is copied back."""
    kind, number = device.kind, device.number or 0
    binding = session.io_binding()
    for name, values in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), kind, number))
    binding.bind_output(session.get_outputs()[0].name, kind, number)

    def run() -> object:
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return run


def _nodes(graph: Graph, findings: Findings) -> None:
    runtime = OnnxRuntime(graph.bundle.model_path, threads=4, provider=provider_of(graph.device))
    findings.add("served by", f"{runtime.name} on {runtime.device}")
    require(runtime.device == graph.device, f"the session is on {runtime.device}, not on {graph.device}")
    if runtime.nodes is not None:
        findings.add("nodes, and those of them on the CPU", [runtime.nodes, runtime.cpu_nodes])


def _parity(graph: Graph, findings: Findings) -> None:
    right = graph.outputs(session_on(graph.bundle.model_path, ON_CPU))
    found = graph.outputs(session_on(graph.bundle.model_path, provider_of(graph.device)))
    difference = float(np.abs(found - right).max())
    findings.add("fp32: largest difference of an output from the CPU", difference)
    require(difference <= FP32_TOLERANCE, f"fp32 differs by {difference:.2g}, {FP32_TOLERANCE:g} is allowed")


def _reduced_parity(graph: Graph, precision: str, findings: Findings) -> None:
    objective = graph.bundle.kind.predicts
    right = objective.scores(graph.outputs(session_on(graph.bundle.model_path, ON_CPU)))
    found = objective.scores(graph.outputs(session_on(graph.files[precision], provider_of(graph.device))))
    difference = float(np.abs(found - right).max())
    findings.add(f"{precision}: largest difference of a probability from fp32 on the CPU", difference)
    require(
        difference <= PROBABILITY_TOLERANCE,
        f"{precision} differs by {difference:.2g}, {PROBABILITY_TOLERANCE:g} is allowed",
    )


def _speed(graph: Graph, precision: str, findings: Findings) -> None:
    session = session_on(graph.files[precision], provider_of(graph.device))
    for rows, length in graph.batches:
        feeds = graph.feeds((rows, length))
        shape = f"{rows} x {length}"
        findings.add(
            f"rows/s, {shape}, {precision}, session.run", rows / seconds(lambda f=feeds: session.run(None, dict(f)))
        )  # type: ignore[misc]
        findings.add(
            f"rows/s, {shape}, {precision}, IO binding", rows / seconds(bound_run(session, feeds, graph.device))
        )


async def _through_batcher(graph: Graph, findings: Findings) -> None:
    loader = BundleLoader(graph.settings)
    served = await loader.load(graph.bundle)
    precision = served.runtime.precision
    findings.add("precision that the server chose", precision)
    try:
        for rows, length in graph.batches:
            most = served.batcher.instances[0].cost.most_rows(length)
            count = min(_MOST_ROWS_AT_ONCE, max(rows, most) * _BATCHES_AT_ONCE)
            asked = [graph.modality.stretched(graph.golden[-1], length)] * count
            taken = [await _batched(served, asked) for _ in range(4)]
            found = len(asked) / statistics.median(taken[1:])
            shape = f"{rows} x {length}"
            findings.add(f"rows/s, {shape}, {precision}, batcher", found)
            findings.add(f"rows that the batcher makes a batch, {shape}", most)
            bare = findings.figures.get(f"rows/s, {shape}, {precision}, IO binding")
            if bare:
                findings.add(f"batcher of bare, {shape}, {precision}", found / bare)
    finally:
        await asyncio.to_thread(served.batcher.close)
        loader.close()


async def _batched(served: ServedModel, rows: list[Any]) -> float:
    begun_s = time.perf_counter()
    ticket = served.batcher.submit(rows, priority=Priority.EXPLAIN, admitted=True)
    require(await served.batcher.wait(ticket, timeout_s=60.0), "the batcher did not answer within 60 s")
    return time.perf_counter() - begun_s
