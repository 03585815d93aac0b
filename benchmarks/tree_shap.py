"""Boosted trees explained by their trees: `ExplainTable` beside `shap.TreeExplainer`, which does the same in C.

    python -m benchmarks.tree_shap

200 trees of depth 6 on 20 columns, 100 background rows, a binary classifier of LightGBM with known interactions, made a
bundle by `explicate_export.from_sklearn`. Both give the Shapley values of the margin against the same background rows,
so that first the values of a few rows are compared. Background rows of a bundle have weights; for that comparison shap
is given each as often as its weight says. Then rounds alternate: `ExplainTable` on all rows, the wire both ways
included, and shap on `--peer-rows`, scaled to all as they cost it the same each, from rows that lie in memory as
numbers. Caller, server and shap share this machine's cores; shap uses one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import explicate_export
from benchmarks.report import Figure, compared, print_table
from benchmarks.server_process import ServerProcess, server_process
from explicate import Client, Contrast
from explicate_bundle.bundle import verify_bundle

TREES, DEPTH, COLUMNS, BACKGROUND, TRAINED_ON = 200, 6, 20, 100, 4000
ROWS, PEER_ROWS, PARITY_ROWS, ROUNDS = 1000, 200, 8, 5
CLOSE = 1e-5
Floats = NDArray[np.float64]
_NAME = "boosted"


@dataclass(frozen=True)
class Subject:
    """A fitted model, rows, and the background of its bundle."""

    model: Any
    rows: pd.DataFrame
    background: Floats
    counts: NDArray[np.int64]

    @classmethod
    def fitted(cls, repository: Path, rows: int) -> Subject:
        """Fit it, and make its bundle."""
        import lightgbm

        stream = np.random.default_rng(0)
        names = [f"column_{place:02}" for place in range(COLUMNS)]
        known = pd.DataFrame(stream.normal(size=(TRAINED_ON + rows, COLUMNS)).astype(np.float32), columns=names)
        x = known.to_numpy()
        score = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) * x[:, 4] + 0.5 * x[:, 5:].sum(axis=1) / 4
        label = score + stream.normal(size=len(x)) > 0
        model = lightgbm.LGBMClassifier(
            n_estimators=TREES, max_depth=DEPTH, num_leaves=2**DEPTH, min_child_samples=2, verbose=-1, n_jobs=1
        )
        model.fit(known[:TRAINED_ON], label[:TRAINED_ON])
        folder = explicate_export.from_sklearn(
            model, known[:TRAINED_ON], repository=repository, name=_NAME, background_rows=BACKGROUND, quiet=True
        )
        bundle = verify_bundle(folder, model=_NAME, version=1)
        told, background = bundle.manifest.tabular.trees, bundle.background()
        print(f"{told.trees} trees, depth {told.depth}, {told.leaves:,} leaves", file=sys.stderr)
        counts = np.rint(background.weights * TRAINED_ON).astype(np.int64)
        assert counts.sum() == TRAINED_ON
        return cls(model, known[TRAINED_ON:], background.numbers.astype(np.float64), counts)

    def explainer(self, background: Floats) -> Any:
        """shap's, against some rows."""
        import shap

        rows = shap.maskers.Independent(background, max_samples=len(background))  # of an array it would take 100
        return shap.TreeExplainer(self.model, rows, feature_perturbation="interventional", model_output="raw")


def shap_values(explainer: Any, rows: pd.DataFrame) -> Floats:
    """Float64[rows, columns] of the margin of the second class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(explainer.shap_values(rows.to_numpy(np.float64), check_additivity=False))


def table_values(client: Client, rows: pd.DataFrame) -> Floats:
    """The same by the server: the difference of the two logits."""
    answer = client.explain_table(
        _NAME, {name: rows[name].tolist() for name in rows}, target=Contrast("True", "False"), timeout_s=600.0
    )
    assert answer.options.method == "tree-shap", answer.options.method
    return np.array(answer.attributions[0].values)


@dataclass
class Spent:
    """Seconds of each round for all rows: on the clock, and of the CPU in this process and in the server."""

    clock_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def add(self, began: tuple[float, float], server: ServerProcess, scale: float = 1.0) -> None:
        """Count what has passed since `now` was told."""
        for kept, then, later in zip((self.clock_s, self.cpu_s), began, now(server), strict=True):
            kept.append((later - then) * scale)


def now(server: ServerProcess) -> tuple[float, float]:
    """The clock and the CPU time of both processes, in seconds."""
    return time.perf_counter(), time.process_time() + server.cpu_s


def measure(counts: argparse.Namespace) -> list[Figure]:
    """Ours beside shap."""
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject.fitted(Path(folder), counts.rows)
        flags = ("--repository", folder, "--device", "cpu", "--max-explained-rows", str(counts.rows))
        with server_process(*flags) as server, Client(server.address) as client:
            few = subject.rows[: counts.parity_rows]
            whole = subject.explainer(np.repeat(subject.background, subject.counts, axis=0))
            off = float(np.abs(table_values(client, few) - shap_values(whole, few)).max())
            print(f"largest difference from shap on {len(few)} rows: {off:.1e}", file=sys.stderr)
            if off > CLOSE:
                raise SystemExit(f"the values differ by {off:.1e}, more than {CLOSE:g}")
            explainer, ours, theirs = subject.explainer(subject.background), Spent(), Spent()
            for _ in range(counts.rounds):
                began = now(server)
                table_values(client, subject.rows)
                ours.add(began, server)
                began = now(server)
                shap_values(explainer, subject.rows[: counts.peer_rows])
                theirs.add(began, server, counts.rows / counts.peer_rows)
    print(f"ExplainTable: {counts.rows / median(ours.clock_s):,.0f} rows a second", file=sys.stderr)
    what = f"{counts.rows:,} rows, {TREES} trees of depth {DEPTH}, {BACKGROUND} background rows"
    return [
        compared(what, "s", ours.clock_s, theirs.clock_s, "shap.TreeExplainer"),
        compared(what, "CPU s", ours.cpu_s, theirs.cpu_s, "shap.TreeExplainer"),
    ]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tree_shap", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows that are explained")
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="of them by shap, whose time is scaled")
    parser.add_argument("--parity-rows", type=int, default=PARITY_ROWS, help="of them whose values are compared")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print_table(measure(parser.parse_args()), name="tree_shap")


if __name__ == "__main__":
    main()
