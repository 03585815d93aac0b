"""Long inputs in phrases: on games of hundreds of players whose Shapley values follow from their formula."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from explicate_server.explain import Attribution, ExplanationRun, GameInfo, RunSettings, StopReason
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.game import WALL, Estimator
from explicate_server.explain.groups import gathered, phrases, recut, spread
from explicate_server.explain.refinement import Refinement, refined
from support.exact_games import relative_error


class LongGame:
    """Slopes plus interactions of a few players: each interaction is shared equally by its players (Shapley 1953)."""

    def __init__(self, n_players: int = 400, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.n_players = n_players
        self.heavy = np.sort(random.choice(n_players, 8, replace=False))
        self.slopes = 0.01 * random.normal(size=n_players)
        self.slopes[self.heavy] += random.choice([-1, 1], 8) * random.uniform(1, 3, 8)
        # Of pairs alone paired coalitions would be free of noise; the triples bring it.
        near = [(int(i), int(i) + 2) for i in random.integers(0, n_players - 2, 20)]
        far = [tuple(random.choice(self.heavy, 3, replace=False).tolist()) for _ in range(20)]
        self.interactions = [(players, 0.3 * random.normal()) for players in (*near, *far)]
        self.breaks = np.where(np.arange(1, n_players) % 17 == 0, 2, 0)
        self.asked: list[bytes] = []

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        self.asked += [row.tobytes() for row in coalitions]
        values = coalitions @ self.slopes
        for players, weight in self.interactions:
            values = values + weight * coalitions[:, list(players)].all(axis=1)
        return values[:, None]

    def shapley_values(self, groups: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of the quotient game of these groups, [groups]: an interaction inside a group is all the group's."""
        values = np.bincount(groups, weights=self.slopes)
        for players, weight in self.interactions:
            sharing = np.unique(groups[list(players)])
            values[sharing] += weight / len(sharing)
        return values

    def information(self, seed: int = 0) -> GameInfo:
        ends = np.zeros((2, self.n_players), np.bool_)
        ends[1] = True
        empty, full = self(ends)
        return GameInfo(n_players=self.n_players, empty=empty, full=full, seed=seed, breaks=self.breaks)


def kernel_shap(game: GameInfo, _max_evaluations: int) -> Estimator:
    return KernelShap(game)


def played(game: LongGame, *, max_evaluations: int, max_players: int = 64, seed: int = 0) -> ExplanationRun:
    estimator = refined(kernel_shap, game.information(seed), max_players=max_players, max_evaluations=max_evaluations)
    run_settings = RunSettings(max_evaluations=max_evaluations, min_evaluations=256, tolerance=0)
    run = ExplanationRun(estimator, settings=run_settings, spent=2)
    while (coalitions := run.next_round()) is not None:
        run.tell(game(coalitions))
    return run


def groups_of(attribution: Attribution) -> NDArray[np.intp]:
    assert attribution.groups is not None
    return attribution.groups


@pytest.mark.parametrize("seed", range(3))
def test_heavy_words_of_a_long_text_come_out_alone_with_the_right_values(seed: int) -> None:
    game = LongGame(seed=seed)
    run = played(game, max_evaluations=2048, seed=seed)
    attribution = run.attribution
    groups = groups_of(attribution)
    alone = np.bincount(groups)[groups[game.heavy]] == 1
    assert alone.mean() >= 0.85
    truth = game.shapley_values(groups)
    assert len(truth) <= 64
    assert relative_error(attribution.values[0], truth) < 0.02
    assert np.mean((attribution.lower[0] <= truth) & (truth <= attribution.upper[0])) >= 0.85
    assert attribution.additivity_gap(game.information().full).max() < 1e-12
    assert not attribution.provisional
    assert run.stop_reason is StopReason.BUDGET
    assert 2046 <= run.evaluations <= 2048


