"""A real server that remembers its batches and can run them again in a bare `session.run` loop.

Started by the benchmarks as a process of its own. Prints its address; then answers each line on stdin: "forget" drops
the batches so far, "replay" runs them again in a session of their own and prints rows and seconds, "stop" ends it.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from explicate_server.app import SWITCH_INTERVAL_S, Server
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.settings import Settings


class RecordingRuntime:
    """Passes every batch on and keeps its inputs."""

    def __init__(self, inner: Runtime) -> None:
        self._inner = inner
        self.name, self.batch_tokens, self.lanes = inner.name, inner.batch_tokens, inner.lanes
        self.device, self.nodes, self.cpu_nodes = inner.device, inner.nodes, inner.cpu_nodes
        self.batches: list[Feeds] = []

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        self.batches.append(feeds)
        return self._inner.run(feeds)


def replay(session: ort.InferenceSession, batches: list[Feeds]) -> dict[str, float]:
    """Rows and seconds of the batches in a plain loop."""
    started_s = time.perf_counter()
    for feeds in batches:
        session.run(None, dict(feeds))
    seconds = time.perf_counter() - started_s
    of_texts = [feeds["attention_mask"] for feeds in batches if "attention_mask" in feeds]
    return {
        "rows": sum(len(next(iter(feeds.values()))) for feeds in batches),
        "seconds": seconds,
        "batches": len(batches),
        "padded_tokens": sum(mask.size for mask in of_texts),
        "tokens": int(sum(mask.sum() for mask in of_texts)),
    }


async def main(repository: Path, model: str) -> None:
    """Serve until told to stop; the batches of one model are remembered."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    server = Server(Settings(repository=repository, listen="127.0.0.1:0"))
    port = await server.start()
    await server.load()
    (served,) = (each for each in server.registry.ready if each.bundle.manifest.model == model)
    (instance,) = served.batcher.instances
    recording = RecordingRuntime(instance.runtime)
    instance.runtime = recording
    session = ort.InferenceSession(str(served.bundle.model_path), providers=["CPUExecutionProvider"])
    print(f"127.0.0.1:{port}", flush=True)
    loop = asyncio.get_running_loop()
    while (command := (await loop.run_in_executor(None, sys.stdin.readline)).strip()) not in ("", "stop"):
        if command == "replay":
            replay(session, recording.batches[:2])  # warm
            print(json.dumps(await loop.run_in_executor(None, replay, session, recording.batches)), flush=True)
        recording.batches.clear()
    await server.drain()
    await server.stop()


if __name__ == "__main__":
    with threadpool_limits(limits=1, user_api="blas"):  # as `explicate serve` does
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
