"""The loop: rounds, budget, tolerance, deadline."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest

from explicate_server.explain import (
    METHODS,
    Attribution,
    ExplanationRun,
    GameInfo,
    NonFiniteValueError,
    RunSettings,
    StopReason,
)
from explicate_server.explain.attribution import CERTAINTY
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.statistics.certainty import certain_top
from support.exact_games import TableGame, model_like_game, random_game


def run_of(game: TableGame, *, confidence: float = 0.95, **settings: float) -> ExplanationRun:
    ends = game.table[[0, -1]]
    information = GameInfo(n_players=game.n_players, empty=ends[:1], full=ends[1:], confidence=confidence)
    estimator = KernelShap(information)
    defaults = {"max_evaluations": 320, "min_evaluations": 80, "tolerance": 0.0}
    return ExplanationRun(estimator, settings=RunSettings(**{**defaults, **settings}), spent=2)


def play(run: ExplanationRun, game: TableGame) -> list[int]:
    """Run to the end; the totals after each round."""
    totals = []
    while (coalitions := run.next_round()) is not None:
        run.tell(game(coalitions)[:, None])
        totals.append(run.evaluations)
    return totals


def test_rounds_grow_from_min_to_max_evaluations_doubling_every_two() -> None:
    game = random_game(10, seed=0)
    run = run_of(game)
    # 80 · 2^(k/2), in pairs beside the two ends.
    assert play(run, game) == pytest.approx([80, 113, 160, 226, 320], abs=1)
    assert run.evaluations == 320
    assert run.rounds == 5
    assert run.stop_reason is StopReason.BUDGET
    assert not run.converged


def test_the_budget_is_never_exceeded() -> None:
    for most in (2, 3, 4, 5, 11, 79, 81):
        game = random_game(10, seed=1)
        run = run_of(game, max_evaluations=most)
        play(run, game)
        assert run.evaluations in (most, most - 1)
        assert run.stop_reason is StopReason.BUDGET


def test_tolerance_stops_at_the_first_round_whose_widest_interval_is_narrow_enough() -> None:
    game = model_like_game(10, seed=3)
    run = run_of(game, tolerance=0.1)
    ratios = []
    while (coalitions := run.next_round()) is not None:
        run.tell(game(coalitions)[:, None])
        widest = (run.attribution.upper - run.attribution.lower).max() / 2
        ratios.append(widest / np.ptp(run.attribution.values))
    assert run.stop_reason is StopReason.TOLERANCE
    assert run.converged
    assert len(ratios) > 1
    assert ratios[-1] < 0.1
    assert all(ratio >= 0.1 for ratio in ratios[:-1])


def test_tolerance_holds_for_every_output() -> None:
    easy, hard = model_like_game(10, seed=3).table, random_game(10, seed=3).table
    both = TableGame(np.stack((easy, hard), axis=1))
    estimator = KernelShap(GameInfo(n_players=10, empty=both.table[0], full=both.table[-1]))
    settings = RunSettings(max_evaluations=320, min_evaluations=80, tolerance=0.1)
    run = ExplanationRun(estimator, settings=settings, spent=2)
    while (coalitions := run.next_round()) is not None:
        run.tell(both(coalitions))
    assert run.stop_reason is StopReason.BUDGET


def test_top_k_stops_at_the_first_round_where_the_first_k_are_certain() -> None:
    game = model_like_game(10, seed=16)
    run = run_of(game, top_k=2)
    certain = []
    while (coalitions := run.next_round()) is not None:
        run.tell(game(coalitions)[:, None])
        certain.append(bool(certain_top(run.attribution)[0, 1]))
    assert run.stop_reason is StopReason.TOP_K
    assert run.converged
    assert certain == [False] * (len(certain) - 1) + [True]
    assert len(certain) > 1
    assert set(np.argsort(-np.abs(game.shapley_values))[:2]) == set(np.argsort(-np.abs(run.attribution.values[0]))[:2])


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_top_k_is_as_certain_as_it_says_whatever_narrower_intervals_were_asked_for(confidence: float) -> None:
    runs = [(run_of(game, top_k=2, confidence=level), game) for level in (confidence, CERTAINTY)
            for game in (model_like_game(10, seed=seed) for seed in range(12))]  # fmt: skip
    outcomes = [(play(run, game), run.stop_reason) for run, game in runs]
    assert outcomes[:12] == outcomes[12:]
    assert StopReason.TOP_K in {reason for _, reason in outcomes}
    # A higher confidence is not overruled.
    rows = [sum(play(run_of(model_like_game(10, seed=16), top_k=2, confidence=level), model_like_game(10, seed=16)))
            for level in (CERTAINTY, 0.999999)]  # fmt: skip
    assert rows[0] < rows[1]


def test_top_k_waits_for_min_evaluations_and_for_every_output() -> None:
    slopes = np.array([5.0, -4.0, 1, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1])
    presence = (np.arange(1024)[:, None] >> np.arange(10)) & 1
    clear = presence @ slopes
    assert play(run_of(TableGame(clear), top_k=2), TableGame(clear)) == [80]
    both = TableGame(np.stack((clear, random_game(10, seed=3).table), axis=1))
    estimator = KernelShap(GameInfo(n_players=10, empty=both.table[0], full=both.table[-1]))
    settings = RunSettings(max_evaluations=160, min_evaluations=80, tolerance=0.0, top_k=2)
    run = ExplanationRun(estimator, settings=settings, spent=2)
    while (coalitions := run.next_round()) is not None:
        run.tell(both(coalitions))
    assert run.stop_reason is StopReason.BUDGET
    assert not run.converged


def test_as_many_as_there_are_players_are_certain_once_intervals_are_known() -> None:
    game = random_game(10, seed=0)
    run = run_of(game, top_k=25)
    assert play(run, game) == [80]
    assert run.stop_reason is StopReason.TOP_K


def test_neither_tolerance_nor_top_k_end_a_run_with_provisional_players() -> None:
    class Provisional(KernelShap):
        def estimate(self) -> Attribution:
            return replace(super().estimate(), provisional=True)

    presence = (np.arange(1024)[:, None] >> np.arange(10)) & 1
    game = TableGame(presence @ np.arange(10.0))
    estimator = Provisional(GameInfo(n_players=10, empty=np.zeros(1), full=np.array([45.0])))
    settings = RunSettings(max_evaluations=160, min_evaluations=80, tolerance=0.5, top_k=1)
    run = ExplanationRun(estimator, settings=settings, spent=2)
    assert play(run, game) == pytest.approx([80, 113, 160], abs=1)
    assert run.stop_reason is StopReason.BUDGET
    assert not run.converged


def test_a_constant_game_converges_at_once() -> None:
    game = TableGame(np.full(1024, 0.7))
    run = run_of(game, tolerance=0.01)
    assert play(run, game) == [80]
    assert run.stop_reason is StopReason.TOLERANCE
    assert run.converged
    assert not run.attribution.values.any()


def test_all_coalitions_are_exact_whatever_the_tolerance() -> None:
    game = random_game(6, seed=0)
    run = run_of(game)
    assert play(run, game) == [64]
    assert run.stop_reason is StopReason.EXACT
    assert run.converged


def test_a_deadline_that_has_passed_stops_before_the_round() -> None:
    run = run_of(random_game(10, seed=0))
    assert run.next_round(0.0) is None
    assert run.stop_reason is StopReason.DEADLINE
    assert run.evaluations == 2


def test_a_round_that_would_not_be_done_in_time_is_cut_by_the_pace_of_the_last() -> None:
    game = random_game(10, seed=0)
    run = run_of(game)
    first = run.next_round(1.0)
    assert first is not None
    run.tell(game(first)[:, None])
    # 78 rows took 0.78 s; in the 0.22 s left, of which 0.9 may be planned, fit 19 rows: 9 pairs.
    second = run.next_round(0.22)
    assert second is not None
    assert len(second) == 18
    run.tell(game(second)[:, None])
    # 18 rows took 0.21 s; nothing worth a round fits in 0.01 s.
    assert run.next_round(0.01) is None
    assert run.stop_reason is StopReason.DEADLINE
    assert run.evaluations == 98


def test_enough_time_changes_nothing() -> None:
    game = random_game(10, seed=0)
    timed, free = run_of(game), run_of(game)
    for seconds_left in (100.0, 99.0, 98.0, 97.0, 96.0):
        first, second = timed.next_round(seconds_left), free.next_round()
        assert first is not None
        assert second is not None
        assert np.array_equal(first, second)
        timed.tell(game(first)[:, None])
        free.tell(game(second)[:, None])


def test_a_round_that_the_deadline_cut_counts_what_was_evaluated() -> None:
    game = random_game(10, seed=0)
    run = run_of(game)
    coalitions = run.next_round(1.0)
    assert coalitions is not None
    evaluated = np.arange(len(coalitions)) < 41
    values = np.where(evaluated[:, None], game(coalitions)[:, None], np.nan)
    run.tell(values, evaluated)
    run.stop(StopReason.DEADLINE)
    assert run.evaluations == 43
    assert run.rounds == 1
    assert run.stop_reason is StopReason.DEADLINE
    assert run.next_round() is None
    assert np.isfinite(run.attribution.values).all()


def test_a_value_that_is_not_finite_is_named() -> None:
    game = random_game(10, seed=0)
    run = run_of(game)
    coalitions = run.next_round()
    assert coalitions is not None
    values = game(coalitions)[:, None]
    values[7] = np.inf
    with pytest.raises(NonFiniteValueError, match="row 7 of round 1") as caught:
        run.tell(values)
    assert caught.value.present == np.flatnonzero(coalitions[7]).tolist()


def test_a_wrong_shape_or_order_of_calls_is_refused() -> None:
    run = run_of(random_game(10, seed=0))
    with pytest.raises(ValueError, match="call next_round first"):
        run.tell(np.zeros((1, 1)))
    assert run.next_round() is not None
    with pytest.raises(ValueError, match=r"must be \[78, outputs\]"):
        run.tell(np.zeros(78))
    with pytest.raises(ValueError, match="call tell before"):
        run.next_round()


def test_lime_comes_in_rounds_of_its_own() -> None:
    method = METHODS["lime"]
    estimator = method.build(GameInfo(n_players=40, empty=np.array([np.nan]), full=np.ones(1)), 1000)
    run = ExplanationRun(estimator, settings=method.settings(40), spent=1)
    rows = []
    while (coalitions := run.next_round()) is not None:
        run.tell(coalitions.mean(axis=1, keepdims=True))
        rows.append(len(coalitions))
    assert rows[:3] == [250, 250, 250]
    assert run.evaluations < 1000, "rows that repeat are not asked again"
    assert run.stop_reason is StopReason.COMPLETE


@pytest.mark.parametrize("seconds_a_row", [0.001, 0.3, 2.0])
def test_a_sample_that_is_used_up_is_complete_however_slow_its_rows_are(seconds_a_row: float) -> None:
    """Two players have four coalitions, whatever lime's 1,000 rows take: the clock has cut nothing."""
    method = METHODS["lime"]
    run = method.start(
        GameInfo(n_players=2, empty=np.array([np.nan]), full=np.ones(1)), method.settings(2), max_players=2, spent=1
    )
    seconds_left = 30.0
    while (coalitions := run.next_round(seconds_left)) is not None:
        run.tell(coalitions.mean(axis=1, keepdims=True))
        seconds_left -= seconds_a_row * len(coalitions)
    assert run.evaluations == 4
    assert (run.stop_reason, run.cut_by_clock, run.converged) == (StopReason.COMPLETE, False, False)
    free = method.start(
        GameInfo(n_players=2, empty=np.array([np.nan]), full=np.ones(1)), method.settings(2), max_players=2, spent=1
    )
    while (coalitions := free.next_round()) is not None:
        free.tell(coalitions.mean(axis=1, keepdims=True))
    np.testing.assert_array_equal(run.attribution.values, free.attribution.values)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_knows_when_nothing_is_left_before_the_clock_is_asked(name: str) -> None:
    game, n = random_game(4, seed=0), 4
    method = METHODS[name]
    information = GameInfo(n_players=n, empty=game.table[:1], full=game.table[-1:])
    spent = 2 if method.needs_empty else 1
    estimator = method.build(information, 1000)
    asked = 0
    while estimator.rows_left:
        coalitions = estimator.ask(1000)
        assert coalitions is not None
        assert 0 < len(coalitions) <= estimator.rows_left + len(coalitions)
        asked += len(coalitions)
        estimator.tell(game(coalitions)[:, None])
    assert estimator.ask(1000) is None
    run = method.start(information, method.settings(n, max_evaluations=1000), max_players=n, spent=spent)
    while (coalitions := run.next_round(1000.0)) is not None:
        run.tell(game(coalitions)[:, None])
    assert run.evaluations == asked + spent
    # However little time is left now, nothing was cut.
    assert run.next_round(0.0) is None
    assert run.stop_reason in (StopReason.EXACT, StopReason.COMPLETE)
    assert not run.cut_by_clock