def test_a_smaller_budget_gives_an_answer_too() -> None:
    game = LongGame(seed=1)
    for max_evaluations in (4, 20, 100, 1000):
        attribution = played(game, max_evaluations=max_evaluations).attribution
        groups = groups_of(attribution)
        assert attribution.values.shape == (1, groups[-1] + 1)
        assert attribution.additivity_gap(game.information().full).max() < 1e-12
    truth = game.shapley_values(groups)
    assert relative_error(attribution.values[0], truth) < 0.05
    assert np.mean(np.bincount(groups)[groups[game.heavy]] == 1) >= 0.5


def test_a_game_of_few_players_is_played_as_it_is() -> None:
    game = LongGame(60)
    assert isinstance(refined(kernel_shap, game.information(), max_players=60, max_evaluations=500), KernelShap)
    run = played(game, max_evaluations=500, max_players=60)
    assert run.attribution.groups is None
    assert run.attribution.values.shape == (1, 60)


def test_no_coalition_is_asked_twice_and_groups_are_present_whole() -> None:
    game = LongGame(90, seed=2)
    estimator = Refinement(kernel_shap, game.information(), max_players=20, max_evaluations=600)
    game.asked.clear()
    while (coalitions := estimator.ask(50)) is not None and len(game.asked) < 600:
        groups = groups_of(estimator.estimate())
        estimator.tell(game(coalitions))
        if np.array_equal(groups_of(estimator.estimate()), groups) and not estimator.estimate().provisional:
            assert gathered(coalitions, groups)[1].all()
    assert len(game.asked) == len(set(game.asked))


def test_coalitions_of_the_first_stage_that_come_again_are_not_asked_again() -> None:
    told_rows = []

    class Recorder(KernelShap):
        def tell(self, values: NDArray[np.float64], evaluated: NDArray[np.bool_] | None = None) -> None:
            told_rows.append(len(values))
            super().tell(values, evaluated)

    game = LongGame(12, seed=3)
    information = game.information()
    estimator = Refinement(lambda info, _: Recorder(info), information, max_players=5, max_evaluations=80)
    game.asked.clear()
    while (coalitions := estimator.ask(8)) is not None:
        estimator.tell(game(coalitions))
    assert len(game.asked) == len(set(game.asked))
    assert sum(told_rows) > len(game.asked)
    # All 30 coalitions of five groups fit the budget, those known from before among them.
    attribution = estimator.estimate()
    assert attribution.exact
    assert attribution.values[0] == pytest.approx(game.shapley_values(groups_of(attribution)))


def test_the_first_stage_is_provisional_and_speaks_until_the_last_has_rows_enough() -> None:
    game = LongGame(seed=4)
    estimator = Refinement(kernel_shap, game.information(), max_players=64, max_evaluations=1000)
    assert estimator.estimate().provisional
    first = estimator.ask(1000)
    assert first is not None
    assert len(first) == 400
    estimator.tell(game(first))
    stage_one = estimator.estimate()
    assert stage_one.provisional
    assert not stage_one.exact
    assert estimator.halves()[0].shape == stage_one.values.shape
    few = estimator.ask(100)
    estimator.tell(game(few))
    assert np.array_equal(estimator.estimate().values, stage_one.values)
    more = estimator.ask(200)
    estimator.tell(game(more))
    last = estimator.estimate()
    assert not last.provisional
    assert last.values.shape[1] <= 64
    assert estimator.halves()[0].shape == last.values.shape


def test_the_same_seed_repeats_coalitions_and_answer_and_the_size_of_rounds_does_not_matter() -> None:
    game = LongGame(200, seed=5)
    answers = []
    for size in (2000, 2000, 37 * 2):
        estimator = Refinement(kernel_shap, game.information(7), max_players=40, max_evaluations=600)
        told = 0
        while told < 598:
            coalitions = estimator.ask(min(size, 598 - told))
            assert coalitions is not None
            estimator.tell(game(coalitions))
            told += len(coalitions)
        answers.append(estimator.estimate())
    assert np.array_equal(answers[0].values, answers[1].values)
    assert np.array_equal(answers[0].groups, answers[2].groups)
    assert answers[0].values == pytest.approx(answers[2].values, abs=1e-12)


