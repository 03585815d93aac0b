"""A real server for a test: inside the test's own event loop, or as a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.struct_pb2 import NULL_VALUE
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2, table_pb2
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc as services
from explicate_server.app import Server
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.settings import Settings

TEXT = "this tea is great but the box was not good and it came very late so we never had any of it"
WORDS = TEXT.split()


@dataclass
class Running:
    """A server in this process, and a channel to it."""

    server: Server
    channel: grpc.aio.Channel
    target: str

    @property
    def inference(self) -> Any:
        """The generated stub; its answers are awaited."""
        return services.InferenceServiceStub(self.channel)

    def served(self, model: str = "tiny") -> Any:
        """The version that answers for a model."""
        return next(served for served in self.server.registry.ready if served.bundle.manifest.model == model)


@asynccontextmanager
async def running_server(repository: Path, **changes: Any) -> AsyncIterator[Running]:
    """Start, load, and at the end drain and stop a server on a free port."""
    settings = Settings(
        repository=repository, **{"listen": "127.0.0.1:0", "device": "cpu", "threads": 1, "drain_s": 5.0, **changes}
    )
    server = Server(settings)
    port = await server.start()
    try:
        await server.load()
        target = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(target) as channel:
            yield Running(server, channel, target)
        await server.drain()
    finally:
        await server.stop()


class GatedRuntime:
    """A real runtime that stops before each run until it is told to go on, so that a test can act at that moment."""

    def __init__(self, inner: Runtime) -> None:
        self._inner = inner
        self.name, self.batch_tokens, self.lanes = inner.name, inner.batch_tokens, inner.lanes
        self.device, self.nodes, self.cpu_nodes = inner.device, inner.nodes, inner.cpu_nodes
        self.rows_run = 0
        self.fail = False
        self._loop = asyncio.get_running_loop()
        self.entered: asyncio.Queue[int] = asyncio.Queue()
        self._gate: asyncio.Semaphore = asyncio.Semaphore(0)

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        rows = len(next(iter(feeds.values())))
        self._loop.call_soon_threadsafe(self.entered.put_nowait, rows)
        asyncio.run_coroutine_threadsafe(self._gate.acquire(), self._loop).result()
        self.rows_run += rows
        if self.fail:
            raise RuntimeError("told to fail")
        return self._inner.run(feeds)

    def let_through(self, batches: int) -> None:
        """Let that many batches run, now or when they come."""
        for _ in range(batches):
            self._gate.release()


def gate(running: Running, model: str = "tiny", *, served: ServedModel | None = None) -> GatedRuntime:
    """Put a gate before a served model, or before this version of one."""
    (instance,) = (served or running.served(model)).batcher.instances
    gated = GatedRuntime(instance.runtime)
    instance.runtime = gated
    instance.cost = BatchCost.unmeasured(gated.batch_tokens)  # which rows share a batch is not to depend on the machine
    return gated


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds; the test's own time cap bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for is in the server, which has no event for it
        await asyncio.sleep(0.001)


ALL_CLASSES = explanation_pb2.Target(all=explanation_pb2.AllClasses())


def reference(model: str = "tiny", **selector: Any) -> messages.ModelRef:
    return messages.ModelRef(model=model, **selector)


def text_input(text: str) -> messages.Input:
    return messages.Input(text=messages.TextInput(text=text))


def predict_request(*texts: str, model: str = "tiny") -> messages.PredictRequest:
    return messages.PredictRequest(model=reference(model), inputs=[text_input(text) for text in texts])


def explain_request(text: str, *, model: str = "tiny", **options: Any) -> messages.ExplainRequest:
    return explain_input(text_input(text), model=model, **options)


def explain_input(value: messages.Input, *, model: str, **options: Any) -> messages.ExplainRequest:
    request = messages.ExplainRequest(spec=messages.ExplainSpec(model=reference(model), input=value))
    for name in ("target", "baseline"):
        if name in options:
            getattr(request.spec.options, name).CopyFrom(options.pop(name))
    for name, value in options.items():
        setattr(request.spec.options, name, value)
    return request


def table_input(cells: Mapping[str, float | str | None]) -> messages.Input:
    return messages.Input(tabular=messages.TabularInput(cells={name: _cell(value) for name, value in cells.items()}))


def image_input(content: bytes) -> messages.Input:
    return messages.Input(image=messages.ImageInput(content=content))


def _cell(value: float | str | None) -> table_pb2.Cell:
    if value is None:
        return table_pb2.Cell(missing=NULL_VALUE)
    return table_pb2.Cell(category=value) if isinstance(value, str) else table_pb2.Cell(number=value)


def stream_request(text: str, **options: Any) -> messages.StreamExplainRequest:
    request = explain_request(text, **options)
    return messages.StreamExplainRequest(spec=request.spec)


def segment_ids(segment_map: explanation_pb2.SegmentMap) -> NDArray[Any]:
    """The ids of a segment map of few segments as a consumer reads them, uint16[height, width]."""
    assert segment_map.encoding == explanation_pb2.SEGMENT_ID_ENCODING_UINT16_LITTLE_ENDIAN
    return np.frombuffer(segment_map.ids, dtype="<u2").reshape(segment_map.height, segment_map.width)


@contextmanager
def server_process(repository: Path, *flags: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`explicate serve` as a process of its own; yields it with its address once it is ready."""
    with started_process("serve", "--repository", str(repository), "--listen", "127.0.0.1:0", *flags) as started:
        yield started


@contextmanager
def started_process(
    *command: str, environ: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A command of `explicate` that serves; yields its process with the first line it prints, which is its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "explicate", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise AssertionError(f"explicate {command[0]} did not start: {process.communicate()[1]}")
        yield process, address
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