def test_a_last_round_is_not_cut_if_there_is_time_for_the_rows_that_are_left() -> None:
    method = METHODS["lime"]
    information = GameInfo(n_players=9, empty=np.array([np.nan]), full=np.ones(1))
    run = method.start(information, method.settings(9), max_players=9, spent=1)
    rows = []
    # A second for each row; in the end there is time for 240 of a round of 250, and fewer are left.
    for seconds_left in (1000.0, 750.0, 240 / 0.9):
        coalitions = run.next_round(seconds_left)
        if coalitions is None:
            break
        run.tell(coalitions.mean(axis=1, keepdims=True))
        rows.append(len(coalitions))
    assert rows[0] == 250
    assert len(rows) == 2
    assert rows[1] < 250
    assert (run.stop_reason, run.cut_by_clock) == (StopReason.COMPLETE, False)


@pytest.mark.parametrize("seed", range(4))
def test_rounds_of_kernel_shap_that_the_clock_cut_are_repeated_by_a_budget_of_their_rows(seed: int) -> None:
    game = random_game(14, seed=3)
    everyone = np.ones((1, 14), dtype=np.bool_)
    method = METHODS["kernel-shap"]
    information = GameInfo(n_players=14, empty=game(~everyone), full=game(everyone), seed=seed)

    def run_with(maximum: int, clock: Iterator[float | None], **settings: float) -> ExplanationRun:
        chosen = method.settings(14, max_evaluations=maximum, tolerance=0.0, **settings)
        run = ExplanationRun(method.build(information, maximum), settings=chosen, spent=2)
        while (coalitions := run.next_round(next(clock))) is not None:
            run.tell(game(coalitions)[:, None])
        return run

    # The pace of the first rounds leaves the later ones fewer rows than they want.
    cut = run_with(2000, iter([10.0, 6.0, 4.0, 3.9, 3.0, 1.0, 0.0]))
    assert cut.cut_by_clock
    assert cut.stop_reason is StopReason.DEADLINE
    assert cut.rounds > 1
    again = run_with(cut.evaluations, repeat(None), min_evaluations=cut.evaluations)
    assert not again.cut_by_clock
    assert (again.evaluations, again.stop_reason) == (cut.evaluations, StopReason.BUDGET)
    np.testing.assert_array_equal(again.attribution.values, cut.attribution.values)
    np.testing.assert_array_equal(again.attribution.standard_errors, cut.attribution.standard_errors)
