"""Explain rows of a table: ExplainTable against a bare `session.run` on the very rows that it needs, and against
Explain.

The model is a bundle of a repository (`--repository runs/… --model credit`), or one of 20 columns with random weights.
Its rows are mixtures of the bundle's golden rows. Callers, server and model share this machine's cores. ExplainTable,
the bare loop and Explain take turns, and the medians of the rounds are told; then live predictions are timed alone and
beside ExplainTable.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.struct_pb2 import NULL_VALUE

from benchmarks.report import Figure, compared, print_table
from benchmarks.table_subject import MODEL, TableSubject
from benchmarks.throughput import recording_server
from explicate.v1 import explanation_pb2, table_pb2
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc as services
from explicate_bundle.bundle import verify_bundle
from explicate_bundle.model_inputs import CellValue, TabularInput

ROUNDS = 5
ROWS = 256
EXPLAIN_ROWS = 48
EXPLAIN_CALLERS = 8
LIVE_CALLS = 400
LIVE_PAUSE_S = 0.02
_LIMIT_BYTES = 64 << 20
Row = Mapping[str, CellValue]


def mixed_rows(repository: Path, model: str, count: int, *, seed: int) -> list[Row]:
    """Rows of which every cell is that of some golden row; others for another seed, as Explain remembers values."""
    version = max(int(folder.name) for folder in (repository / model).iterdir())
    bundle = verify_bundle(repository / model / str(version), model=model, version=version)
    golden = [value.cells for value in bundle.golden().inputs if isinstance(value, TabularInput)]
    places = np.random.default_rng(seed).integers(0, len(golden), (count, len(golden[0])))
    return [
        {name: golden[place][name] for name, place in zip(golden[0], of_row, strict=True)} for of_row in places.tolist()
    ]


def table_of(rows: Sequence[Row]) -> table_pb2.Table:
    """The rows packed."""
    table = table_pb2.Table(rows=len(rows))
    for name in rows[0]:
        cells = [row[name] for row in rows]
        if any(isinstance(cell, str) for cell in cells):
            names = sorted({cell for cell in cells if isinstance(cell, str)})
            values = table.columns.add(name=name).categories
            values.names.extend(names)
            values.codes.extend(names.index(cell) if isinstance(cell, str) else -1 for cell in cells)
        else:
            numbers = [np.nan if cell is None else float(cell) for cell in cells]
            table.columns.add(name=name).numbers.values.extend(numbers)
    return table


def input_of(row: Row) -> messages.Input:
    """One of them as a message."""
    cells = {name: _cell(value) for name, value in row.items()}
    return messages.Input(tabular=messages.TabularInput(cells=cells))


def _cell(value: CellValue) -> table_pb2.Cell:
    if value is None:
        return table_pb2.Cell(missing=NULL_VALUE)
    return table_pb2.Cell(category=value) if isinstance(value, str) else table_pb2.Cell(number=value)


class Asker:
    """Asks one model of one server."""

    def __init__(self, stub: Any, model: str, rows: Sequence[Row], method: str) -> None:
        self._stub = stub
        self._model = messages.ModelRef(model=model)
        self._rows = rows
        self._options = explanation_pb2.ExplainOptions(method=method)

    async def table(self, *, bulk: bool = False) -> float:
        """Seconds that an ExplainTable of all rows takes."""
        request = messages.ExplainTableRequest(
            model=self._model,
            table=table_of(self._rows),
            options=self._options,
            priority=messages.PRIORITY_BULK if bulk else messages.PRIORITY_INTERACTIVE,
        )
        started_s = time.perf_counter()
        await self._stub.ExplainTable(request)
        return time.perf_counter() - started_s

    async def one_by_one(self) -> float:
        """Seconds that Explain takes for some of the rows, asked by several callers."""
        waiting = iter(self._rows[:EXPLAIN_ROWS])

        async def caller() -> None:
            for row in waiting:
                spec = messages.ExplainSpec(model=self._model, input=input_of(row), options=self._options)
                await self._stub.Explain(messages.ExplainRequest(spec=spec))

        started_s = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(EXPLAIN_CALLERS)))
        return time.perf_counter() - started_s

    async def live(self) -> float:
        """The 99th percentile of the seconds that predictions of single rows take, asked one after the other."""
        request = messages.PredictRequest(model=self._model, inputs=[input_of(self._rows[0])])
        taken_s = []
        for _ in range(LIVE_CALLS):
            started_s = time.perf_counter()
            await self._stub.Predict(request)
            taken_s.append(time.perf_counter() - started_s)
            await asyncio.sleep(LIVE_PAUSE_S)
        return float(np.quantile(taken_s, 0.99))

    async def live_beside_tables(self, *, bulk: bool) -> float:
        """The same while tables are explained without a pause."""

        async def explain() -> None:
            while True:
                await self.table(bulk=bulk)

        busy = asyncio.create_task(explain())
        await asyncio.sleep(0.5)
        try:
            return await self.live()
        finally:
            busy.cancel()
            with suppress(asyncio.CancelledError):
                await busy


def measure(repository: Path, model: str, *, method: str, rounds: int, rows: int) -> list[Figure]:
    """Rows per second, ours and bare; explained rows per second by both calls; and what live predictions wait."""
    ours, bare, table, single = [], [], [], []
    idle, beside, beside_bulk = [], [], []
    name = f"{model}, {method}"
    with recording_server(repository, model) as server:

        async def run(what: str, seed: int = 0, **options: bool) -> float:
            limits = [("grpc.max_receive_message_length", _LIMIT_BYTES)]
            async with grpc.aio.insecure_channel(server.address, limits) as channel:
                stub = services.InferenceServiceStub(channel)
                asker = Asker(stub, model, mixed_rows(repository, model, rows, seed=seed), method)
                seconds: float = await getattr(asker, what)(**options)
                return seconds

        asyncio.run(run("table"))  # warm
        for number in range(rounds):
            server.forget()
            seconds = asyncio.run(run("table", number))
            replayed = server.replay()
            ours.append(replayed["rows"] / seconds)
            bare.append(replayed["rows"] / replayed["seconds"])
            table.append(rows / seconds)
            single.append(min(rows, EXPLAIN_ROWS) / asyncio.run(run("one_by_one", number)))
            print(
                f"round {number + 1}/{rounds}: {ours[-1]:,.0f} model rows/s, {bare[-1]:,.0f} bare; {table[-1]:.1f} "
                f"rows explained a second, {single[-1]:.1f} by Explain; "
                f"{replayed['rows'] / replayed['batches']:.0f} rows a batch",
                file=sys.stderr,
            )
        for _ in range(rounds):
            idle.append(1e3 * asyncio.run(run("live")))
            beside.append(1e3 * asyncio.run(run("live_beside_tables", bulk=False)))
            beside_bulk.append(1e3 * asyncio.run(run("live_beside_tables", bulk=True)))
            print(
                f"live p99 {idle[-1]:.1f} ms alone, {beside[-1]:.1f} and {beside_bulk[-1]:.1f} beside", file=sys.stderr
            )
    return [
        compared(f"ExplainTable, {name}", "rows/s", ours, bare, "session.run, same batches"),
        compared(f"explained rows, {name}", "rows/s", table, single, f"Explain, {EXPLAIN_CALLERS} callers"),
        compared(f"live p99 beside ExplainTable, {name}", "ms", beside, idle, "alone"),
        compared(f"live p99 beside bulk ExplainTable, {name}", "ms", beside_bulk, idle, "alone"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, help="with the model; one with random weights unless given")
    parser.add_argument("--model", default="credit")
    parser.add_argument("--method", default="kernel-shap")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    shape = {"method": given.method, "rounds": given.rounds, "rows": given.rows}
    if given.repository:
        print_table(measure(given.repository, given.model, **shape), name="explain_table")
    else:
        with tempfile.TemporaryDirectory() as directory:
            subject = TableSubject(Path(directory), 20)
            print_table(measure(subject.repository, MODEL, **shape), name="explain_table")
