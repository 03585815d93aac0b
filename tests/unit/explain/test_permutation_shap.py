"""permutation-shap against enumeration and against shap's PermutationExplainer on the same orders."""

from itertools import product
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import t as student_t

from explicate_server.explain import GameInfo, StopReason, explain_game
from explicate_server.explain.estimators.permutation_shap import PermutationShap
from explicate_server.explain.statistics.coalitions import stream
from support.exact_games import TableGame, model_like_game, random_game, relative_error


def orders_within(n: int, max_evaluations: int, seed: int) -> list[np.ndarray]:
    """The orders that the budget reaches when no coalition is paid for twice."""
    generator, orders = stream(seed, 0), []
    met = {frozenset[int](), frozenset(range(n))}
    while True:
        order = generator.permutation(n)
        prefixes = [frozenset(order[:k].tolist()) for k in range(1, n)]
        met |= {*prefixes, *(frozenset(range(n)) - prefix for prefix in prefixes)}
        if len(met) > max_evaluations:
            return orders
        orders.append(order)
        if len(met) == max_evaluations:
            return orders


def second_order_game(n: int, seed: int) -> TableGame:
    random = np.random.default_rng(seed)
    presence = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    return TableGame(1 + presence @ random.normal(size=n) + ((presence @ random.normal(size=(n, n))) * presence).sum(1))


