"""explain_game: any method on a plain function."""

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.explain import METHODS, GameExplanation, NonFiniteValueError, StopReason, explain_game
from support.exact_games import model_like_game, random_game

DRAWING_NOTHING = {"exact-shap", "occlusion", "partition-shap"}


@pytest.mark.parametrize("method", METHODS)
def test_the_result_has_the_shape_of_the_games_values(method: str) -> None:
    one, several = random_game(7, seed=0), random_game(7, seed=0, n_outputs=3)
    flat = explain_game(one, 7, method=method)
    assert flat.values.shape == flat.standard_errors.shape == flat.lower.shape == flat.upper.shape == (7,)
    assert np.shape(flat.baseline_value) == np.shape(flat.instance_value) == ()
    stacked = explain_game(several, 7, method=method)
    assert stacked.values.shape == stacked.upper.shape == (3, 7)
    assert stacked.baseline_value.shape == stacked.instance_value.shape == (3,)


@pytest.mark.parametrize("method", METHODS)
def test_no_players_have_no_values(method: str) -> None:
    explanation = explain_game(lambda rows: np.full(len(rows), 2.5), 0, method=method)
    assert explanation.values.shape == (0,)
    assert explanation.instance_value == 2.5
    assert explanation.evaluations == 1
    assert explanation.rounds == 0
    assert explanation.stop_reason is StopReason.EXACT


def test_one_player_gets_the_whole_difference() -> None:
    explanation = explain_game(lambda rows: np.where(rows[:, 0], 5.0, 2.0), 1)
    assert explanation.values.tolist() == [3.0]
    assert explanation.baseline_value == 2
    assert explanation.evaluations == 2
    assert explanation.stop_reason is StopReason.EXACT
    assert explanation.converged


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [5, 20])
def test_a_constant_game_gives_zeros(method: str, n: int) -> None:
    explanation = explain_game(lambda rows: np.full(len(rows), 0.3), n, method=method, tolerance=0.1)
    assert explanation.values == pytest.approx(np.zeros(n), abs=1e-15)
    assert explanation.converged
    assert explanation.quality.held_out_r_squared is None
    assert explanation.quality.infidelity is None


@pytest.mark.parametrize("method", sorted(METHODS.keys() - DRAWING_NOTHING))
def test_the_same_seed_repeats_the_answer_and_another_does_not(method: str) -> None:
    game = model_like_game(12, seed=0)
    first, again, other = (explain_game(game, 12, method=method, seed=s, max_evaluations=120) for s in (1, 1, 2))
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(first.values, other.values)


@pytest.mark.parametrize("method", sorted(METHODS.keys() - DRAWING_NOTHING))
def test_numpys_global_random_state_is_neither_read_nor_moved(method: str) -> None:
    game = model_like_game(12, seed=0)
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = explain_game(game, 12, method=method, max_evaluations=120)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(first.values, explain_game(game, 12, method=method, max_evaluations=120).values)


@pytest.mark.parametrize("method", METHODS)
def test_no_coalition_is_evaluated_twice(method: str) -> None:
    game = model_like_game(8, seed=0)
    explanation = explain_game(game, 8, method=method)
    assert len(game.asked) == len(set(game.asked)) == explanation.evaluations


