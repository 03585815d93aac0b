"""`make demo-credit`: credits by a model that a bank could defend, from training to answers that are exact.

The network is a sum over columns; income, assets and years in the job only ever speak for an applicant, debt only
against one; age and marital status are not shown to it. The demo trains and exports it, explains an application that it
would refuse, and raises the applicant's income step by step.
"""

import json
import sys
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import say
from explicate import Client

MODEL = "credit-additive"
RUN = Path("runs") / MODEL
_INCOMES = (25, 50, 100, 200, 400)
_FORBIDDEN = ("Age", "Marital")


def main() -> int:
    """Run the demo; returns the exit code."""
    by_hand = f"explain --model {MODEL} --jsonl {RUN / 'held_out.jsonl'} --html {MODEL}.html"
    return demo_steps.run({MODEL: RUN}, _show, _told, by_hand)


def _told() -> str:
    measured = demo_steps.metrics(RUN)
    trees = measured["gradient_boosted_trees"]["test"]["auroc"]
    return f"{MODEL}: test AUROC {measured['test']['auroc']:.3f}, boosted trees as monotone {trees:.3f}"


def _show(address: str) -> None:
    row = next(row["row"] for row in demo_steps.held_out(RUN) if row["label"] == "bad")
    say("A test row that became a bad credit: every number is exact, from one row of the model")
    asked = ("--server", address, "--model", MODEL, "--target", "good", "--format", "text", "--row", json.dumps(row))
    demo_steps.explicate("explain", *asked, shown=f"explain --model {MODEL} --target good --row ROW")
    with Client(address) as client:
        _raise_income(client, row)
        _tell_forbidden(client, row)


def _raise_income(client: Client, row: dict[str, Any]) -> None:
    """More income never counts against the applicant."""
    say("The same applicant with other incomes:")
    for income, prediction in zip(
        _INCOMES, client.predict(MODEL, [{**row, "Income": one} for one in _INCOMES]).predictions, strict=True
    ):
        good = next(score for score in prediction.scores if score.label == "good")
        print(f"  income {income:>3}: good {good.probability:.3f}")


def _tell_forbidden(client: Client, row: dict[str, Any]) -> None:
    """Forbidden columns may be given, and add nothing."""
    explanation = client.explain(MODEL, row, target="good").explanation
    values = explanation.attributions[0].values
    added = {feature.name: value for feature, value in zip(explanation.features, values, strict=True)}
    say(f"Forbidden columns add {', '.join(f'{name} {added[name]:g}' for name in _FORBIDDEN)}")


if __name__ == "__main__":
    sys.exit(main())