@pytest.mark.parametrize("seed", [0, 3])
def test_values_are_those_of_shaps_permutation_explainer_on_the_same_orders(
    seed: int, shap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, budget = 10, 160
    game = model_like_game(n, seed=1)
    orders = orders_within(n, budget, seed)
    ours = explain_game(game, n, method="permutation-shap", max_evaluations=budget, seed=seed)

    waiting = iter(orders)

    def shuffled(players: np.ndarray) -> None:
        players[:] = next(waiting)

    explainer = shap.explainers.PermutationExplainer(
        lambda rows: game(rows > 0.5), shap.maskers.Independent(np.zeros((1, n))), seed=0
    )
    monkeypatch.setattr(np.random, "shuffle", shuffled)
    reference = explainer(np.ones((1, n)), max_evals=len(orders) * (2 * n + 1), silent=True).values[0]
    assert len(orders) > budget // (2 * n - 2)  # what is known already makes room for more orders
    assert next(waiting, None) is None
    assert ours.values == pytest.approx(reference, abs=1e-9)


def test_one_order_is_exact_for_games_of_second_order() -> None:
    game = second_order_game(9, seed=0)
    explanation = explain_game(game, 9, method="permutation-shap", max_evaluations=2 + 2 * 8)
    assert explanation.values == pytest.approx(game.shapley_values, abs=1e-12)
    assert explanation.evaluations == 18
    assert np.isnan(explanation.standard_errors).all()  # one order has no spread


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_all_coalitions_give_exact_values(n: int) -> None:
    game = random_game(n, seed=n, n_outputs=2)
    explanation = explain_game(game, n, method="permutation-shap", max_evaluations=10**4)
    assert explanation.values == pytest.approx(game.shapley_values, abs=1e-12)
    assert explanation.evaluations == 2**n
    assert explanation.stop_reason is StopReason.EXACT
    assert not explanation.standard_errors.any()


def test_more_orders_come_nearer() -> None:
    games = [model_like_game(10, seed=seed) for seed in range(10)]
    errors = [
        np.mean(
            [
                relative_error(
                    explain_game(game, 10, method="permutation-shap", max_evaluations=budget).values,
                    game.shapley_values,
                )
                for game in games
            ]
        )
        for budget in (20, 80, 320)
    ]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.6 * errors[1]


@pytest.mark.parametrize("budget", [60, 120, 240])
def test_intervals_cover_as_often_as_they_say(budget: int) -> None:
    covered = []
    for seed in range(60):
        game = model_like_game(12, seed=seed % 20)
        explanation = explain_game(game, 12, method="permutation-shap", max_evaluations=budget, seed=seed)
        covered.append((explanation.lower <= game.shapley_values) & (game.shapley_values <= explanation.upper))
    assert 0.91 <= np.mean(covered) <= 0.99


def test_intervals_cover_the_strongest_players_at_a_stop_by_tolerance() -> None:
    """A player that matters more also varies more: drawn towards the mean variance these are .87 and .91."""
    covered = []
    for number, seed in product(range(40), range(6)):
        game = model_like_game(10, seed=number)
        explanation = explain_game(game, 10, method="permutation-shap", seed=seed, tolerance=0.4, max_evaluations=600)
        assert explanation.stop_reason is StopReason.TOLERANCE
        inside = (explanation.lower <= game.shapley_values) & (game.shapley_values <= explanation.upper)
        strongest = np.argsort(-np.abs(explanation.values))
        covered.append((inside[strongest[0]], inside[strongest[:3]].mean()))
    top_one, top_three = np.mean(covered, axis=0)
    assert top_one >= 0.93
    assert top_three >= 0.93


def test_the_orders_are_bounded_where_few_coalitions_are_left_to_meet() -> None:
    """Ten players have 252 coalitions of five: hundreds of orders would go by before the last one is met by chance."""
    game = model_like_game(10, seed=0)
    ends = game(np.array([[False] * 10, [True] * 10]))
    estimator = PermutationShap(GameInfo(n_players=10, empty=ends[:1], full=ends[1:], seed=0), 1024)
    ask_all(estimator, game, [1022])
    assert estimator.rows_left == 0
    assert len(estimator._orders) <= 2 * 1024 / 18
    assert estimator.estimate().exact
    assert estimator.estimate().values[0] == pytest.approx(game.shapley_values, abs=1e-12)


def test_standard_errors_draw_each_players_variance_towards_what_its_value_lets_expect() -> None:
    n, budget, seed = 6, 40, 2
    game = model_like_game(n, seed=0)
    explanation = explain_game(game, n, method="permutation-shap", max_evaluations=budget, seed=seed)
    contributions = []
    for order in orders_within(n, budget, seed):
        added = np.zeros(n)
        present = np.zeros(n, np.bool_)
        for player in order:
            joined = present.copy()
            joined[player] = True
            added[player] = np.diff(game(np.stack((present, joined))))[0] / 2
            added[player] += np.diff(game(np.stack((~joined, ~present))))[0] / 2
            present = joined
        contributions.append(added)
    own, shared = len(contributions) - 1, 4
    variances, sizes = np.var(contributions, axis=0, ddof=1), np.abs(np.mean(contributions, axis=0))
    expected = variances.mean() * (0.5 + 0.5 * sizes / sizes.mean())
    errors = np.sqrt((own * variances + shared * expected) / (own + shared) / len(contributions))
    assert explanation.standard_errors == pytest.approx(errors, abs=1e-12)
    half_widths = student_t.ppf(0.975, own + shared) * errors
    assert explanation.upper - explanation.values == pytest.approx(half_widths, abs=1e-12)


def test_held_out_r_squared_is_that_of_the_other_orders_on_each_orders_coalitions() -> None:
    n = 20  # so many that no coalition of one order is met in another, but those of one player
    weights = np.random.default_rng(0).normal(size=n)
    additive = explain_game(lambda c: c @ weights, n, method="permutation-shap", max_evaluations=200)
    assert additive.quality.held_out_r_squared == pytest.approx(1, abs=1e-12)
    odd = explain_game(lambda c: c.sum(axis=1) % 2, n, method="permutation-shap", max_evaluations=200)
    # A parity has no additive part: the model says 0 everywhere, and is 0 or 1 off, where the mean is 1/2 off.
    assert odd.quality.held_out_r_squared == pytest.approx(1 - 0.5 / 0.25, abs=0.15)


def ask_all(estimator: PermutationShap, game: TableGame, counts: list[int]) -> list[bytes]:
    asked = []
    for count in counts:
        coalitions = estimator.ask(count)
        assert coalitions is not None
        assert len(coalitions) <= count
        estimator.tell(game(coalitions)[:, None])
        asked += [row.tobytes() for row in coalitions]
    return asked


def test_an_order_may_reach_over_several_rounds() -> None:
    game = model_like_game(9, seed=0)
    ends = game(np.array([[False] * 9, [True] * 9]))
    information = GameInfo(n_players=9, empty=ends[:1], full=ends[1:], seed=1)
    pieces, whole = PermutationShap(information, 200), PermutationShap(information, 200)
    asked = ask_all(pieces, game, [1, 3, 20, 7, 1, 8])
    assert asked == ask_all(whole, game, [40])
    assert np.array_equal(pieces.estimate().values, whole.estimate().values)
    assert pieces.estimate().additivity_gap(ends[1:]).max() < 1e-12


def test_the_budget_is_not_spent_on_an_order_that_it_does_not_finish() -> None:
    explanation = explain_game(model_like_game(12, seed=0), 12, method="permutation-shap", max_evaluations=40)
    assert explanation.evaluations == 2 + 22
    assert explanation.stop_reason is StopReason.BUDGET


def test_orders_with_a_value_missing_are_left_out() -> None:
    game = model_like_game(9, seed=0)
    ends = game(np.array([[False] * 9, [True] * 9]))
    information = GameInfo(n_players=9, empty=ends[:1], full=ends[1:], seed=1)
    cut, whole = PermutationShap(information, 200), PermutationShap(information, 200)
    coalitions = cut.ask(100)
    assert coalitions is not None
    cut.tell(np.where(np.arange(100) < 16, game(coalitions), np.nan)[:, None], np.arange(100) < 16)
    ask_all(whole, game, [16])
    assert cut.estimate().values == pytest.approx(whole.estimate().values, abs=1e-15)
    with pytest.raises(ValueError, match="ask for coalitions first"):
        cut.tell(np.zeros((1, 1)))