def test_estimates_are_shown_after_every_round_and_the_last_is_the_answer() -> None:
    shown: list[GameExplanation] = []
    explanation = explain_game(random_game(12, seed=0), 12, on_round=shown.append)
    assert [one.rounds for one in shown] == list(range(1, explanation.rounds + 1))
    assert all(one.stop_reason is StopReason.RUNNING for one in shown)
    assert np.array_equal(shown[-1].values, explanation.values)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    def game(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(rows.sum(axis=1) == 3, bad, 1.0)

    with pytest.raises(NonFiniteValueError, match="round 1, where the players"):
        explain_game(game, 6)
    with pytest.raises(NonFiniteValueError, match="row 0 of round 0"):
        explain_game(lambda rows: np.full(len(rows), bad), 6)


def test_values_of_the_wrong_shape_are_refused() -> None:
    for value in (lambda rows: 1.0, lambda rows: np.ones(len(rows) + 1), lambda rows: np.ones((len(rows), 1, 1))):
        with pytest.raises(ValueError, match="the game gave shape"):
            explain_game(value, 5)

    def changing(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.ones((len(rows), 2 if len(rows) == 2 else 3))

    with pytest.raises(ValueError, match="before it gave 2 outputs"):
        explain_game(changing, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "There is no method 'magic'; choose one of"),
        ({"n_players": -1}, "n_players is -1"),
        ({"seed": -1}, "The seed is -1"),
        ({"seed": 2**32, "method": "kernel-shap"}, "The seed is 4294967296; it must be from 0 to 4294967295"),
        ({"confidence": 1.0}, "The confidence is 1.0"),
        ({"max_evaluations": 1}, "needs at least 2"),
        ({"top_k": 0}, "top_k is 0"),
        ({"max_players": 1}, "max_players is 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain_game(lambda rows: np.ones(len(rows)), **{"n_players": 5, **arguments})  # type: ignore[arg-type]


def test_top_k_stops_before_the_budget() -> None:
    slopes = np.array([5.0, -4.0, *[0.1] * 18])

    def game(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return rows @ slopes + 0.05 * rows[:, 2:5].all(axis=1)

    explanation = explain_game(game, 20, top_k=2)
    assert explanation.stop_reason is StopReason.TOP_K
    assert explanation.converged
    assert explanation.evaluations == 60
    assert explanation.quality.certain_top_k is not None
    assert explanation.quality.certain_top_k >= 2


@pytest.mark.parametrize("method", METHODS)
def test_full_quality_costs_at_most_twenty_more_rows_and_changes_nothing_else(method: str) -> None:
    game = model_like_game(9, seed=1)
    basic, full = (explain_game(game, 9, method=method, seed=3, quality=level) for level in ("basic", "full"))
    assert np.array_equal(basic.values, full.values)
    assert basic.quality.comprehensiveness is None
    assert full.quality.comprehensiveness is not None
    assert full.quality.sufficiency is not None
    assert basic.evaluations < full.evaluations <= basic.evaluations + 20
    alone = explain_game(lambda rows: rows.sum(axis=1), 1, method=method, quality="full")
    assert alone.quality.sufficiency is None  # nothing to rank


def test_the_top_players_of_a_good_explanation_matter_more_than_random_ones() -> None:
    falls = [explain_game(model_like_game(10, seed=s), 10, quality="full").quality for s in range(6)]
    more = [q.comprehensiveness.value - q.comprehensiveness.random for q in falls if q.comprehensiveness]
    less = [q.sufficiency.value - q.sufficiency.random for q in falls if q.sufficiency]
    assert np.mean(more) > 0.1
    assert np.mean(less) < -0.1


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.refines])
def test_more_players_than_max_players_come_in_groups(method: str) -> None:
    slopes = np.random.default_rng(0).normal(size=100)
    explanation = explain_game(lambda rows: rows @ slopes, 100, method=method, max_evaluations=600, max_players=16)
    assert explanation.groups is not None
    assert explanation.values.shape == (16,)
    assert explanation.values == pytest.approx(np.bincount(explanation.groups, weights=slopes), abs=1e-9)
    assert explanation.quality.infidelity == pytest.approx(0, abs=1e-12)
    assert explain_game(lambda rows: rows @ slopes[:16], 16, max_players=16, max_evaluations=300).groups is None


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_values_may_be_of_any_size(scale: float) -> None:
    game = model_like_game(9, seed=2)
    plain = explain_game(game, 9, quality="full")
    scaled = explain_game(lambda rows: scale * game(rows), 9, quality="full")
    assert scaled.values / scale == pytest.approx(plain.values, rel=1e-6, abs=1e-9)
    assert scaled.quality.infidelity == pytest.approx(plain.quality.infidelity)
    assert scaled.quality.certain_top_k == plain.quality.certain_top_k


def test_players_that_are_all_alike_share_alike() -> None:
    explanation = explain_game(lambda rows: rows.mean(axis=1) ** 2, 12, top_k=3)
    assert explanation.values == pytest.approx(np.full(12, 1 / 12), abs=1e-9)
    assert explanation.converged
