"""`python -m benchmarks.open_inference`: what a ModelInfer costs beside our own Predict of the same rows.

One server answers both in turn, the same number of calls in each round: a row of a table of 20 columns, and 256 rows in
packed form. The time is the processor's, of the server's process, from /proc/PID/stat; what a call takes from its
caller's side is told beside. Requests are bytes already, and answers are not read, so that the client costs the same.
"""

import argparse
import asyncio
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.predict_cost import COLUMNS, Measured, _process
from benchmarks.report import Figure, compared, print_table
from benchmarks.table_subject import TableSubject
from explicate.v1 import inference_service_pb2 as messages
from explicate_server.rpc.open_inference.protocol import ModelInferRequest

PREDICT = "/explicate.v1.InferenceService/Predict"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
ROWS = (1, 256)
TARGET = 1.15
"""What the front may cost, as a multiple of our own Predict."""
OURS, CELLS, OPEN = "Predict, packed", "Predict, cells", "ModelInfer"


@dataclass(frozen=True)
class Cost:
    """Of one round: milliseconds of the server's processor time a call, and of a call for its caller."""

    cpu_ms: float
    call_ms: float


def open_request(request: messages.PredictRequest) -> Any:
    """The ModelInfer of a Predict of a packed table."""
    table = request.table
    asked = ModelInferRequest(model_name=request.model.model)
    for column in table.columns:
        numbers = column.HasField("numbers")
        asked.inputs.add(name=column.name, datatype="FP64" if numbers else "BYTES", shape=[table.rows, 1])
        if numbers:
            asked.raw_input_contents.append(np.array(column.numbers.values, "<f8").tobytes())
        else:
            names = [column.categories.names[code].encode() for code in column.categories.codes]
            asked.raw_input_contents.append(b"".join(struct.pack("<I", len(name)) + name for name in names))
    return asked


async def cost(server: Measured, method: str, requests: Sequence[bytes]) -> Cost:
    """What requests cost, sent by one caller without a pause."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary(method)
        await call(requests[0])
        seconds, cpu_s = [], server.cpu_s()
        for request in requests:
            started_s = time.perf_counter()
            await call(request)
            seconds.append(time.perf_counter() - started_s)
        return Cost(1e3 * (server.cpu_s() - cpu_s) / len(requests), 1e3 * statistics.median(seconds))


def measure(*, rounds: int, calls: int) -> list[Figure]:
    """The figures: ModelInfer beside each form of Predict."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        subject = TableSubject(Path(directory), COLUMNS)
        serve = ("-m", "explicate", "serve", "--repository", str(subject.repository), "--listen", "127.0.0.1:0")
        with _process(*serve) as server:
            for rows in ROWS:
                each = max(100, calls // (1 if rows == 1 else 4))
                packed = subject.packed_requests(each, rows)
                forms = {
                    OURS: (PREDICT, [request.SerializeToString() for request in packed]),
                    CELLS: (PREDICT, [request.SerializeToString() for request in subject.input_requests(each, rows)]),
                    OPEN: (MODEL_INFER, [open_request(request).SerializeToString() for request in packed]),
                }
                costs: dict[str, list[Cost]] = {name: [] for name in forms}
                for method, requests in forms.values():
                    asyncio.run(cost(server, method, requests[:100]))  # warm
                for number in range(rounds):
                    for name, (method, requests) in forms.items():
                        costs[name].append(asyncio.run(cost(server, method, requests)))
                        last = costs[name][-1]
                        told = f"{last.cpu_ms:.3f} ms of processor, {last.call_ms:.3f} ms a call"
                        print(f"round {number + 1}/{rounds}, {rows} rows, {name}: {told}", file=sys.stderr)
                for peer in (OURS, CELLS):
                    for what, field in (("CPU a call", "cpu_ms"), ("a call", "call_ms")):
                        ours, theirs = ([getattr(one, field) for one in costs[side]] for side in (OPEN, peer))
                        figures.append(compared(f"ModelInfer of {rows} rows, {what}", "ms", ours, theirs, peer))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000, help="of one row in each round and form; a quarter of many")
    arguments = parser.parse_args()
    print_table(measure(rounds=arguments.rounds, calls=arguments.calls), name="open_inference")


if __name__ == "__main__":
    main()
