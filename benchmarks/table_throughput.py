"""Predict rows of tables through gRPC, against a bare `session.run` loop on the same batches.

Single rows from 32 callers, calls of 1,000 rows as messages and as packed tables from two callers; 20 and 500 columns.
Callers, server and model share this machine's cores. Requests are made before the clock starts; that they are
serialised, read and answered counts against us.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.report import Figure, compared, print_table
from benchmarks.table_subject import MODEL, TableSubject
from benchmarks.throughput import recording_server
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc

ROUNDS = 5
COLUMNS = (20, 500)
ROWS_OF_A_CALL = 1000
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Load:
    """So many callers that share the requests, each of so many rows."""

    what: str
    callers: int
    rows: int
    requests: Sequence[messages.PredictRequest]


def loads(subject: TableSubject, columns: int) -> list[Load]:
    """What is measured on a subject."""
    cells = ROWS_OF_A_CALL * columns
    calls = max(2, 200_000 // cells)
    return [
        Load("32 callers of one row", 32, 1, subject.input_requests(400, 1)),
        Load("1,000 rows a call", 2, ROWS_OF_A_CALL, subject.input_requests(calls, ROWS_OF_A_CALL)),
        Load("1,000 rows a call, packed", 2, ROWS_OF_A_CALL, subject.packed_requests(calls, ROWS_OF_A_CALL)),
    ]


async def predict_all(address: str, load: Load) -> float:
    """Rows per second that the callers get."""
    waiting = iter(load.requests)

    async def caller(stub: Any) -> None:
        for request in waiting:
            await stub.Predict(request)

    options = [("grpc.max_receive_message_length", _LIMIT_BYTES), ("grpc.max_send_message_length", _LIMIT_BYTES)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        await stub.Predict(load.requests[0])
        started_s = time.perf_counter()
        await asyncio.gather(*(caller(stub) for _ in range(load.callers)))
        return load.rows * len(load.requests) / (time.perf_counter() - started_s)


def measure() -> list[Figure]:
    """Rows per second, ours and bare."""
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        for columns in COLUMNS:
            subject = TableSubject(Path(directory), columns)
            with recording_server(subject.repository, MODEL) as server:
                for load in loads(subject, columns):
                    name = f"Predict, {columns} columns, {load.what}"
                    ours, bare = [], []
                    asyncio.run(predict_all(server.address, load))  # warm
                    for _ in range(ROUNDS):
                        server.forget()
                        ours.append(asyncio.run(predict_all(server.address, load)))
                        replayed = server.replay()
                        bare.append(replayed["rows"] / replayed["seconds"])
                    print(
                        f"{name}: {ours[-1]:,.0f} rows/s, {bare[-1]:,.0f} bare, "
                        f"{replayed['rows'] / replayed['batches']:.0f} rows a batch",
                        file=sys.stderr,
                    )
                    figures.append(compared(name, "rows/s", ours, bare, "session.run, same batches"))
    return figures


if __name__ == "__main__":
    print_table(measure(), name="table_throughput")
