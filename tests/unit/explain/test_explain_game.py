"""explain_game: any method on a plain function."""

import numpy as np
import pytest
from exact_games import model_like_game, random_game
from numpy.typing import NDArray

from explicate_server.explain import METHODS, GameExplanation, NonFiniteValueError, StopReason, explain_game

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
    assert np.isnan(explanation.held_out_r_squared)


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
        ({"seed": 2**32, "method": "lime"}, "The seed is 4294967296; for lime"),
        ({"confidence": 1.0}, "The confidence is 1.0"),
        ({"max_evaluations": 1}, "needs at least 2"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain_game(lambda rows: np.ones(len(rows)), **{"n_players": 5, **arguments})  # type: ignore[arg-type]
