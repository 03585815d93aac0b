"""The quality figures, against their formulas worked out by hand, by scipy, and on games whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from explicate_server.explain import (
    METHODS,
    Attribution,
    ExplanationRun,
    GameInfo,
    RunSettings,
    explain_game,
    quality,
)
from explicate_server.explain.attribution import interval_ratios
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.quality import FaithfulnessCheck, Quality, Record
from support.exact_games import TableGame, model_like_game, random_game

NO_FIGURES = Quality(
    additivity_gap=None,
    held_out_r_squared=None,
    split_half_spearman=None,
    infidelity=None,
    largest_interval_ratio=None,
    certain_top_k=None,
)


def attribution_of(
    values: list[list[float]], half_widths: list[list[float]] | float = 0.0, groups: list[int] | None = None
) -> Attribution:
    centre = np.array(values, dtype=np.float64)
    widths = np.broadcast_to(np.asarray(half_widths, dtype=np.float64), centre.shape)
    return Attribution(
        values=centre,
        standard_errors=widths / 2,
        half_widths=widths,
        degrees_of_freedom=np.full(len(centre), 1e9),
        confidence=0.95,
        baseline=np.zeros(len(centre)),
        held_out_r_squared=np.full(len(centre), np.nan),
        exact=False,
        additive=True,
        groups=None if groups is None else np.array(groups),
    )


def record_of(coalitions: NDArray[np.bool_], values: NDArray[np.float64]) -> Record:
    record = Record()
    record.add(coalitions, values)
    return record


def ends_of(full: list[float], empty: list[float] | None = None) -> GameInfo:
    """A game of which only the ends count; v(∅) unknown unless it is given."""
    nothing = np.full(len(full), np.nan) if empty is None else np.array(empty)
    return GameInfo(n_players=0, empty=nothing, full=np.array(full))


def certain_top_k(attribution: Attribution) -> list[float]:
    """Of one game with the outputs of the attribution."""
    return quality.certain_top_k(attribution, ends_of([0.0] * len(attribution.values))).tolist()


def finished_run(game: TableGame, budget: int) -> tuple[ExplanationRun, GameInfo]:
    table = game.table.reshape(len(game.table), -1)
    information = GameInfo(n_players=game.n_players, empty=table[0], full=table[-1])
    estimator = KernelShap(information)
    settings = RunSettings(max_evaluations=budget, min_evaluations=budget, tolerance=0)
    run = ExplanationRun(estimator, settings=settings, spent=2)
    while (coalitions := run.next_round()) is not None:
        run.tell(game(coalitions).reshape(len(coalitions), -1))
    return run, information


def test_split_halves_are_correlated_by_ranks_and_stepped_up() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(2, 20))
    second = first + random.normal(size=(2, 20))
    first[1, :5] = 0.25  # ties
    stepped_up = quality.split_half_spearman(first, second)
    for output in range(2):
        r = spearmanr(first[output], second[output]).statistic
        assert stepped_up[output] == pytest.approx(2 * r / (1 + r))
    assert quality.split_half_spearman(first, -first) == pytest.approx([-1, -1])
    assert np.isnan(quality.split_half_spearman(np.zeros((1, 5)), np.ones((1, 5)))).all()
    assert np.isnan(quality.split_half_spearman(np.ones((1, 2)), np.ones((1, 2)))).all()


def test_infidelity_is_what_absent_players_values_miss_of_what_was_lost() -> None:
    coalitions = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=np.bool_)
    values = np.array([[7.0], [4.0], [0.0]])
    attribution = attribution_of([[5.0, 3.0, 1.0]])
    # Lost 3, 6 and 10; the absent players' values sum to 4, 5 and 9.
    expected = (1 + 1 + 1) / (9 + 36 + 100)
    record = record_of(coalitions, values)
    assert quality.infidelity(attribution, game=ends_of([10.0]), record=record) == pytest.approx([expected])
    # Where the empty coalition is not evaluated but known, it counts as much as the rows of a size: two of two here.
    record = record_of(coalitions[:2], values[:2])
    expected = (1 + 1 + 2 / 2 * 1) / (9 + 36 + 2 / 2 * 100)
    assert quality.infidelity(attribution, game=ends_of([10.0], [0.0]), record=record) == pytest.approx([expected])


def test_infidelity_of_groups_leaves_out_rows_that_cut_a_group() -> None:
    coalitions = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1]], dtype=np.bool_)
    attribution = attribution_of([[5.0, 1.0]], groups=[0, 0, 1])
    record = record_of(coalitions, np.array([[4.0], [2.0], [-100.0]]))
    # Lost 2 and 4; said 1 and 5.
    assert quality.infidelity(attribution, game=ends_of([6.0]), record=record) == pytest.approx([2 / 20])


def test_an_additive_game_has_no_infidelity_and_a_constant_one_no_figure() -> None:
    slopes = np.random.default_rng(0).normal(size=8)
    index = np.arange(256)
    presence = (index[:, None] >> np.arange(8)) & 1
    table = np.stack((presence @ slopes, np.full(256, 0.4)), axis=1)
    run, full = finished_run(TableGame(table), 120)
    figures = run.quality(full)
    assert figures.infidelity == pytest.approx(0, abs=1e-20)
    assert figures.split_half_spearman == pytest.approx(1)
    assert figures.additivity_gap == pytest.approx(0, abs=1e-12)
    constant, full = finished_run(TableGame(np.full(256, 0.4)), 120)
    nothing = constant.quality(full)
    assert nothing.infidelity is None
    assert nothing.split_half_spearman is None
    assert nothing.held_out_r_squared is None
    assert nothing.largest_interval_ratio == 0
    assert nothing.certain_top_k is None  # all zero: none is the strongest


def test_figures_are_the_worst_over_the_outputs() -> None:
    easy, hard = model_like_game(9, seed=0).table, random_game(9, seed=0).table
    both, full = finished_run(TableGame(np.stack((easy, hard), axis=1)), 30)
    apart = [finished_run(TableGame(table), 30) for table in (easy, hard)]
    one, other = (run.quality(end) for run, end in apart)
    figures = both.quality(full)
    assert figures.infidelity == pytest.approx(max(one.infidelity, other.infidelity))
    assert figures.split_half_spearman == pytest.approx(min(one.split_half_spearman, other.split_half_spearman))
    assert figures.held_out_r_squared == pytest.approx(min(one.held_out_r_squared, other.held_out_r_squared))
    assert figures.largest_interval_ratio == pytest.approx(
        max(one.largest_interval_ratio, other.largest_interval_ratio)
    )
    assert figures.certain_top_k == min(one.certain_top_k, other.certain_top_k)


def test_better_explanations_have_better_figures() -> None:
    game = model_like_game(10, seed=3)
    few, many = (run.quality(full) for run, full in (finished_run(game, 40), finished_run(game, 400)))
    assert many.split_half_spearman > few.split_half_spearman
    assert many.largest_interval_ratio < few.largest_interval_ratio


def test_interval_ratios_are_half_widths_over_the_range_of_the_values_and_zero() -> None:
    ratios = interval_ratios(attribution_of([[1.0, 5.0, 3.0], [2.0, 2.0, 2.0]], [[0.1, 1.0, 0.2], [0.5, 0.0, 0.0]]))
    assert ratios.tolist() == [0.2, 0.25]
    assert interval_ratios(attribution_of([[0.0, 0.0]], 0.5)).tolist() == [np.inf]
    assert interval_ratios(attribution_of([[2.0, 2.0]])).tolist() == [0]
    assert np.isnan(interval_ratios(attribution_of([[1.0, 2.0]], np.nan))).all()


def test_the_first_k_count_as_certain_up_to_the_last_k_that_is() -> None:
    # 9, 5 and 4 are 4 and 1 apart, 4 and 1 are 3.
    assert certain_top_k(attribution_of([[1.0, -9.0, 5.0, -4.0]], 0.1)) == [4]
    assert certain_top_k(attribution_of([[1.0, -9.0, 5.0, -4.0]], 1.0)) == [4]
    assert certain_top_k(attribution_of([[1.0, -9.0, 5.0, -4.0]], [[3.0, 1.0, 1.0, 1.0]])) == [1]
    assert certain_top_k(attribution_of([[1.0, -9.0, 5.0, -4.0]], 9.0)) == [0]
    assert np.isnan(certain_top_k(attribution_of([[1.0, 2.0]], np.nan))).all()
    assert certain_top_k(attribution_of([[1.0]], 0.5)) == [1]


def test_the_record_keeps_as_many_rows_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explicate_server.explain.quality.MAX_CELLS", 12 * 25)
    record = Record()
    assert record.rows() is None
    coalitions, values = np.random.default_rng(0).random((40, 10)) < 0.5, np.arange(80.0).reshape(40, 2)
    for rows in (slice(0, 20), slice(20, 40)):
        record.add(coalitions[rows], values[rows])
    kept = record.rows()
    assert kept is not None
    assert np.array_equal(kept[0], coalitions[:25])
    assert np.array_equal(kept[1], values[:25])


def test_faithfulness_averages_the_falls_over_the_five_shares() -> None:
    values = np.array([4.0, -1.0, 3.0, 2.0, 1.0, 0.0, -2.0, 0.5, 0.25, -3.0])
    check = FaithfulnessCheck(attribution_of([values.tolist(), [0.0] * 10]), seed=5)
    told = np.stack((check.coalitions @ values, np.full(len(check.coalitions), 99.0)), axis=1)
    figures = check.added_to(NO_FIGURES, told, np.array([values.sum(), 0.0]))
    comprehensiveness, sufficiency = figures.comprehensiveness, figures.sufficiency
    assert comprehensiveness is not None
    assert sufficiency is not None
    # Of ten players the top 1, 1, 1, 2 and 5: 4, 4, 4, 4 + 3 and 4 + 3 + 2 + 1 + 0.5.
    assert comprehensiveness.value == pytest.approx((4 + 4 + 4 + 7 + 10.5) / 5)
    assert sufficiency.value == pytest.approx(values.sum() - (4 + 4 + 4 + 7 + 10.5) / 5)
    assert comprehensiveness.random + sufficiency.random == pytest.approx(values.sum())
    assert comprehensiveness.random < comprehensiveness.value


@pytest.mark.parametrize("n", [0, 1, 2, 3, 14, 1000])
def test_faithfulness_needs_at_most_twenty_different_rows_never_the_ends(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(1, n))
    check = FaithfulnessCheck(attribution_of(values.tolist()), seed=1)
    sizes = check.coalitions.sum(axis=1)
    assert len(check.coalitions) <= 20
    assert len(np.unique(check.coalitions, axis=0)) == len(check.coalitions)
    assert ((sizes > 0) & (sizes < n)).all()
    figures = check.added_to(NO_FIGURES, np.zeros((len(check.coalitions), 1)), np.zeros(1))
    assert (figures == NO_FIGURES) == (n < 2)
    again = FaithfulnessCheck(attribution_of(values.tolist()), seed=1)
    assert np.array_equal(check.coalitions, again.coalitions)


def test_faithfulness_takes_groups_out_whole() -> None:
    attribution = attribution_of([[1.0, 5.0, 2.0]], groups=[0, 0, 1, 1, 1, 2])
    check = FaithfulnessCheck(attribution, seed=0)
    assert check.coalitions.shape[1] == 6
    assert [0, 0, 1, 1, 1, 0] in check.coalitions.astype(int).tolist()
    assert (check.coalitions[:, 0] == check.coalitions[:, 1]).all()
    assert (check.coalitions[:, 2] == check.coalitions[:, 4]).all()


def test_methods_without_additivity_have_no_gap() -> None:
    attribution = replace(attribution_of([[1.0, 2.0, 4.0]]), additive=False)
    figures = quality.basic_figures(attribution, game=ends_of([7.5]), halves=None, record=Record()).quality()
    assert figures.additivity_gap is None
    gap = quality.basic_figures(
        replace(attribution, additive=True), game=ends_of([7.5]), halves=None, record=Record()
    ).quality()
    assert gap.additivity_gap == pytest.approx(0.5)


def odd_games() -> dict[str, TableGame]:
    """Games in which some difference is nearly nothing beside another."""
    noise = np.random.default_rng(0)
    games = {}
    for n in (1, 2, 3, 4, 6):
        sizes = np.array([index.bit_count() for index in range(2**n)])
        tremor = 1e-9 * noise.normal(size=2**n)
        games |= {
            f"any-{n}": (sizes > 0) + tremor,
            f"all-{n}": (sizes == n) + tremor,
            f"parity-{n}": sizes % 2 + tremor,
            f"equal-{n}": sizes / n + tremor,
            f"ends-{n}": ((sizes == 0) | (sizes == n)) + tremor,
            f"inside-{n}": ((sizes > 0) & (sizes < n)) + tremor,
            f"constant-{n}": 0.9 + tremor,
            f"float32-{n}": np.float32(0.9) * (1 + np.float32(6e-8) * noise.integers(-1, 2, 2**n)).astype(np.float64),
        }
    return {name: TableGame(np.asarray(table, dtype=np.float64)) for name, table in games.items()}


@pytest.mark.parametrize("method", METHODS)
def test_figures_are_in_their_ranges_where_differences_are_nearly_nothing(method: str) -> None:
    for name, game in odd_games().items():
        n = game.n_players
        for budget in (4, 12, 64):
            if method == "exact-shap" and budget < 2**n:
                continue
            figures = explain_game(game, n, method=method, max_evaluations=budget).quality
            told = f"{name}, {budget} rows: {figures}"
            # A parity is as far from additive as a game can be. Ratios to the tremor would be 1e9 and more.
            assert figures.held_out_r_squared is None or -10 * n <= figures.held_out_r_squared <= 1 + 1e-12, told
            assert figures.infidelity is None or 0 <= figures.infidelity <= n**2 + 1, told
            assert figures.split_half_spearman is None or abs(figures.split_half_spearman) <= 1 + 1e-12, told
            assert figures.largest_interval_ratio is None or 0 <= figures.largest_interval_ratio < np.inf, told
            assert figures.certain_top_k is None or 0 <= figures.certain_top_k <= n, told


@pytest.mark.parametrize("method", ["exact-shap", "kernel-shap", "permutation-shap"])
def test_two_players_have_no_held_out_fit_and_players_of_one_size_no_strongest(method: str) -> None:
    two = explain_game(TableGame(np.array([0.1, 0.9, 0.9 - 1e-4, 0.9])), 2, method=method)
    assert two.quality.held_out_r_squared is None
    assert two.quality.infidelity is not None
    assert two.quality.infidelity < 1
    nothing = explain_game(TableGame(np.full(2**6, 0.7)), 6, method=method)
    assert nothing.quality.certain_top_k is None
    assert not nothing.values.any()
