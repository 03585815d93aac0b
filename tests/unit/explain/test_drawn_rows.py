"""Rows that a game draws are asked for by number, so that two with the same players are two."""

from typing import Any

import numpy as np
import pytest

from explicate_server.explain import explain_game
from explicate_server.inference.evaluations import coalition_keys


@pytest.mark.parametrize("n", [1, 7, 8, 40])
def test_every_drawn_row_is_asked_for_once_and_the_input_itself_first(n: int) -> None:
    drawn = np.random.default_rng(n).random((300, n)) < 0.5
    drawn[0] = True
    asked: list[Any] = []

    def value(numbers: Any) -> Any:
        asked.append(numbers)
        return drawn[numbers].sum(axis=1)

    explanation = explain_game(value, n, method="lime", reads="table", drawn=drawn, max_evaluations=300)
    assert np.concatenate(asked).tolist() == list(range(300))
    assert explanation.evaluations == 300
    assert explanation.instance_value == n
    assert explanation.quality.infidelity is not None
    assert explanation.quality.infidelity < 0.05  # the game is additive


def test_no_two_drawn_rows_are_kept_under_one_key() -> None:
    numbers = np.arange(70_000)
    keys = coalition_keys(numbers)
    assert len(set(keys)) == len(keys)
    assert coalition_keys(numbers[[69_999, 5, 65_536]]) == [keys[69_999], keys[5], keys[65_536]]
