"""Which players are certain to be the largest: the rule by hand, and how often it is wrong."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, t

from explicate_server.explain import Attribution, GameInfo
from explicate_server.explain.attribution import CERTAINTY
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.statistics.certainty import certain_top
from support.exact_games import model_like_game

TOLERATED = 1 - CERTAINTY


def estimated(
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    correlations: NDArray[np.float64] | None = None,
    *,
    degrees_of_freedom: float = 1e9,
    confidence: float = 0.95,
) -> Attribution:
    """Estimates of several outputs, float64[outputs, n]."""
    return Attribution.sampled(
        values,
        np.broadcast_to(errors, values.shape),
        degrees_of_freedom=degrees_of_freedom,
        confidence=confidence,
        baseline=np.zeros(len(values)),
        held_out_r_squared=np.full(len(values), np.nan),
        additive=True,
        correlations=None if correlations is None else np.broadcast_to(correlations, (*values.shape, values.shape[1])),
    )


def largest(
    values: list[float], errors: float, correlation: float | None, *, freedom: float = 1e9, confidence: float = 0.95
) -> bool:
    """Whether it is certain which of two players is the larger one."""
    matrix = None if correlation is None else np.array([[1, correlation], [correlation, 1]])
    attribution = estimated(
        np.array([values]), np.array([errors]), matrix, degrees_of_freedom=freedom, confidence=confidence
    )
    return bool(certain_top(attribution)[0, 0])


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("correlation", [None, -0.8, 0.0, 0.8])
def test_two_players_are_told_apart_when_their_difference_by_size_is_clear_of_zero(
    signs: tuple[int, int], correlation: float | None
) -> None:
    # The errors of 5 and of 5 - gap; the sizes' difference has the correlation of the values times both signs.
    variance = 4.0 if correlation is None else 2 - 2 * correlation * signs[0] * signs[1]
    gap = norm.ppf(CERTAINTY) * np.sqrt(variance)
    for factor, certain in ((1.01, True), (0.99, False)):
        values = [signs[0] * 50.0, signs[1] * (50.0 - factor * gap)]
        assert largest(values, 1.0, correlation) is certain
        assert largest(values[::-1], 1.0, correlation) is certain


def test_a_player_that_may_have_either_sign_is_compared_with_both() -> None:
    # With this correlation the difference is known and the sum is not: 2 - (-0.1) is, 2 + (-0.1) has an error of 2.
    assert not largest([2.0, -0.1], 1.0, 1.0)
    assert not largest([2.0, 0.1], 1.0, 1.0)
    assert largest([5.0, 0.1], 1.0, 1.0)


def test_few_degrees_of_freedom_and_a_higher_confidence_ask_for_more() -> None:
    gap = norm.ppf(CERTAINTY) * np.sqrt(2) * 1.01
    assert largest([50.0, 50 - gap], 1.0, 0.0)
    assert not largest([50.0, 50 - gap], 1.0, 0.0, freedom=5)
    assert largest([50.0, 50 - t.ppf(CERTAINTY, 5) * np.sqrt(2) * 1.01], 1.0, 0.0, freedom=5)
    assert not largest([50.0, 50 - gap], 1.0, 0.0, confidence=0.999)


def test_doubts_of_all_pairs_across_the_line_are_summed() -> None:
    # Each of the two pairs alone would do; a third player far below adds nothing.
    gap = norm.isf(0.7 * TOLERATED) * np.sqrt(2)
    assert certain_top(estimated(np.array([[50.0, 50 - gap, 1.0]]), np.ones(1), np.eye(3)))[0].tolist() == [True] * 3
    three = certain_top(estimated(np.array([[50.0, 50 - gap, 50 - gap]]), np.ones(1), np.eye(3)))[0].tolist()
    assert three == [False, False, True]


def test_values_that_are_known_are_certain_and_unknown_ones_are_not() -> None:
    values = np.array([[3.0, -3.0, 1.0]])
    assert certain_top(Attribution.certain(values, True, baseline=np.zeros(1), additive=True)).all()
    known = np.array([True, False, True])
    assert not certain_top(Attribution.certain(values, known, baseline=np.zeros(1), additive=True)).any()
    assert certain_top(estimated(np.zeros((2, 0)), np.ones(1))).shape == (2, 0)


def test_separate_intervals_of_certainty_are_as_wide_as_the_level_asks_or_wider() -> None:
    errors = np.array([[1.0, 2.0]])
    for confidence, level in ((0.5, CERTAINTY), (0.95, CERTAINTY), (0.999, 0.999)):
        attribution = estimated(np.zeros((1, 2)), errors, degrees_of_freedom=7, confidence=confidence)
        assert np.allclose(attribution.certain_half_widths, t.ppf(0.5 + level / 2, 7) * errors)


def test_outputs_are_judged_each_alone_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    values, errors = random.normal(size=(7, 5)), random.uniform(0, 0.5, (7, 5))
    halves = random.normal(size=(7, 5, 5))
    covariances = halves @ halves.transpose(0, 2, 1)
    scales = np.sqrt(np.einsum("oii->oi", covariances))
    correlations = covariances / scales[:, :, None] / scales[:, None, :]
    together = certain_top(estimated(values, errors, correlations))
    monkeypatch.setattr("explicate_server.explain.statistics.certainty._PAIRS_AT_ONCE", 50)
    assert np.array_equal(certain_top(estimated(values, errors, correlations)), together)
    alone = [certain_top(estimated(values[[i]], errors[[i]], correlations[[i]]))[0] for i in range(7)]
    assert np.array_equal(alone, together)
    assert 0 < together[:, :-1].mean() < 1


@pytest.mark.parametrize("correlation", [-0.2, 0.0, 0.8])
def test_it_is_wrong_no_more_often_than_tolerated_where_values_are_nearly_equal(correlation: float) -> None:
    random = np.random.default_rng(1)
    truth = np.array([9.0, 4.0001, -4.0, 4.0 - 1e-4, 1.0])
    matrix = np.full((5, 5), correlation) + (1 - correlation) * np.eye(5)
    values = random.multivariate_normal(truth, matrix, size=20000)
    certain = certain_top(estimated(values, np.ones(1), matrix))[:, 1]
    first_two = np.sort(np.argsort(-np.abs(values), axis=1)[:, :2], axis=1)
    wrong = certain & (first_two != [0, 1]).any(axis=1)
    assert 0.001 < wrong.mean() <= TOLERATED


def test_the_errors_that_kernel_shap_gives_hold_for_differences_too() -> None:
    within, narrower = [], []
    for seed in range(40):
        game = model_like_game(10, seed=seed % 8)
        ends = game.table[[0, -1]]
        estimator = KernelShap(GameInfo(n_players=10, empty=ends[:1], full=ends[1:], seed=seed))
        coalitions = estimator.ask(158)
        assert coalitions is not None
        estimator.tell(game(coalitions)[:, None])
        attribution = estimator.estimate()
        assert attribution.correlations is not None
        errors = attribution.standard_errors[0]
        covariances = attribution.correlations[0] * errors * errors[:, None]
        assert np.allclose(covariances.diagonal(), errors**2)
        # Values that sum to a known number have errors that sum to 0.
        assert np.allclose(covariances.sum(axis=1), 0, atol=1e-9 * errors.max() ** 2)
        first, second = np.triu_indices(10, 1)
        of_differences = np.sqrt(errors[first] ** 2 + errors[second] ** 2 - 2 * covariances[first, second])
        missed = np.abs(np.subtract(*(attribution.values[0] - game.shapley_values)[np.array([first, second])]))
        within.append(missed <= t.ppf(0.975, attribution.degrees_of_freedom[0]) * of_differences)
        narrower.append(of_differences / (errors[first] + errors[second]))
    assert 0.92 < np.mean(within) < 0.98
    assert np.mean(narrower) < 0.8
