"""Demand: how many child car seats a store sells, what drives it, and what another price would do."""

import sys
from collections.abc import Mapping
from typing import Any

from examples import worked_case
from examples.demo_steps import say
from explicate import Client

_FEW = 6.0  # thousand seats; half of the stores sell 7.5
_PRICES = (80, 100, 120, 140)


def _other_prices(client: Client, row: Mapping[str, Any]) -> None:
    """The demand curve of one store; it never rises, for the model is monotone in the price."""
    say("The same store at other prices:")
    answers = client.predict("retail", [{**row, "Price": price} for price in _PRICES]).predictions
    for price, answer in zip(_PRICES, answers, strict=True):
        print(f"  {price}: {answer.value:.2f} thousand seats")


CASE = worked_case.Case(
    name="retail",
    chosen=lambda _sold, answer: answer.value is not None and answer.value < _FEW,
    told="A store that the model has never seen, and expects to sell few:",
    explained=("--reasons", "--top", "5"),
    more=_other_prices,
)

if __name__ == "__main__":
    sys.exit(worked_case.run(CASE))
