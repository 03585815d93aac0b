"""`python -m benchmarks.row_costs`: core seconds that a row of a table costs its server and its scorer.

Processor time of processes, so that what else the machine does counts for little. A row is predicted in packed calls of
1,000, and explained in ExplainTable calls of 50 at the defaults, both as bulk. What it costs a scorer comes from
`explicate score` on two Parquet files, whose difference has no start-up in it. `benchmarks.scale_simulation` reads
results/row_costs.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import explicate
from benchmarks.predict_cost import Measured
from benchmarks.scale_simulation import COSTS
from benchmarks.table_subject import MODEL, TableSubject

COLUMNS = 20
PREDICTED_ROWS, EXPLAINED_ROWS = 1_000, 50
"""Rows of a call."""
COMMAND = "python -m benchmarks.row_costs"
Columns = dict[str, list[float] | list[str]]


def columns(rows: int, seed: int) -> Columns:
    """Rows for the model of TableSubject, by column."""
    stream = np.random.default_rng(seed)
    return {
        f"column_{place}": [f"name {code}" for code in stream.integers(0, 10, rows)]
        if place % 5 == 4
        else stream.normal(size=rows).tolist()
        for place in range(COLUMNS)
    }


@contextmanager
def serving(repository: Path) -> Iterator[Measured]:
    """A server process."""
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(repository), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield Measured(process.pid, process.stdout.readline().strip())
    finally:
        process.terminate()
        process.communicate(timeout=60)


def server_s(server: Measured, ask: Callable[[int], object], *, rows: int, calls: int, rounds: int) -> float:
    """Core seconds of the server a row, the median of the rounds; the first calls are not counted."""
    ask(0)
    costs = []
    for round_number in range(rounds):
        before_s = server.cpu_s()
        for number in range(calls):
            ask(1 + round_number * calls + number)
        costs.append((server.cpu_s() - before_s) / (calls * rows))
    return statistics.median(costs)


def scorer_s(server: Measured, folder: Path, sizes: tuple[int, int]) -> float:
    """Core seconds of `explicate score` a row that is predicted."""
    spent_s = []
    for size in sizes:
        path = folder / f"{size}.parquet"
        pq.write_table(pa.table(columns(size, seed=size)), path)
        command = ["score", "--server", server.address, "--model", MODEL, "--input", str(path)]
        output = ["--output", str(folder / f"out-{size}")]
        process = subprocess.Popen([sys.executable, "-m", "explicate", *command, *output], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"explicate score ended with {process.returncode}")
        spent_s.append(usage.ru_utime + usage.ru_stime)
    return (spent_s[1] - spent_s[0]) / (sizes[1] - sizes[0])


def measure(rounds: int, scored: tuple[int, int]) -> dict[str, float]:
    """The costs by the names that Fleet has for them."""
    with tempfile.TemporaryDirectory() as directory:
        subject = TableSubject(Path(directory), COLUMNS)
        asked = [columns(PREDICTED_ROWS, seed) for seed in range(8)]
        with serving(subject.repository) as server, explicate.Client(server.address, timeout_s=600) as client:
            predict = server_s(
                server,
                lambda number: client.predict_table(MODEL, asked[number % 8], priority="bulk"),
                rows=PREDICTED_ROWS,
                calls=40,
                rounds=rounds,
            )
            explain = server_s(
                server,
                lambda number: client.explain_table(MODEL, columns(EXPLAINED_ROWS, 100 + number), priority="bulk"),
                rows=EXPLAINED_ROWS,
                calls=2,
                rounds=rounds,
            )
            return {
                "predict_s": predict,
                "explain_s": explain,
                "scorer_s": scorer_s(server, Path(directory), scored),
            }


def main() -> None:
    """Measure, print, and keep the file."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scored", type=int, nargs=2, default=(20_000, 220_000), help="rows of the two files")
    arguments = parser.parse_args()
    costs = measure(arguments.rounds, tuple(arguments.scored))
    for name, seconds in costs.items():
        print(f"{name:<12}{seconds * 1e6:>14,.2f} µs of a core a row")
    COSTS.parent.mkdir(exist_ok=True)
    machine = f"{os.cpu_count()} cores, a random table model of {COLUMNS} columns, explained by 20 background rows"
    told = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "command": COMMAND, "machine": machine, "seconds": costs}
    COSTS.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
