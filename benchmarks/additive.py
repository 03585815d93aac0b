"""Explained rows a second through gRPC: a sum over columns beside the free form, on the packaged credits.

    python -m benchmarks.additive

Both models are trained for a few passes, on the same columns; what they learn does not matter here. One server process
has both, and rounds alternate. The free form is asked at its defaults, whose values are estimates with intervals to a
tolerance of .2, and for exact values, which takes all 2^13 coalitions; the sum is exact always. Every row is new to the
server, and requests are made before the clock starts. Callers, server and models share this machine's cores.
"""

import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.struct_pb2 import NULL_VALUE

from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import server_process
from explicate.v1 import explanation_pb2, inference_service_pb2_grpc, table_pb2
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate_export.export import ExportOptions, export_run
from explicate_training.config.config_file import parse_config, ready_configs
from explicate_training.train import train

ROUNDS = 5
CALLERS = 8
_PASSES = 4
_FORMS = {"free": "", "additive": '\n[interpretability]\nmasked_fraction = 0\nadditivity = 0\nform = "additive"\n'}
_ROWS = {"additive": 400, "free": 40, "free, exact": 1}
"""Of a round, by what is asked."""


def publish(folder: Path) -> Path:
    """A repository with the models "free" and "additive"."""
    for name, section in _FORMS.items():
        config: Any = parse_config(ready_configs()["credit"] + section)
        if section:
            config = replace(config, interpretability=replace(config.interpretability, form_epochs=_PASSES))
        training = replace(config.training, epochs=_PASSES)
        output = replace(config.output, directory=str(folder / name), explained=0)
        run = train(replace(config, training=training, output=output))
        export_run(run, folder / "repository", ExportOptions(name, allow_trivial=True))
    return folder / "repository"


def new_rows(run: Path) -> Iterator[inference_pb.Input]:
    """Held-out rows over and over, each time with another price, so that none is answered from memory."""
    held_out = [json.loads(line)["row"] for line in (run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(itertools.cycle(held_out)):
        changed = {**row, "Price": (row["Price"] or 0) + number / 1000}
        cells = {name: _cell(value) for name, value in changed.items()}
        yield inference_pb.Input(tabular=inference_pb.TabularInput(cells=cells))


def _cell(value: float | str | None) -> table_pb2.Cell:
    if value is None:
        return table_pb2.Cell(missing=NULL_VALUE)
    return table_pb2.Cell(category=value) if isinstance(value, str) else table_pb2.Cell(number=value)


def request(model: str, row: inference_pb.Input, options: dict[str, Any]) -> inference_pb.ExplainRequest:
    """Of one row."""
    asked = inference_pb.ExplainSpec(model=inference_pb.ModelRef(model=model), input=row)
    asked.options.MergeFrom(explanation_pb2.ExplainOptions(**options))
    return inference_pb.ExplainRequest(spec=asked)


async def rows_per_second(stub: Any, requests: list[inference_pb.ExplainRequest]) -> float:
    """What callers that share the requests get."""
    waiting = iter(requests)

    async def caller() -> None:
        for one in waiting:
            await stub.Explain(one, timeout=300.0)

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(requests) / (time.perf_counter() - started_s)


async def rounds(address: str, rows: Iterator[inference_pb.Input]) -> dict[str, list[float]]:
    """Rows a second of each round, by what is asked."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "additive": ("additive", {}),
        "free": ("free", {}),
        "free, exact": ("free", {"method": "exact-shap", "max_evaluations": 1 << 13}),
    }
    found: dict[str, list[float]] = {name: [] for name in asked}

    def some(name: str, count: int) -> list[inference_pb.ExplainRequest]:
        model, options = asked[name]
        return [request(model, row, options) for row in itertools.islice(rows, count)]

    async with grpc.aio.insecure_channel(address) as channel:
        stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        for name in asked:
            await rows_per_second(stub, some(name, 2))  # warm
        for _ in range(ROUNDS):
            for name in asked:
                found[name].append(await rows_per_second(stub, some(name, _ROWS[name])))
                print(f"{name}: {found[name][-1]:.1f} rows/s", file=sys.stderr)
    return found


def measure() -> list[Figure]:
    """The sum beside the free form, at its defaults and exact."""
    with tempfile.TemporaryDirectory() as directory:
        repository = publish(Path(directory))
        with server_process("--repository", str(repository)) as server:
            found = asyncio.run(rounds(server.address, new_rows(Path(directory) / "free")))
    return [
        compared(f"Explain a row, additive against {name}", "rows/s", found["additive"], found[name], name)
        for name in ("free", "free, exact")
    ]


if __name__ == "__main__":
    print_table(measure(), name="additive")
