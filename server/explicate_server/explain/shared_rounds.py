"""The rounds of many explanations on the same coalitions: each ends where it would have ended alone, the others go on.

rounds = SharedRounds(run, game)
while (coalitions := rounds.next_round(seconds_left)) is not None:
    rounds.tell(evaluate(coalitions, rounds.games))
rounds.ended
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.game import Asked, GameInfo
from explicate_server.explain.quality import QualityFigures
from explicate_server.explain.rounds import ExplanationRun, StopReason


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Games that ended in the same round, and what is known of each.

    Attributes:
        games: their numbers.
        attribution: of their outputs, game after game.
        figures: how far each can be trusted.
        evaluations: rows evaluated for each.
        rounds: rounds told.
        stop_reasons: why each ended.
        converged: whether each has what tolerance or top_k ask for, or is exact.
    """

    games: Indices
    attribution: Attribution
    figures: QualityFigures
    evaluations: int
    rounds: int
    stop_reasons: Sequence[StopReason]
    converged: Sequence[bool]


class SharedRounds:
    """The explanations of several games in progress.

    Attributes:
        games: numbers of those that go on, ascending.
        ended: the others.
    """

    def __init__(self, run: ExplanationRun, game: GameInfo) -> None:
        """Take a run of all games."""
        self.games: Indices = np.arange(game.games)
        self.ended: list[Ended] = []
        self._run = run
        self._game = game

    @property
    def cut_by_clock(self) -> bool:
        """Whether a round had fewer rows than it wanted, for want of time."""
        return self._run.cut_by_clock

    def next_round(self, seconds_left: float | None = None) -> Asked | None:
        """What to evaluate next for every game that goes on; None when all have ended. See `ExplanationRun`."""
        if not len(self.games):
            return None
        self._end_at_goals(self._run.goals())
        asked = self._run.next_round(seconds_left) if len(self.games) else None
        if asked is None:
            self._end_all()
        return asked

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """The values of the last round's coalitions, float64[m, outputs of the games that go on], and which were
        evaluated.

        Raises:
            NonFiniteValueError, ValueError: see `ExplanationRun`.
        """
        self._run.tell(values, evaluated)

    def stop(self, reason: StopReason) -> None:
        """End all from outside; tell what was evaluated first."""
        self._run.stop(reason)
        self._end_all()

    def _end_at_goals(self, goals: Sequence[StopReason | None]) -> None:
        reached = np.array([goal is not None for goal in goals], np.bool_)
        if not reached.any():
            return
        there, others = np.flatnonzero(reached), np.flatnonzero(~reached)
        self._end(there, [goal for goal in goals if goal is not None])
        if len(others):
            self._run = self._run.of(others, self._game.outputs_of(others))
            self._game = self._game.of(others)
        self.games = self.games[others]

    def _end_all(self) -> None:
        if len(self.games):
            self._end(np.arange(len(self.games)), [self._run.stop_reason] * len(self.games))
        self.games = self.games[:0]

    def _end(self, places: Indices, reasons: Sequence[StopReason]) -> None:
        """Keep what is known of the games at these places of those that go on."""
        all_end = len(places) == len(self.games)
        run = self._run if all_end else self._run.of(places, self._game.outputs_of(places))
        game = self._game if all_end else self._game.of(places)
        ended = Ended(
            games=self.games[places],
            attribution=run.attribution,
            figures=run.figures(game),
            evaluations=run.evaluations,
            rounds=run.rounds,
            stop_reasons=reasons,
            converged=[goal is not None for goal in run.goals()],
        )
        self.ended.append(ended)
