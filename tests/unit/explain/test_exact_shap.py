"""exact-shap against enumeration and against shap's ExactExplainer."""

from types import ModuleType

import numpy as np
import pytest

from explicate_server.explain import GameInfo, StopReason, explain_game
from explicate_server.explain.estimators.exact_shap import ExactShap, shapley_values, table_index
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.game import TooFewEvaluationsError
from support.exact_games import model_like_game, random_game


@pytest.mark.parametrize("n", [1, 2, 3, 6, 11])
def test_values_are_the_shapley_values_of_any_game(n: int) -> None:
    game = random_game(n, seed=n, n_outputs=3)
    explanation = explain_game(game, n, method="exact-shap")
    assert explanation.values == pytest.approx(game.shapley_values, abs=1e-12)
    assert explanation.evaluations == 2**n
    assert explanation.stop_reason is StopReason.EXACT
    assert explanation.converged
    assert not explanation.standard_errors.any()
    assert np.array_equal(explanation.lower, explanation.values)
    assert np.array_equal(explanation.upper, explanation.values)


@pytest.mark.slow  # shap's first call compiles for ten seconds
def test_values_are_those_of_shaps_exact_explainer(shap: ModuleType) -> None:
    game = model_like_game(9, seed=4)
    masker = shap.maskers.Independent(np.zeros((1, 9)))
    reference = shap.explainers.ExactExplainer(lambda rows: game(rows > 0.5), masker)(np.ones((1, 9))).values[0]
    assert explain_game(game, 9, method="exact-shap").values == pytest.approx(reference, abs=1e-9)


def test_a_table_of_equal_values_gives_zeros_to_the_last_bit() -> None:
    assert not shapley_values(np.full((2**7, 2), 0.1)).any()


def test_bit_i_of_a_tables_index_is_player_i() -> None:
    assert table_index(np.array([[True, False, False], [False, False, True], [True, True, True]])).tolist() == [1, 4, 7]


def test_stopped_half_way_it_answers_what_kernel_shap_would() -> None:
    game = model_like_game(8, seed=0)
    ends = game(np.array([[False] * 8, [True] * 8]))
    information = GameInfo(n_players=8, empty=ends[:1], full=ends[1:], seed=5)
    ours, sampled = ExactShap(information), KernelShap(information)
    for count in (40, 61):
        coalitions = ours.ask(count)
        assert coalitions is not None
        assert np.array_equal(coalitions, sampled.ask(count))
        ours.tell(game(coalitions)[:, None])
        sampled.tell(game(coalitions)[:, None])
    attribution, expected = ours.estimate(), sampled.estimate()
    assert not attribution.exact
    assert np.array_equal(attribution.values, expected.values)
    assert np.array_equal(attribution.lower, expected.lower)
    halves, expected_halves = ours.halves(), sampled.halves()
    assert halves is not None
    assert expected_halves is not None
    assert np.array_equal(halves, expected_halves)


def test_with_one_value_missing_it_is_not_exact() -> None:
    game = model_like_game(5, seed=0)
    ends = game(np.array([[False] * 5, [True] * 5]))
    estimator = ExactShap(GameInfo(n_players=5, empty=ends[:1], full=ends[1:]))
    coalitions = estimator.ask(30)
    assert coalitions is not None
    estimator.tell(game(coalitions)[:, None], np.arange(30) != 7)
    attribution = estimator.estimate()
    assert not attribution.exact
    assert estimator.ask(30) is None
    assert attribution.additivity_gap(ends[1:]).max() < 1e-12


def test_a_budget_below_all_coalitions_is_refused() -> None:
    with pytest.raises(
        TooFewEvaluationsError, match=r"max_evaluations is 1,000; exact-shap needs all 2\^10 coalitions"
    ):
        explain_game(random_game(10, seed=0), 10, method="exact-shap", max_evaluations=1000)
    with pytest.raises(TooFewEvaluationsError, match=r"2\^400 coalitions"):
        explain_game(lambda rows: rows.sum(axis=1), 400, method="exact-shap")
