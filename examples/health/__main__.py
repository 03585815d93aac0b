"""Screening for diabetes: few of the ill are missed, and each answer says what it rests on."""

import sys
from collections.abc import Mapping
from typing import Any

from examples import worked_case
from examples.demo_steps import say
from explicate import Client


def _other_sugar(client: Client, row: Mapping[str, Any]) -> None:
    """More sugar in the blood never speaks against diabetes, for the model is monotone in it."""
    say("The same patient with other blood sugar:")
    for glu in (90, 110, 130, 150, 170):
        (answer,) = client.predict("health", [{**row, "glu": glu}]).predictions
        ill = next(score.probability for score in answer.scores if score.label == "diabetes")
        print(f"  {glu}: diabetes {ill:.3f}, answered: {answer.label}")


CASE = worked_case.Case(
    name="health",
    chosen=lambda label, answer: label == answer.label == "diabetes" and answer.scores[0].probability < 0.5,
    told="A patient of the test rows who has diabetes, and whom a threshold of .5 would have missed:",
    explained=("--target", "diabetes", "--reasons"),
    more=_other_sugar,
)

if __name__ == "__main__":
    sys.exit(worked_case.run(CASE))
