"""How many of the strongest interactions of two players are told: the wish, checked, and what answers it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from explicate_server.errors import Violation
from explicate_server.explain.attribution import Booleans, Floats
from explicate_server.explain.game import GameInfo
from explicate_server.explain.interactions.cut_regression import fit_seconds
from explicate_server.explain.interactions.strongest_pairs import StrongestPairs, strongest_pairs
from explicate_server.explain.method import Method
from explicate_server.explain.methods import methods_of
from explicate_server.explain.rounds import ExplanationRun
from explicate_server.explain.statistics.coalitions import PairSampler, with_complements
from explicate_server.explain.told_game import ToldGame

MOST_INTERACTIONS = 100
# Explained outputs at most: the pairs of each are a fit of their own, 3 to 20 ms.
MOST_OUTPUTS = 64
# A method that samples has so many times its default budget where interactions are asked for: there are (n − 1) / 2
# unknowns for each player. At 32n rows the golden games' interactions have relative L2 errors of .50 and .32 and .73
# and .95 of the five told are certain, at 64n .35 and .21, and all but .01.
BUDGET_FACTOR = 2
# Coalitions of a game that its model tells: all of 12 players. Additions take a second or less; of trees a coalition
# takes a millisecond or more, so that time may end it before.
_MOST_TOLD, _TOLD_AT_ONCE = 1 << 12, 128
_TOLD_ROWS_PER_PLAYER = 64


def interactions_violations(
    interactions: int | None, method: Method, *, outputs: int, reads: str, fits: Callable[[Method], bool]
) -> list[Violation]:
    """What is wrong with asking a method for so many interactions of so many outputs; empty when nothing is.

    ``fits`` says which methods a model has.
    """
    if interactions is None:
        return []
    path = "options.interactions"
    if not 1 <= interactions <= MOST_INTERACTIONS:
        return [Violation(path, f"is {interactions}; it must be between 1 and {MOST_INTERACTIONS:,}")]
    if not method.interacts:
        able = ", ".join(each.name for each in methods_of(reads).values() if each.interacts and fits(each))
        return [Violation(path, f"{method.name} does not tell interactions; those that do are {able}")]
    if outputs > MOST_OUTPUTS:
        problem = f"is asked for all {outputs:,} classes; they are told of at most {MOST_OUTPUTS}: explain one class"
        return [Violation(path, problem)]
    return []


def seconds_for(interactions: int | None, players: int, rows: int) -> float:
    """About how long the last step takes, for which time must be kept back."""
    return 0.0 if interactions is None else fit_seconds(players, rows)


def found_interactions(
    run: ExplanationRun, game: GameInfo, count: int, seconds_left: float
) -> Sequence[StrongestPairs] | None:
    """The strongest of a run that is over; None where there is nothing or no time to find them by. Of a game that its
    model tells exact where all coalitions are few, else of as many as there is time for.
    """
    attribution, rows = run.attribution, run.rows
    if game.told is not None:
        rows = _told_rows(game.told, game, seconds_left / 2)
        # The whole input as the model tells it: what the graph answers is rounded to float32, which is no interaction.
        game = replace(game, full=game.told.values(np.ones((1, game.n_players), np.bool_))[0])
    elif seconds_left < fit_seconds(attribution.values.shape[1], run.evaluations):
        return None
    return strongest_pairs(rows, attribution, game, count=count)


def _told_rows(told: ToldGame, game: GameInfo, seconds: float) -> tuple[Booleans, Floats]:
    """Coalitions, each followed by its complement, in the order of `kernel-shap`, and their values, in about so many
    seconds.
    """
    until_s = time.monotonic() + seconds
    n = game.n_players
    half = PairSampler(n, game.seed).draw(max(_MOST_TOLD, _TOLD_ROWS_PER_PLAYER * n) // 2)[0]
    coalitions = with_complements(half)
    known = np.zeros((0, game.n_outputs))
    while len(known) < len(coalitions) and time.monotonic() < until_s:
        known = np.concatenate((known, told.values(coalitions[len(known) : len(known) + _TOLD_AT_ONCE])))
    return coalitions[: len(known)], known
