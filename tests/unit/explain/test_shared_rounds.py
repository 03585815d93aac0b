"""Many games on the same coalitions: each has what it has alone, with the same options and seed."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from explicate_server.explain import GameExplanation, GameInfo, StopReason, explain_game
from explicate_server.explain.methods import methods_of
from explicate_server.explain.shared_rounds import Ended, SharedRounds
from support.exact_games import TableGame, model_like_game, random_game

PLAYERS = 9


def games_of(count: int, *, players: int = PLAYERS, outputs: int = 1) -> list[TableGame]:
    """Games of which some are nearly additive, so that they need fewer coalitions than others."""
    made = []
    for seed in range(count):
        tables = [model_like_game(players, 10 * seed + output).table for output in range(outputs)]
        noise = random_game(players, seed).table * (0.3 if seed % 3 == 2 else 0.0)
        made.append(TableGame(np.stack([table + noise for table in tables], axis=1)))
    return made


def explained_together(
    games: list[TableGame],
    method: str,
    *,
    players: int = PLAYERS,
    seed: int = 0,
    confidence: float = 0.95,
    **options: float | None,
) -> tuple[list[Ended], GameInfo]:
    """Explain all of them on the same coalitions."""
    played = methods_of("table")[method]
    run_settings = played.settings(players, **options)  # type: ignore[arg-type]
    ends = np.concatenate(
        [game(np.array([[False] * players, [True] * players])).reshape(2, -1) for game in games], axis=1
    )
    information = GameInfo(
        n_players=players, empty=ends[0], full=ends[1], games=len(games), seed=seed, confidence=confidence
    )
    rounds = SharedRounds(played.start(information, run_settings, max_players=players, spent=2), information)
    while (coalitions := rounds.next_round()) is not None:
        rounds.tell(
            np.concatenate([games[number](coalitions).reshape(len(coalitions), -1) for number in rounds.games], axis=1)
        )
    return rounds.ended, information


def told(ended: list[Ended], outputs: int) -> Iterator[tuple[int, Ended, int, NDArray[np.intp]]]:
    """Each game, what it ended with, and its place and outputs there."""
    for part in ended:
        for place, game in enumerate(part.games.tolist()):
            yield game, part, place, np.arange(place * outputs, (place + 1) * outputs)


def alone(game: TableGame, method: str, **options: object) -> GameExplanation:
    """The game by itself."""
    return explain_game(game, PLAYERS, method=method, reads="table", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("kernel-shap", {"tolerance": 0.2}),
        ("kernel-shap", {"tolerance": 0.05, "max_evaluations": 150}),
        ("kernel-shap", {"tolerance": 0.0, "max_evaluations": 60}),
        ("kernel-shap", {"tolerance": 0.1, "top_k": 2, "min_evaluations": 20}),
        ("exact-shap", {"tolerance": 0.0}),
        ("exact-shap", {"tolerance": 0.05}),
    ],
)
def test_each_game_has_what_it_has_alone(method: str, options: dict[str, float], outputs: int) -> None:
    games = games_of(6, outputs=outputs)
    ended, _ = explained_together(games, method, **options)
    seen = []
    for number, part, place, of_game in told(ended, outputs):
        single = alone(games[number], method, **{"tolerance": 0.0, **options})
        attribution = part.attribution.of(of_game)
        for name, ours in (
            ("values", attribution.values),
            ("standard_errors", attribution.standard_errors),
            ("lower", attribution.lower),
            ("upper", attribution.upper),
            ("baseline_value", attribution.baseline),
        ):
            assert np.asarray(ours).ravel() == pytest.approx(np.ravel(getattr(single, name)), abs=1e-9, nan_ok=True)
        assert (part.evaluations, part.rounds) == (single.evaluations, single.rounds)
        assert (part.stop_reasons[place], part.converged[place]) == (single.stop_reason, single.converged)
        ours_quality, quality = part.figures.quality(place), single.quality
        assert {name: pytest.approx(value, abs=1e-9) for name, value in vars(ours_quality).items()} == vars(quality)
        seen.append(number)
    assert sorted(seen) == list(range(6))


def test_games_that_are_done_drop_out_and_the_others_go_on() -> None:
    ended, _ = explained_together(games_of(9), "kernel-shap", tolerance=0.1)
    assert len({part.evaluations for part in ended}) > 1
    assert {reason for part in ended for reason in part.stop_reasons} >= {StopReason.TOLERANCE}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), players=st.integers(1, 7), outputs=st.integers(1, 2))
def test_exact_values_are_those_of_enumeration(seed: int, players: int, outputs: int) -> None:
    games = [random_game(players, seed % 1000 + number, outputs) for number in range(3)]
    ended, _ = explained_together(games, "exact-shap", players=players, seed=seed)
    for number, part, _, of_game in told(ended, outputs):
        truth = np.reshape(games[number].shapley_values, (-1, players))
        assert part.attribution.values[of_game] == pytest.approx(truth, abs=1e-9)
        assert part.stop_reasons == [StopReason.EXACT] * 3


def test_the_time_that_is_up_ends_all_that_go_on() -> None:
    games = games_of(4)
    method = methods_of("table")["kernel-shap"]
    ends = np.concatenate(
        [game(np.array([[False] * PLAYERS, [True] * PLAYERS])).reshape(2, -1) for game in games], axis=1
    )
    information = GameInfo(n_players=PLAYERS, empty=ends[0], full=ends[1], games=4)
    run = method.start(information, method.settings(PLAYERS, tolerance=1e-9), max_players=PLAYERS, spent=2)
    rounds = SharedRounds(run, information)
    coalitions = rounds.next_round()
    assert coalitions is not None
    values = np.concatenate([game(coalitions).reshape(len(coalitions), -1) for game in games], axis=1)
    evaluated = np.arange(len(coalitions)) < 20
    rounds.tell(values, evaluated)
    rounds.stop(StopReason.DEADLINE)
    (part,) = rounds.ended
    assert part.games.tolist() == [0, 1, 2, 3]
    assert part.evaluations == 22
    assert part.stop_reasons == [StopReason.DEADLINE] * 4
    assert part.converged == [False] * 4
    assert rounds.next_round() is None
