"""Predict through gRPC, 32 concurrent callers of one text each, against a bare `session.run` loop on the same batches.

Callers, server and model share this machine's cores, so what the callers and gRPC cost counts against us.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from benchmarks import subject
from benchmarks.report import Figure, compared, print_table
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc

CALLERS = 32
# A shared machine's speed drifts within seconds, so rounds are short, but not so short that the last callers decide.
TEXTS = 500
ROUNDS = 9


class Recorder:
    """The recording server's process, and what it can be asked."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._line()

    def forget(self) -> None:
        """Drop the batches so far."""
        self._say("forget")

    def replay(self) -> dict[str, Any]:
        """Run the batches so far again, bare."""
        self._say("replay")
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def recording_server(repository: Path = subject.REPOSITORY, model: str = subject.MODEL) -> Iterator[Recorder]:
    """A recording server of a model in a repository; the demo's unless told otherwise."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.recording_server", str(repository), model],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=subject.ROOT,
    )
    try:
        yield Recorder(process)
    finally:
        process.communicate("stop\n", timeout=30)


async def predict_all(address: str, texts: list[str]) -> float:
    """Seconds that the callers take for all texts, each caller one text at a time."""
    waiting = iter(texts)

    async def caller(stub: Any) -> None:
        for text in waiting:
            await stub.Predict(request(text))

    async with grpc.aio.insecure_channel(address) as channel:
        stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        await stub.Predict(request(texts[0]))
        started_s = time.perf_counter()
        await asyncio.gather(*(caller(stub) for _ in range(CALLERS)))
        return time.perf_counter() - started_s


def request(text: str) -> messages.PredictRequest:
    """A Predict of one text."""
    return messages.PredictRequest(
        model=messages.ModelRef(model=subject.MODEL), inputs=[messages.Input(text=messages.TextInput(text=text))]
    )


def measure() -> list[Figure]:
    """Rows per second, ours and bare."""
    subject.prepare()
    reviews = subject.reviews()
    ours, bare = [], []
    with recording_server() as server:
        asyncio.run(predict_all(server.address, reviews[:TEXTS]))  # warm
        for number in range(ROUNDS):
            first = number * TEXTS % (len(reviews) - TEXTS)
            texts = reviews[first : first + TEXTS]
            server.forget()
            seconds = asyncio.run(predict_all(server.address, texts))
            replayed = server.replay()
            ours.append(len(texts) / seconds)
            bare.append(replayed["rows"] / replayed["seconds"])
            print(
                f"round {number + 1}/{ROUNDS}: {ours[-1]:.0f} rows/s through gRPC, {bare[-1]:.0f} bare; "
                f"{replayed['rows'] / replayed['batches']:.1f} rows a batch, "
                f"{1 - replayed['tokens'] / replayed['padded_tokens']:.0%} padding",
                file=sys.stderr,
            )
    return [compared(f"Predict, {CALLERS} callers of one review", "rows/s", ours, bare, "session.run, same batches")]


if __name__ == "__main__":
    print_table(measure())
