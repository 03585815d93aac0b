"""`make demo-tabular`: from two tables to explained predictions, each step a command that can be repeated by hand.

Trains on credits of a bank (good or bad?) and on patients with diabetes (how far will it progress?), exports both
models, serves them on a free port, and predicts and explains rows of the test splits, which they have never seen.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import say

CREDIT, DIABETES = "credit", "diabetes"
RUNS = {model: Path("runs") / model for model in (CREDIT, DIABETES)}
_PREDICTED = 5  # rows shown as a table before some are explained


def main() -> int:
    """Run the demo; returns the exit code."""
    by_hand = f"explain --model {CREDIT} --jsonl {RUNS[CREDIT] / 'held_out.jsonl'} --html credit.html"
    return demo_steps.run(RUNS, _show, _told, by_hand)


def _told() -> str:
    return f"{_compared(CREDIT, 'auroc', 'AUROC')}\n{_compared(DIABETES, 'r2', 'R²')}"


def _show(address: str) -> None:
    _show_credit(address)
    _show_diabetes(address)


def _show_credit(address: str) -> None:
    rows = demo_steps.held_out(RUNS[CREDIT])
    _predict(address, CREDIT, rows[:_PREDICTED])
    for label in ("good", "bad"):
        say(f"A test row; what became of the credit: {label}")
        _explain(address, CREDIT, next(row for row in rows if row["label"] == label), "--target", "bad")


def _show_diabetes(address: str) -> None:
    row, *_ = demo_steps.held_out(RUNS[DIABETES])
    say(f"A test row; the progression that was measured after a year: {row['label']:g}")
    _explain(address, DIABETES, row)


def _predict(address: str, model: str, rows: Sequence[dict[str, Any]]) -> None:
    say(f"{len(rows)} test rows; what became of the credits: {', '.join(row['label'] for row in rows)}")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
        file.flush()
        asked = ("--server", address, "--model", model, "--format", "text", "--jsonl", file.name)
        demo_steps.explicate("predict", *asked, shown=f"predict --model {model} --jsonl ROWS")


def _explain(address: str, model: str, row: dict[str, Any], *options: str) -> None:
    asked = ("--server", address, "--model", model, *options, "--format", "text", "--row", json.dumps(row["row"]))
    shown = " ".join(["explain", "--model", model, *options, "--row", "ROW"])
    demo_steps.explicate("explain", *asked, shown=shown)


def _compared(model: str, metric: str, name: str) -> str:
    measured = demo_steps.metrics(RUNS[model])
    trees = measured["gradient_boosted_trees"]["test"][metric]
    return f"{model}: test {name} {measured['test'][metric]:.3f}, gradient-boosted trees {trees:.3f}"


if __name__ == "__main__":
    sys.exit(main())
