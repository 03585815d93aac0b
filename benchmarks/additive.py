"""Explained rows a second through gRPC: a sum over columns beside the free form, on the packaged credits.

    python -m benchmarks.additive

Both models are trained for a few passes, on the same columns; what they learn does not matter here. One server process
has both, and rounds alternate. The free form is asked at its defaults, whose values are estimates with intervals to a
tolerance of .2, and for exact values, which takes all 2^13 coalitions; the sum is exact always. Every row is new to the
server. Callers, server and models share this machine's cores.
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

from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import server_process
from explicate import AsyncClient
from explicate_export.export import ExportOptions, export_run
from explicate_training.config.config_file import parse_config, ready_configs
from explicate_training.train import train

ROUNDS = 5
CALLERS = 8
_PASSES = 4
_FORMS = {"free": "", "additive": '\n[interpretability]\nmasked_fraction = 0\nadditivity = 0\nform = "additive"\n'}
_ROWS = {"additive": 400, "free": 40, "free, exact": 4}
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


def new_rows(run: Path) -> Iterator[dict[str, Any]]:
    """Held-out rows over and over, each time with another price, so that none is answered from memory."""
    held_out = [json.loads(line)["row"] for line in (run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(itertools.cycle(held_out)):
        yield {**row, "Price": (row["Price"] or 0) + number / 1000}


async def rows_per_second(client: AsyncClient, model: str, rows: list[dict[str, Any]], **options: Any) -> float:
    """What callers that share the rows get."""
    waiting = iter(rows)

    async def caller() -> None:
        for row in waiting:
            await client.explain(model, row, timeout_s=300.0, **options)

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(rows) / (time.perf_counter() - started_s)


async def rounds(address: str, rows: Iterator[dict[str, Any]]) -> dict[str, list[float]]:
    """Rows a second of each round, by what is asked."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "additive": ("additive", {}),
        "free": ("free", {}),
        "free, exact": ("free", {"method": "exact-shap", "max_evaluations": 1 << 13}),
    }
    found: dict[str, list[float]] = {name: [] for name in asked}
    async with AsyncClient(address, timeout_s=300.0) as client:
        for model, options in asked.values():
            await rows_per_second(client, model, list(itertools.islice(rows, 4)), **options)  # warm
        for _ in range(ROUNDS):
            for name, (model, options) in asked.items():
                some = list(itertools.islice(rows, _ROWS[name]))
                found[name].append(await rows_per_second(client, model, some, **options))
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
