"""kernel-shap against enumeration, against the shap library, and against what it promises on few evaluations."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from explicate_server.explain import GameInfo, StopReason, explain_game
from explicate_server.explain.estimators.kernel_shap import KernelShap
from support.exact_games import TableGame, model_like_game, random_game, relative_error

ALL = 2**20  # a budget that no game here exhausts


def estimator_for(game: TableGame, *, seed: int = 0) -> KernelShap:
    table = game.table.reshape(len(game.table), -1)
    return KernelShap(GameInfo(n_players=game.n_players, empty=table[0], full=table[-1], seed=seed))


def evaluated(game: TableGame, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    return game(coalitions).reshape(len(coalitions), -1)


@pytest.mark.parametrize("n", range(1, 11))
def test_with_all_coalitions_the_values_are_the_shapley_values(n: int) -> None:
    game = random_game(n, seed=n)
    explanation = explain_game(game, n, max_evaluations=2**n)
    assert explanation.values == pytest.approx(game.shapley_values, abs=1e-9)
    assert explanation.stop_reason is StopReason.EXACT
    assert explanation.converged
    assert explanation.evaluations == 2**n == len(set(game.asked)) == len(game.asked)
    assert np.array_equal(explanation.lower, explanation.upper)
    assert not explanation.standard_errors.any()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")  # shap's imports
@pytest.mark.slow  # shap's first call compiles for ten seconds
@pytest.mark.parametrize("n", [6, 10])
def test_with_all_coalitions_the_values_are_those_of_the_shap_library(n: int) -> None:
    import shap

    game = random_game(n, seed=100 + n, n_outputs=3)

    def model(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return game(rows > 0.5)

    background, instance = np.zeros((1, n)), np.ones((1, n))
    ours = explain_game(game, n, max_evaluations=2**n).values
    kernel = shap.KernelExplainer(model, background).shap_values(instance, nsamples=2**n, l1_reg=False, silent=True)
    assert ours == pytest.approx(kernel[0].T, abs=1e-6)
    exact = shap.explainers.ExactExplainer(model, shap.maskers.Independent(background))(instance)
    assert ours == pytest.approx(exact.values[0].T, abs=1e-9)


@pytest.mark.parametrize("budget_per_player", [0.5, 1, 2, 3, 4, 6, 8, 9, 11, 16, 40])
def test_values_sum_to_the_difference_of_the_ends_at_any_budget(budget_per_player: float) -> None:
    for seed, game in enumerate([random_game(10, seed=1), model_like_game(10, seed=2)]):
        budget = int(budget_per_player * 10)
        explanation = explain_game(game, 10, max_evaluations=budget, seed=seed)
        scale = np.abs(explanation.values).sum()
        assert explanation.quality.additivity_gap <= 1e-12 * scale
        assert explanation.evaluations <= budget


def test_outputs_explained_together_equal_outputs_explained_alone() -> None:
    # Without the surrogate, which begins at 4n and shares a kernel between the outputs.
    tables = np.stack([model_like_game(9, seed=s).table for s in range(3)], axis=1)
    together = explain_game(TableGame(tables), 9, max_evaluations=34)
    for output in range(3):
        alone = explain_game(TableGame(tables[:, output]), 9, max_evaluations=34)
        assert together.values[output] == pytest.approx(alone.values, abs=1e-9)
        assert together.standard_errors[output] == pytest.approx(alone.standard_errors, abs=1e-9)


def test_outputs_in_proportion_get_attributions_in_proportion_at_any_budget() -> None:
    table = model_like_game(9, seed=4).table
    constant = np.full_like(table, 7.0)
    for budget in (18, 50, 120, 300):
        alone = explain_game(TableGame(table), 9, max_evaluations=budget)
        together = explain_game(
            TableGame(np.stack((table, 1 - 3 * table, constant), axis=1)), 9, max_evaluations=budget
        )
        assert together.values == pytest.approx(np.outer([1, -3, 0], alone.values), abs=1e-9)
        assert together.standard_errors == pytest.approx(np.outer([1, 3, 0], alone.standard_errors), abs=1e-9)


def test_unrelated_outputs_are_explained_together_about_as_well_as_alone() -> None:
    games = [model_like_game(10, seed=s) for s in range(12)]
    alone, together = [], []
    for first in range(0, 12, 3):
        three = games[first : first + 3]
        joint = explain_game(TableGame(np.stack([game.table for game in three], axis=1)), 10, max_evaluations=120)
        for output, game in enumerate(three):
            truth = game.shapley_values
            alone.append(relative_error(explain_game(game, 10, max_evaluations=120).values, truth))
            together.append(relative_error(joint.values[output], truth))
    assert np.median(together) < 1.15 * np.median(alone)


def test_rounds_do_not_change_the_result() -> None:
    game = model_like_game(10, seed=5)
    at_once, in_parts = estimator_for(game), estimator_for(game)
    coalitions = at_once.ask(200)
    assert coalitions is not None
    at_once.tell(evaluated(game, coalitions))
    seen = set()
    for count in (100, 100):
        part = in_parts.ask(count)
        assert part is not None
        seen |= {row.tobytes() for row in part}
        in_parts.tell(evaluated(game, part))
    assert seen == {row.tobytes() for row in coalitions}
    assert in_parts.estimate().values == pytest.approx(at_once.estimate().values, abs=1e-12)


def test_an_additive_game_is_exact_from_few_coalitions() -> None:
    slopes = np.random.default_rng(0).normal(size=30)
    explanation = explain_game(lambda coalitions: 3 + coalitions @ slopes, 30, max_evaluations=320, tolerance=0.01)
    assert explanation.values == pytest.approx(slopes, abs=1e-12)
    assert explanation.stop_reason is StopReason.TOLERANCE
    assert explanation.evaluations == 90
    assert explanation.quality.held_out_r_squared == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 7), seed=st.integers(0, 2**32 - 1), a=st.floats(-5, 5), b=st.floats(-5, 5))
def test_exact_values_are_linear_in_the_game(n: int, seed: int, a: float, b: float) -> None:
    first, second = random_game(n, seed), random_game(n, seed + 1)
    both = explain_game(TableGame(a * first.table + b * second.table), n, max_evaluations=ALL, seed=seed)
    apart = [explain_game(game, n, max_evaluations=ALL, seed=seed).values for game in (first, second)]
    assert both.values == pytest.approx(a * apart[0] + b * apart[1], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 7), seed=st.integers(0, 2**32 - 1))
def test_exact_values_of_a_dummy_are_zero_and_of_twins_are_equal(n: int, seed: int) -> None:
    index = np.arange(2**n)
    table = random_game(n, seed).table
    dummy = TableGame(table[index & ~1])
    assert explain_game(dummy, n, max_evaluations=ALL).values[0] == pytest.approx(0, abs=1e-10)
    swapped = (index & ~3) | ((index & 1) << 1) | ((index >> 1) & 1)
    twins = explain_game(TableGame(table + table[swapped]), n, max_evaluations=ALL).values
    assert twins[0] == pytest.approx(twins[1], abs=1e-10)


def test_error_falls_with_the_budget_and_has_no_spike_at_two_per_player() -> None:
    games = [model_like_game(10, seed=s) for s in range(12)]
    errors = {}
    for per_player in (1, 2, 3, 4, 8, 16, 32):
        errors[per_player] = np.median(
            [
                relative_error(
                    explain_game(game, 10, max_evaluations=10 * per_player, seed=seed).values, game.shapley_values
                )
                for game in games
                for seed in range(2)
            ]
        )
    budgets = sorted(errors)
    assert all(errors[b] < errors[a] for a, b in pairwise(budgets)), errors
    # Nothing known is phi = Δ/n; no budget may do worse.
    unknown = np.median([relative_error(np.full(10, g.table[-1] - g.table[0]) / 10, g.shapley_values) for g in games])
    assert errors[1] < unknown
    assert errors[2] < 0.85


@pytest.mark.parametrize("per_player", [1.5, 2, 2.6, 4, 8, 11, 16, 32])
def test_intervals_cover_the_truth_as_often_as_they_say(per_player: float) -> None:
    covered = []
    for game_seed in range(12):
        game = model_like_game(10, seed=50 + game_seed)
        truth = game.shapley_values
        for seed in range(6):
            explanation = explain_game(game, 10, max_evaluations=int(10 * per_player), seed=seed)
            covered.append(((explanation.lower <= truth) & (truth <= explanation.upper)).mean())
    assert 0.92 <= np.mean(covered) <= (0.995 if per_player >= 8 else 1)  # below it they may be too wide


def test_a_higher_confidence_widens_the_intervals() -> None:
    game = model_like_game(10, seed=1)
    widths = []
    for confidence in (0.5, 0.95, 0.999):
        explanation = explain_game(game, 10, max_evaluations=120, confidence=confidence)
        widths.append(explanation.upper - explanation.lower)
    assert (widths[0] < widths[1]).all()
    assert (widths[1] < widths[2]).all()


def test_before_any_value_every_player_has_an_equal_share() -> None:
    attribution = estimator_for(random_game(5, seed=0)).estimate()
    game = random_game(5, seed=0)
    assert attribution.values == pytest.approx(np.full((1, 5), (game.table[-1] - game.table[0]) / 5))
    assert np.isnan(attribution.standard_errors).all()
    assert np.isnan(attribution.lower).all()
    assert np.isnan(attribution.held_out_r_squared).all()
    assert not attribution.exact


def test_only_pairs_with_both_halves_count() -> None:
    game = model_like_game(8, seed=3)
    complete, partial = estimator_for(game), estimator_for(game)
    coalitions = complete.ask(60)
    assert coalitions is not None
    complete.tell(evaluated(game, coalitions))
    more = partial.ask(80)
    assert more is not None
    assert np.array_equal(more[:60], coalitions)
    values = evaluated(game, more)
    told = np.arange(80) < 60
    told[61::2] = True  # second halves without their first
    values[~told] = np.nan
    partial.tell(values, told)
    assert partial.estimate().values == pytest.approx(complete.estimate().values, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 9, 30])
def test_any_number_of_evaluated_rows_gives_finite_values(n: int) -> None:
    random = np.random.default_rng(n)
    for n_told in (0, 1, 2, 3, 5, 8, 20):
        estimator = KernelShap(GameInfo(n_players=n, empty=np.zeros(2), full=np.array([1.0, 0.0])))
        coalitions = estimator.ask(40)
        assert coalitions is not None
        told = np.zeros(len(coalitions), np.bool_)
        told[random.permutation(len(coalitions))[:n_told]] = True
        estimator.tell(np.where(told[:, None], random.normal(size=(len(coalitions), 2)), np.nan), told)
        attribution = estimator.estimate()
        assert np.isfinite(attribution.values).all()
        assert attribution.values.sum(axis=1) == pytest.approx([1, 0], abs=1e-12)


def test_hundreds_of_players_do_not_overflow() -> None:
    slopes = np.random.default_rng(0).normal(size=(400, 2))

    def game(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.tanh(coalitions @ slopes / 20)

    explanation = explain_game(game, 400, max_evaluations=4400)
    assert np.isfinite(explanation.standard_errors).all()
    assert explanation.quality.additivity_gap < 1e-12
    assert np.corrcoef(explanation.values[0], slopes[:, 0])[0, 1] > 0.9


def test_a_count_of_one_gives_no_rows_and_telling_without_asking_is_refused() -> None:
    estimator = estimator_for(random_game(5, seed=0))
    coalitions = estimator.ask(1)
    assert coalitions is not None
    assert coalitions.shape == (0, 5)
    estimator.tell(np.zeros((0, 1)))
    with pytest.raises(ValueError, match="ask for coalitions first"):
        estimator.tell(np.zeros((0, 1)))


def test_held_out_r_squared_is_that_of_refits_without_the_pair() -> None:
    game = model_like_game(7, seed=9)
    estimator = estimator_for(game)
    coalitions = estimator.ask(78)  # above 10 per player with the ends, so no penalty is chosen anew without a pair
    assert coalitions is not None
    values = game(coalitions)
    estimator.tell(values[:, None])
    computed = estimator.estimate().held_out_r_squared[0]
    # By hand: weighted least squares with the sum constraint as a heavy row, once without each pair.
    sizes = np.minimum(coalitions.sum(axis=1), 7 - coalitions.sum(axis=1))
    weights = 1 / (np.bincount(sizes)[sizes] * sizes * (7 - sizes))
    empty, full = game.table[0], game.table[-1]
    signs = 2.0 * coalitions[::2] - 1
    errors = []
    for pair in range(39):
        kept = np.arange(39) != pair
        roots = np.sqrt(weights[::2][kept])
        rows = np.vstack([roots[:, None] * signs[kept], np.full((1, 7), 1e6)])
        differences = (values[::2] - values[1::2])[kept]
        phi = np.linalg.lstsq(rows, np.append(roots * differences, 1e6 * (full - empty)))[0]
        errors += list(values[2 * pair : 2 * pair + 2] - empty - coalitions[2 * pair : 2 * pair + 2] @ phi)
    # The ends are met, and count as much as the coalitions of one player and of all but one.
    values, errors = np.append(values, [empty, full]), [*errors, 0.0, 0.0]
    weights = np.append(weights, np.full(2, weights[sizes == 1].sum() / 2))
    mean = np.average(values, weights=weights)
    expected = 1 - (weights @ np.square(errors)) / (weights @ (values - mean) ** 2)
    assert computed == pytest.approx(expected, abs=1e-6)


def test_halves_are_the_fits_to_two_disjoint_halves_of_the_pairs() -> None:
    slopes = np.random.default_rng(0).normal(size=12)
    estimator = KernelShap(GameInfo(n_players=12, empty=np.zeros(1), full=np.array([slopes.sum()])))
    assert estimator.halves() is None
    coalitions = estimator.ask(300)
    assert coalitions is not None
    # An outlier in one row reaches the values of one half only; the other one stays right.
    values = coalitions @ slopes
    values[60] += 5
    estimator.tell(values[:, None])
    halves = estimator.halves()
    assert halves is not None
    errors = sorted(np.abs(half[0] - slopes).max() for half in halves)
    assert errors[0] < 1e-9
    assert errors[1] > 0.01
    assert [half.sum() for half in halves] == pytest.approx([slopes.sum()] * 2)


def test_there_are_no_halves_without_sampling() -> None:
    game = random_game(5, seed=0)
    estimator = estimator_for(game)
    coalitions = estimator.ask(30)
    assert coalitions is not None
    estimator.tell(evaluated(game, coalitions))
    assert estimator.estimate().exact
    assert estimator.halves() is None
