"""lime-stratified against ridge regression over all coalitions, and beside lime over several seeds."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from explicate_server.explain import GameInfo, StopReason, explain_game
from explicate_server.explain.estimators.lime_stratified import LimeStratified
from explicate_server.explain.estimators.local_model import kernel_weights
from support.exact_games import GOLDEN, TableGame, golden_games, model_like_game, random_game

SEEDS = range(6)


def every_coalition(n: int) -> NDArray[np.float64]:
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)


def expected_weights(presence: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
    """What a sample of lime weighs each coalition on average, when the text itself comes once: float64[2^n]."""
    n = presence.shape[1]
    absent = n - presence.sum(axis=1).astype(int)
    often = np.array([1.0] + [(n_rows - 1) / n / comb(n, k) for k in range(1, n + 1)])
    return often[absent] * kernel_weights(presence)


def limit(game: TableGame, n_rows: int) -> Ridge:
    presence = every_coalition(game.n_players)
    return Ridge(alpha=1).fit(presence, game.table, sample_weight=expected_weights(presence, n_rows))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("n_rows", [256, 1000])
def test_all_coalitions_give_the_fit_that_limes_samples_scatter_around(n: int, n_rows: int) -> None:
    game = model_like_game(n, seed=n) if n > 2 else random_game(n, seed=n)
    explanation = explain_game(game, n, method="lime-stratified", max_evaluations=n_rows)
    ridge = limit(game, n_rows)
    assert explanation.values == pytest.approx(ridge.coef_, abs=1e-9)
    assert explanation.baseline_value == pytest.approx(ridge.intercept_, abs=1e-9)
    assert explanation.evaluations == 2**n
    assert explanation.stop_reason is StopReason.EXACT
    assert not explanation.standard_errors.any()


def test_the_mean_over_many_samples_of_lime_is_that_fit_too() -> None:
    game = model_like_game(8, seed=3)
    means = np.mean(
        [explain_game(game, 8, method="lime", max_evaluations=400, seed=s).values for s in range(40)], axis=0
    )
    stratified = explain_game(game, 8, method="lime-stratified", max_evaluations=400).values
    assert means == pytest.approx(stratified, abs=0.03 * np.ptp(stratified))


def steadiness(game: TableGame, method: str, n_rows: int) -> tuple[float, float]:
    """Mean deviation between seeds over the range of the values, and mean Jaccard index of the top five."""
    n = game.n_players
    values = np.array(
        [explain_game(game, n, method=method, max_evaluations=n_rows, seed=seed).values for seed in SEEDS]
    )
    tops = [set(np.argsort(-np.abs(one))[:5].tolist()) for one in values]
    jaccard = np.mean([len(a & b) / len(a | b) for a, b in combinations(tops, 2)])
    return float(values.std(axis=0, ddof=1).mean() / np.ptp(values.mean(axis=0))), float(jaccard)


def assert_steadier(games: list[TableGame], n_rows: int, *, by: float) -> None:
    lime = np.mean([steadiness(game, "lime", n_rows) for game in games], axis=0)
    stratified = np.mean([steadiness(game, "lime-stratified", n_rows) for game in games], axis=0)
    assert stratified[0] < by * lime[0]
    assert stratified[1] >= lime[1] - 0.03


def test_answers_differ_less_between_seeds_than_those_of_lime() -> None:
    assert_steadier([model_like_game(14, seed=seed) for seed in range(4)], 1000, by=0.85)


@pytest.mark.slow
@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden games are not beside this checkout")
def test_answers_on_real_games_differ_less_between_seeds_than_those_of_lime() -> None:
    assert_steadier(golden_games("distilbert_imdb_14_tokens.npz")[:6], 1000, by=0.85)


def test_rows_come_in_proportion_to_their_weight_and_a_larger_budget_extends_a_smaller_one() -> None:
    n = 40
    game = GameInfo(n_players=n, empty=np.array([np.nan]), full=np.ones(1), seed=3)
    rows = LimeStratified(game, 2000).ask(10**6)
    assert rows is not None
    fewer = LimeStratified(game, 500).ask(10**6)
    assert np.array_equal(rows[: len(fewer)], fewer)  # type: ignore[arg-type]
    assert len({row.tobytes() for row in rows}) == len(rows) == 1999
    sizes = np.bincount(n - rows.sum(axis=1), minlength=n + 1)
    weights = kernel_weights((n - np.arange(n + 1)[:, None]) / n)[1:]
    # One player absent: all 40 coalitions are drawn. The others share the rest of the rows by their weights.
    expected = (1999 - n) * weights[1:] / weights[1:].sum()
    assert sizes[1] == n
    assert np.abs(sizes[2:] - expected).max() <= 1


def test_intervals_cover_the_fit_to_all_coalitions() -> None:
    game = model_like_game(11, seed=1)
    target = limit(game, 300).coef_
    covered = []
    for seed in range(30):
        explanation = explain_game(game, 11, method="lime-stratified", max_evaluations=300, seed=seed)
        covered.append((explanation.lower <= target) & (target <= explanation.upper))
    assert 0.92 <= np.mean(covered) <= 0.99


def test_rows_that_were_not_evaluated_are_left_out() -> None:
    game = model_like_game(10, seed=0)
    estimator = LimeStratified(GameInfo(n_players=10, empty=np.array([np.nan]), full=game.table[-1:]), 120)
    coalitions = estimator.ask(1000)
    assert coalitions is not None
    told = np.arange(len(coalitions)) % 3 > 0
    estimator.tell(np.where(told, game(coalitions), np.nan)[:, None], told)
    presence = np.concatenate((np.ones((1, 10)), coalitions[told]))
    absent = 10 - presence.sum(axis=1).astype(int)
    counts = np.bincount(absent, minlength=11)
    totals = np.array([1.0] + [119 / 10] * 10) * kernel_weights((10 - np.arange(11)[:, None]) / 10)
    weights = (totals / np.maximum(counts, 1))[absent] * totals.sum() / totals[counts > 0].sum()
    ridge = Ridge(alpha=1).fit(presence, game(presence > 0.5), sample_weight=weights)
    attribution = estimator.estimate()
    assert attribution.values[0] == pytest.approx(ridge.coef_, abs=1e-9)
    assert attribution.baseline[0] == pytest.approx(ridge.intercept_, abs=1e-9)


def test_before_any_row_nothing_depends_on_any_player() -> None:
    attribution = LimeStratified(GameInfo(n_players=4, empty=np.array([np.nan]), full=np.array([0.7])), 100).estimate()
    assert not attribution.values.any()
    assert attribution.baseline == pytest.approx([0.7])
    assert np.isnan(attribution.standard_errors).all()
