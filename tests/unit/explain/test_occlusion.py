"""occlusion by its definition."""

import numpy as np
import pytest

from explicate_server.explain import GameInfo, StopReason, explain_game
from explicate_server.explain.estimators.occlusion import Occlusion
from support.exact_games import random_game


@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_value_is_what_the_output_loses_without_the_player(n: int) -> None:
    game = random_game(n, seed=n, n_outputs=2)
    explanation = explain_game(game, n, method="occlusion")
    full = 2**n - 1
    expected = np.array([game.table[full] - game.table[full ^ (1 << player)] for player in range(n)])
    assert explanation.values == pytest.approx(expected.T, abs=1e-15)
    assert explanation.baseline_value == pytest.approx(game.table[0])
    assert explanation.evaluations == (n + 2 if n > 1 else 2)
    assert explanation.stop_reason is StopReason.EXACT
    assert explanation.quality.additivity_gap is None
    assert explanation.quality.held_out_r_squared is None


def test_players_that_were_not_reached_have_value_zero_and_no_error() -> None:
    game = random_game(6, seed=0)
    estimator = Occlusion(GameInfo(n_players=6, empty=game.table[:1], full=game.table[-1:]))
    coalitions = estimator.ask(4)
    assert coalitions is not None
    estimator.tell(game(coalitions)[:, None], np.array([True, False, True, True]))
    attribution = estimator.estimate()
    assert not attribution.exact
    assert np.isnan(attribution.standard_errors[0]).tolist() == [False, True, False, False, True, True]
    assert (attribution.values[0] == 0).tolist() == [False, True, False, False, True, True]
    rest = estimator.ask(10)
    assert rest is not None
    assert len(rest) == 2
    assert estimator.ask(1) is None
    assert estimator.halves() is None