def test_rows_that_were_not_evaluated_are_left_out() -> None:
    game = LongGame(200, seed=6)
    estimator = Refinement(kernel_shap, game.information(), max_players=40, max_evaluations=600)
    coalitions = estimator.ask(240)
    assert coalitions is not None
    told = np.arange(len(coalitions)) < 120
    estimator.tell(np.where(told[:, None], game(coalitions), np.nan), told)
    assert np.isfinite(estimator.estimate().values).all()
    with pytest.raises(ValueError, match="ask for coalitions first"):
        estimator.tell(np.zeros((0, 1)))


def test_phrases_end_at_the_strongest_break_near_their_ends() -> None:
    breaks = np.zeros(29, np.intp)
    breaks[[8, 11, 18, 21]] = [1, 3, 2, 2]
    # Thirds of 30 end after players 9 and 19; nearby lie breaks after 8 and 11 (stronger), 18 and 21 (nearer is 18).
    groups = phrases(30, 3, breaks)
    assert np.flatnonzero(np.diff(groups)).tolist() == [11, 18]
    assert np.flatnonzero(np.diff(phrases(30, 3))).tolist() == [9, 19]


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), count=st.integers(1, 64), seed=st.integers(0, 2**32 - 1), most=st.integers(2, 64))
@example(n=108, count=41, seed=148, most=20)  # two windows that rounding let share a place
def test_groups_are_runs_of_neighbours_within_the_number_asked_for(n: int, count: int, seed: int, most: int) -> None:
    random = np.random.default_rng(seed)
    breaks = random.integers(0, 4, n - 1)
    groups = phrases(n, count, breaks)
    assert np.bincount(groups).max() <= 2 * -(-n // min(count, n))
    assert np.unique(groups).tolist() == list(range(min(count, n)))
    again = recut(groups, random.standard_t(2, size=(2, min(count, n))), most, breaks)
    for cut in (groups, again):
        assert cut[0] == 0
        assert set(np.diff(cut).tolist()) <= {0, 1}
    assert again[-1] < most
    assert len(again) == n


@settings(max_examples=150, deadline=None)
@given(n=st.integers(2, 300), count=st.integers(2, 64), seed=st.integers(0, 2**32 - 1), most=st.integers(2, 64))
def test_no_group_goes_across_a_wall_and_their_number_stays_within_what_was_asked_for(
    n: int, count: int, seed: int, most: int
) -> None:
    random = np.random.default_rng(seed)
    breaks = random.integers(0, 4, n - 1)
    wall = int(random.integers(0, n - 1))
    breaks[wall] = WALL
    groups = phrases(n, count, breaks)
    again = recut(groups, random.standard_t(2, size=(2, groups[-1] + 1)), most, breaks)
    for cut, limit in ((groups, count), (again, most)):
        assert cut[wall] != cut[wall + 1]
        assert cut[0] == 0
        assert set(np.diff(cut).tolist()) <= {0, 1}
        assert cut[-1] < limit


def test_the_heaviest_group_is_split_into_single_players_and_the_lightest_are_merged() -> None:
    groups = phrases(64, 16)
    values = np.full((1, 16), 0.01)
    values[0, 5] = 4.0
    cut = recut(groups, values, 16)
    sizes = np.bincount(cut)
    assert sizes[cut[20:24]].tolist() == [1, 1, 1, 1]
    assert len(sizes) == 16


def test_coalitions_of_groups_and_of_players_are_two_views_of_one() -> None:
    groups = np.array([0, 0, 1, 2, 2, 2])
    coalitions = np.random.default_rng(0).random((20, 3)) < 0.5
    there_and_back, whole = gathered(spread(coalitions, groups), groups)
    assert np.array_equal(there_and_back, coalitions)
    assert whole.all()
    assert gathered(np.array([[True, False, True, True, True, True]]), groups)[1].tolist() == [False]
    assert spread(coalitions, None) is coalitions
