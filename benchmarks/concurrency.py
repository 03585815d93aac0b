"""`python -m benchmarks.concurrency`: rows a second inside 1, 4 and 16 concurrent explanations, against a bare loop.

The peer runs the very batches that the server formed again in a plain `session.run` loop with all threads. Callers,
server and model share this machine's cores, so what gRPC, tokenising, the fits and the callers cost counts against us.
"""

import argparse
import asyncio
import sys
import time
from typing import Any

import grpc

from benchmarks.explain_load import WORDS_FROM, WORDS_TO, requests, reviews_of_one_size
from benchmarks.report import Figure, compared, print_table
from benchmarks.throughput import Recorder, recording_server
from explicate.v1 import inference_service_pb2_grpc

CONCURRENT = (1, 4, 16)
EVALUATIONS = 512


async def explain_all(address: str, callers: int, waiting: list[Any]) -> float:
    """Seconds that the callers take for all requests, each caller one at a time."""
    left = iter(waiting)

    async def caller(stub: Any) -> None:
        for request in left:
            await stub.Explain(request)

    async with grpc.aio.insecure_channel(address) as channel:
        stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        started_s = time.perf_counter()
        await asyncio.gather(*(caller(stub) for _ in range(callers)))
        return time.perf_counter() - started_s


def measure(rounds: int, explanations: int) -> list[Figure]:
    """Rows per second, ours and bare, by the number of explanations at once."""
    load = requests(reviews_of_one_size(), evaluations=EVALUATIONS)
    ours: dict[int, list[float]] = {callers: [] for callers in CONCURRENT}
    bare: dict[int, list[float]] = {callers: [] for callers in CONCURRENT}
    with recording_server() as server:
        asyncio.run(explain_all(server.address, 2, [next(load) for _ in range(2)]))  # warm
        for number in range(rounds):
            for callers in CONCURRENT:
                waiting = [next(load) for _ in range(max(explanations, callers))]
                mine, peer = _one_round(server, callers, waiting)
                ours[callers].append(mine)
                bare[callers].append(peer)
                print(
                    f"round {number + 1}/{rounds}, {callers} at once: {mine:.0f} rows/s, {peer:.0f} bare",
                    file=sys.stderr,
                )
    return [
        compared(
            f"{callers} at once, {EVALUATIONS} rows each, {WORDS_FROM}-{WORDS_TO} words",
            "rows/s",
            ours[callers],
            bare[callers],
            "session.run, same batches",
        )
        for callers in CONCURRENT
    ]


def _one_round(server: Recorder, callers: int, waiting: list[Any]) -> tuple[float, float]:
    server.forget()
    seconds = asyncio.run(explain_all(server.address, callers, waiting))
    replayed = server.replay()
    return replayed["rows"] / seconds, replayed["rows"] / replayed["seconds"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--explanations", type=int, default=8, help="in each measurement, at least one per caller")
    arguments = parser.parse_args()
    print_table(measure(arguments.rounds, arguments.explanations), name="concurrency")


if __name__ == "__main__":
    main()
