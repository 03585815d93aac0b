"""partition-shap against the Owen values by their definition and against shap's PartitionExplainer."""

import itertools
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.explain import ExplanationRun, GameInfo, RunSettings, StopReason, explain_game
from explicate_server.explain.estimators.partition_shap import Cut, PartitionShap, partition_tree
from support.exact_games import TableGame, model_like_game, random_game, relative_error

Tree = dict[tuple[int, int], Cut]


def orders_of(tree: Tree, start: int, end: int) -> list[list[int]]:
    """All orders in which the players of every part come one after the other."""
    if end - start == 1:
        return [[start]]
    middle = tree[start, end].middle
    left, right = orders_of(tree, start, middle), orders_of(tree, middle, end)
    return [one + other for a, b in ((left, right), (right, left)) for one, other in itertools.product(a, b)]


def owen_values(game: TableGame, tree: Tree) -> NDArray[np.float64]:
    """The mean marginal contribution over all orders that respect the tree (Owen 1977)."""
    n = game.n_players
    orders = orders_of(tree, 0, n)
    values = np.zeros((*game.table.shape[1:], n))
    for order in orders:
        before = np.cumsum([0, *(1 << player for player in order)])
        values[..., order] += np.moveaxis(np.diff(game.table[before], axis=0), 0, -1) / len(orders)
    return values


def explained(
    game: TableGame, max_evaluations: int, breaks: NDArray[np.intp] | None = None, rounds: list[int] | None = None
) -> ExplanationRun:
    n = game.n_players
    ends = game(np.stack((np.zeros(n, np.bool_), np.ones(n, np.bool_)))).reshape(2, -1)
    information = GameInfo(n_players=n, empty=ends[0], full=ends[1], breaks=breaks)
    settings = RunSettings(max_evaluations=max_evaluations, min_evaluations=8 * n, tolerance=0.0)
    run = ExplanationRun(PartitionShap(information, max_evaluations), settings=settings, spent=2)
    while (coalitions := run.next_round()) is not None:
        run.tell(game(coalitions).reshape(len(coalitions), -1))
        assert run.attribution.additivity_gap(ends[1]).max() < 1e-12
        if rounds is not None:
            rounds.append(len(coalitions))
    return run


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
def test_values_are_the_owen_values_of_the_balanced_tree(n: int) -> None:
    game = random_game(n, seed=n, n_outputs=2)
    explanation = explain_game(game, n, method="partition-shap")
    assert explanation.values == pytest.approx(owen_values(game, partition_tree(n, None)), abs=1e-12)
    assert explanation.stop_reason is StopReason.EXACT
    assert explanation.converged
    assert not explanation.standard_errors.any()


def test_values_are_the_owen_values_of_the_tree_along_the_breaks() -> None:
    game = random_game(7, seed=0)
    breaks = np.array([0, 2, 0, 1, 0, 0])
    run = explained(game, 1000, breaks)
    assert run.attribution.values[0] == pytest.approx(owen_values(game, partition_tree(7, breaks)), abs=1e-12)
    assert run.evaluations == partition_tree(7, breaks)[0, 7].rows + 2
    unbroken = explained(game, 1000).attribution.values[0]
    assert relative_error(run.attribution.values[0], unbroken) > 0.01


class ShapMasker:
    """A masker that hands the mask on, with our tree as its clustering."""

    def __init__(self, n: int, tree: Tree) -> None:
        self.shape = (1, n)
        merges: list[list[float]] = []

        def place(start: int, end: int) -> int:
            if end - start == 1:
                return start
            middle = tree[start, end].middle
            merges.append([place(start, middle), place(middle, end), end - start, end - start])
            return n + len(merges) - 1

        place(0, n)
        self.clustering = np.array(merges, dtype=float)

    def __call__(self, mask: NDArray[np.bool_], _row: object) -> tuple[NDArray[np.float64]]:
        return (mask.astype(float)[None],)


