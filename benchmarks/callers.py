"""`python -m benchmarks.callers`: what one caller gets beside another that takes all it can.

The crowd has 64 explanations in progress and its queue of Predicts full, all the time; the single caller has one call
of each. Both have tokens, which is what tells them apart. The single caller's Predict is held against three times what
it takes idle, its explanation, which the deadline ends, against half of the evaluations that it gets alone.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks import subject
from benchmarks.explain_load import requests, reviews_of_one_size
from benchmarks.report import Figure, print_table
from benchmarks.server_process import server_process
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token

EXPLANATIONS, PREDICTS, ROWS = 64, 32, 64
MOST_PREDICT_RATIO, LEAST_EVALUATIONS_RATIO = 3.0, 0.5
_DEADLINE_S = 8.0
_MOST_EVALUATIONS = 16_384
_BACK_OFF_S = 1.0  # what the server asks of an explanation that it refuses
_REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


class Caller:
    """One caller: its token, its calls, and what came of them."""

    def __init__(self, stub: Any, secret: str, texts: list[str]) -> None:
        self._stub = stub
        self._metadata = (("authorization", f"Bearer {secret}"),)
        self._load = requests(texts, evaluations=_MOST_EVALUATIONS)
        self._texts = itertools.cycle(texts)
        self.evaluations = 0
        self.ends: Counter[str] = Counter()

    async def predict(self, rows: int = 1) -> float:
        """Seconds that a Predict takes."""
        inputs = [messages.Input(text=messages.TextInput(text=next(self._texts))) for _ in range(rows)]
        request = messages.PredictRequest(model=messages.ModelRef(model=subject.MODEL), inputs=inputs)
        started_s = time.perf_counter()
        await self._stub.Predict(request, metadata=self._metadata, timeout=60)
        return time.perf_counter() - started_s

    async def explain(self, deadline_s: float) -> int:
        """Evaluations of an explanation that goes on until its deadline."""
        try:
            answer = await self._stub.Explain(next(self._load), metadata=self._metadata, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            # The server's own words come with a status of theirs; gRPC's own mean that the answer was late.
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not error.trailing_metadata()
            self.ends["late" if late else error.code().name] += 1
            raise
        self.ends["answered"] += 1
        explanation = answer.result.explanation
        done = int(explanation.evaluations)
        self.evaluations += done
        return done


@asynccontextmanager
async def crowding(caller: Caller, deadline_s: float) -> AsyncIterator[None]:
    """All that one caller can do, for as long as the block lasts."""

    async def again(call: Any, *arguments: Any) -> None:
        while True:
            try:
                await call(*arguments)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _REFUSED:
                    raise
                await asyncio.sleep(_BACK_OFF_S)

    tasks = [asyncio.create_task(again(caller.explain, deadline_s)) for _ in range(EXPLANATIONS)]
    tasks += [asyncio.create_task(again(caller.predict, ROWS)) for _ in range(PREDICTS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def what_it_gets(caller: Caller, *, predicts: int, deadline_s: float) -> tuple[float, int]:
    """Median seconds of its Predicts, and the evaluations of its explanation; the two one after the other."""
    seconds = [await caller.predict() for _ in range(predicts)]
    try:
        return float(np.median(seconds)), await caller.explain(deadline_s)
    except grpc.aio.AioRpcError:
        return float(np.median(seconds)), 0


async def measure(address: str, secrets: dict[str, str], arguments: argparse.Namespace) -> list[Figure]:
    """The figures, from rounds in which the single caller is alone and then beside the crowd."""
    texts = reviews_of_one_size()
    alone: list[tuple[float, int]] = []
    beside: list[tuple[float, int]] = []
    options = {"predicts": arguments.predicts, "deadline_s": arguments.deadline}
    async with grpc.aio.insecure_channel(address) as ours, grpc.aio.insecure_channel(address) as theirs:
        # One text: another's rows may be half as long again, which would count as what the crowd takes.
        single = Caller(inference_service_pb2_grpc.InferenceServiceStub(ours), secrets["single"], texts[:1])
        crowd = Caller(inference_service_pb2_grpc.InferenceServiceStub(theirs), secrets["crowd"], texts)
        await what_it_gets(single, predicts=5, deadline_s=1.0)  # warm
        for number in range(arguments.rounds):
            alone.append(await what_it_gets(single, **options))
            async with crowding(crowd, arguments.deadline):
                await asyncio.sleep(2.0)  # until all of it is under way
                beside.append(await what_it_gets(single, **options))
            for name, (predict_s, evaluations) in (("alone", alone[-1]), ("beside the crowd", beside[-1])):
                print(
                    f"round {number + 1}/{arguments.rounds}, {name}: Predict {1e3 * predict_s:.1f} ms, "
                    f"{evaluations} evaluations in {arguments.deadline:g} s",
                    file=sys.stderr,
                )
    print(f"the crowd's explanations: {dict(crowd.ends)}, {crowd.evaluations} evaluations", file=sys.stderr)
    print(f"the single caller's: {dict(single.ends)}", file=sys.stderr)
    return list(_figures(alone, beside))


def _figures(alone: list[tuple[float, int]], beside: list[tuple[float, int]]) -> Iterator[Figure]:
    pairs = list(zip(alone, beside, strict=True))
    for what, unit, place, scale in (
        (f"Predict beside the crowd, at most {MOST_PREDICT_RATIO:g} x", "ms", 0, 1e3),
        (f"evaluations beside the crowd, at least {LEAST_EVALUATIONS_RATIO:g} x", "rows", 1, 1.0),
    ):
        ratio = float(np.median([theirs[place] / max(ours[place], 1e-9) for ours, theirs in pairs]))
        ours, peer = (float(np.median([each[place] for each in side])) * scale for side in (beside, alone))
        yield Figure(what, unit, ours, peer, "alone", ratio, len(pairs))


def write_tokens(folder: Path) -> tuple[Path, dict[str, str]]:
    """A file of two tokens, and the tokens by name."""
    secrets = {name: new_token() for name in ("single", "crowd")}
    path = folder / "tokens"
    rights = frozenset({Right.PREDICT, Right.EXPLAIN})
    path.write_text("".join(f"{line_of(Token(name, rights, digest_of(secret)))}\n" for name, secret in secrets.items()))
    path.chmod(0o600)
    return path, secrets


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--predicts", type=int, default=40, help="Predicts of the single caller in each measurement")
    parser.add_argument("--deadline", type=float, default=_DEADLINE_S, help="seconds of each explanation")
    arguments = parser.parse_args()
    subject.prepare()
    with tempfile.TemporaryDirectory() as folder:
        path, secrets = write_tokens(Path(folder))
        with server_process("--tokens", str(path)) as server:
            print_table(asyncio.run(measure(server.address, secrets, arguments)), name="callers")


if __name__ == "__main__":
    main()
