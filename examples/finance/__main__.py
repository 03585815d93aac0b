"""Mortgages: who is denied, alike for applicants of any race, and the reasons for a refusal in sentences."""

import sys
from collections.abc import Mapping
from typing import Any

from examples import worked_case
from examples.demo_steps import say
from explicate import Client


def _of_another_race(client: Client, row: Mapping[str, Any]) -> None:
    """Race and marital status may be given, and change nothing."""
    say("The same applicant, were race and marital status other ones:")
    rows = [{**row, "black": black, "single": single} for black in ("no", "yes") for single in ("no", "yes")]
    for given, answer in zip(rows, client.predict("finance", rows).predictions, strict=True):
        denied = next(score.probability for score in answer.scores if score.label == "yes")
        print(f"  black: {given['black']:3}, single: {given['single']:3}: denial {denied:.3f}")


CASE = worked_case.Case(
    name="finance",
    chosen=lambda denied, answer: denied == answer.label == "yes",
    told="An applicant of the test rows whom the bank denied, and so does the model:",
    explained=("--target", "no", "--reasons", "against"),
    more=_of_another_race,
)

if __name__ == "__main__":
    sys.exit(worked_case.run(CASE))