@pytest.mark.parametrize("breaks", [None, np.array([0, 1, 0, 0, 3, 0, 0, 2, 0, 2])])
def test_values_are_those_of_shaps_partition_explainer_on_the_same_tree(
    breaks: NDArray[np.intp] | None, shap: ModuleType
) -> None:
    game = model_like_game(11, seed=2)
    masker = ShapMasker(11, partition_tree(11, breaks))
    explainer = shap.explainers.PartitionExplainer(lambda rows: game(np.asarray(rows) > 0.5), masker)
    reference = explainer(np.ones((1, 11)), max_evals=10**4, silent=True).values[0]
    assert explained(game, 10**4, breaks).attribution.values[0] == pytest.approx(reference, abs=1e-9)


def test_each_level_of_the_tree_is_one_round() -> None:
    rounds: list[int] = []
    run = explained(model_like_game(16, seed=0), 1000, rounds=rounds)
    assert rounds == [2, 8, 32, 128]
    assert run.stop_reason is StopReason.EXACT


def test_with_less_than_the_tree_takes_the_values_come_near_and_stay_additive() -> None:
    games = [model_like_game(14, seed=seed) for seed in range(8)]
    converged = [explained(game, 1000).attribution.values[0] for game in games]
    assert explained(games[0], 1000).evaluations == 140
    errors = []
    for budget in (14, 35, 70, 112):
        runs = [explained(game, budget) for game in games]
        assert all(run.evaluations in (budget, budget - 1) and run.stop_reason is StopReason.BUDGET for run in runs)
        assert all(np.isnan(run.attribution.standard_errors).all() for run in runs)
        errors.append(
            np.mean([relative_error(run.attribution.values[0], v) for run, v in zip(runs, converged, strict=True)])
        )
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


def test_the_runs_that_contribute_most_are_cut_first() -> None:
    # Players 0 and 1 carry everything, but only together with each other.
    table = np.array([float(index & 3 == 3) for index in range(2**12)])
    run = explained(TableGame(table), 60)
    assert run.attribution.values[0] == pytest.approx([0.5, 0.5] + [0] * 10, abs=1e-12)


def test_a_run_whose_parts_were_not_evaluated_stays_whole() -> None:
    game = model_like_game(8, seed=0)
    ends = game(np.array([[False] * 8, [True] * 8]))
    estimator = PartitionShap(GameInfo(n_players=8, empty=ends[:1], full=ends[1:]), 100)
    first = estimator.ask(50)
    assert first is not None
    estimator.tell(game(first)[:, None])
    second = estimator.ask(50)
    assert second is not None
    evaluated = np.array([True] * 6 + [True, False])
    estimator.tell(np.where(evaluated, game(second), np.nan)[:, None], evaluated)
    attribution = estimator.estimate()
    assert not attribution.exact
    assert attribution.additivity_gap(ends[1:]).max() < 1e-12
    with pytest.raises(ValueError, match="ask for coalitions first"):
        estimator.tell(np.zeros((1, 1)))


def test_a_run_is_cut_at_its_strongest_break_nearest_the_middle() -> None:
    assert partition_tree(2, None) == {(0, 2): Cut(middle=1, rows=2)}
    assert partition_tree(1, None) == partition_tree(0, None) == {}
    tree = partition_tree(9, np.array([3, 0, 1, 0, 0, 3, 0, 1]))
    assert tree[0, 9].middle == 6  # 1 and 6 are as strong; 6 is nearer to 4.5
    assert tree[0, 6].middle == 1
    assert tree[1, 6].middle == 3
    assert tree[6, 9].middle == 8


@pytest.mark.parametrize("n", [2, 4, 16, 64])
def test_a_balanced_tree_takes_two_thirds_of_n_squared_rows(n: int) -> None:
    assert partition_tree(n, None)[0, n].rows == 2 * (n**2 - 1) // 3
