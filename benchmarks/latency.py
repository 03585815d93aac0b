"""`python -m benchmarks.latency`: Predict's p50 and p99 idle and beside explanations, and what is left for those.

One caller sends one review at a time with short random pauses while 0, 1, 4 or 16 explanations are in progress; the
peer of a p99 is the bound that we set ourselves: twice the idle p99 plus one short batch. Then 32 callers send Predicts
without a pause beside 4 explanations, and the explanations' part of the model's time is held against their share.
"""

import argparse
import asyncio
import random
import sys
import time
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.explain_load import explaining, requests, reviews_of_one_size
from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import ServerProcess, server_process
from benchmarks.throughput import request
from explicate.v1 import inference_service_pb2_grpc
from explicate_server.runtime.batch_cost import TARGET_S
from explicate_server.runtime.batcher import SHARES, Priority

BESIDE = (0, 1, 4, 16)
EVALUATIONS = 1024
SATURATING_CALLERS = 32
MOST_PAUSE_S = 0.03


async def predict_times(stub: Any, texts: list[str]) -> NDArray[np.float64]:
    """Seconds of each Predict, one after the other."""
    pauses = random.Random(0)
    seconds = []
    for text in texts:
        await asyncio.sleep(pauses.uniform(0.0, MOST_PAUSE_S))
        started_s = time.perf_counter()
        await stub.Predict(request(text))
        seconds.append(time.perf_counter() - started_s)
    return np.array(seconds)


async def latencies(stub: Any, load: Any, rounds: int, texts: list[str]) -> dict[int, list[NDArray[np.float64]]]:
    """Times of all Predicts, by the explanations beside them and by round."""
    times: dict[int, list[NDArray[np.float64]]] = {beside: [] for beside in BESIDE}
    for number in range(rounds):
        for beside in BESIDE:
            async with explaining(stub, beside, load):
                await predict_times(stub, texts[:5])  # until the explanations are under way
                times[beside].append(await predict_times(stub, texts))
            p50_s, p99_s = np.percentile(times[beside][-1], [50, 99])
            print(
                f"round {number + 1}/{rounds}, beside {beside}: p50 {1e3 * p50_s:.1f} ms, p99 {1e3 * p99_s:.1f} ms",
                file=sys.stderr,
            )
    return times


async def explain_share(server: ServerProcess, stub: Any, load: Any, texts: list[str], seconds: float) -> float:
    """Fraction of the model's time that explanations had while Predicts never let up."""
    stop = asyncio.Event()

    async def predict() -> None:
        while not stop.is_set():
            await stub.Predict(request(random.choice(texts)))

    async def busy_s() -> dict[str, float]:
        return await asyncio.to_thread(server.sums, "explicate_model_busy_seconds_total")

    async with explaining(stub, 4, load):
        callers = [asyncio.create_task(predict()) for _ in range(SATURATING_CALLERS)]
        await predict_times(stub, texts[:5])
        before = await busy_s()
        await asyncio.sleep(seconds)
        after = await busy_s()
        stop.set()
        await asyncio.gather(*callers)
    spent = {name: after[name] - before[name] for name in after}
    return spent["explain"] / sum(spent.values())


async def measure(server: ServerProcess, *, rounds: int, predicts: int, seconds: float) -> list[Figure]:
    """All figures, in milliseconds and as a fraction."""
    texts = reviews_of_one_size()
    load = requests(texts, evaluations=EVALUATIONS)
    chosen = [texts[index % len(texts)] for index in range(predicts)]
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        await predict_times(stub, chosen[:20])  # warm
        times = await latencies(stub, load, rounds, chosen)
        share = await explain_share(server, stub, load, texts, seconds)
    percentiles = {
        beside: 1e3 * np.array([np.percentile(of_round, [50, 99]) for of_round in times[beside]]) for beside in BESIDE
    }
    figures = []
    for beside in BESIDE:
        name = f"Predict beside {beside} explanations" if beside else "Predict, idle"
        p50_ms, p99_ms = percentiles[beside].T
        bound_ms = 2 * percentiles[0][:, 1] + 1e3 * TARGET_S
        figures += [
            compared(f"{name}, p50", "ms", list(p50_ms), list(percentiles[0][:, 0]), "idle p50"),
            compared(f"{name}, p99", "ms", list(p99_ms), list(bound_ms), "2 x idle p99 + a batch"),
        ]
    figures.append(
        compared("Explain under saturating Predict", "share", [share], [SHARES[Priority.EXPLAIN]], "its share")
    )
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--predicts", type=int, default=300, help="Predict calls in each measurement")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the saturating load")
    arguments = parser.parse_args()
    with server_process() as server:
        figures = asyncio.run(
            measure(server, rounds=arguments.rounds, predicts=arguments.predicts, seconds=arguments.seconds)
        )
    print_table(figures, name="latency")


if __name__ == "__main__":
    main()
