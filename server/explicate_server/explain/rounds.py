"""The loop of one explanation: rounds of ask and tell until tolerance, certainty, budget or deadline ends it.

Sans I/O: the caller evaluates the coalitions that `next_round` gives, and tells their values.

    run = ExplanationRun(estimator, settings=settings, spent=2)
    while (coalitions := run.next_round(seconds_left)) is not None:
        run.tell(evaluate(coalitions))
    run.attribution, run.stop_reason, run.converged, run.quality(game)
"""

from copy import copy
from dataclasses import dataclass
from enum import Enum

import numpy as np

from explicate_server.explain.attribution import (
    Attribution,
    Booleans,
    Floats,
    Indices,
    certain_top,
    within_tolerance,
)
from explicate_server.explain.game import Asked, Estimator, GameInfo, NonFiniteValueError, Shared
from explicate_server.explain.quality import Quality, QualityFigures, Record, basic_figures

# The part of the time left that a round may plan to use: the last solve and the answer need some too.
PLANNED_SHARE_OF_TIME_LEFT = 0.9
# Under this fraction of the rows it wanted, a round that must be cut for the deadline is not worth its solve.
LEAST_SHARE_OF_ROUND = 0.1


class StopReason(Enum):
    """Why the loop stopped."""

    RUNNING = "running"
    TOLERANCE = "tolerance"
    TOP_K = "top-k"
    BUDGET = "budget"
    DEADLINE = "deadline"
    EXACT = "exact"
    COMPLETE = "complete"  # every row that the method wants was evaluated; they are fewer than the budget


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How far an explanation goes.

    Attributes:
        max_evaluations: upper bound on rows through the model, those spent before the first round included.
        min_evaluations: rows before tolerance or top_k may stop the run; also where the first round ends.
        tolerance: stop once the widest interval's half-width is below this fraction of the range of the values, for
            every output; 0 never stops early.
        top_k: stop once it is certain, for every output, which players have the top_k largest values by size; None
            never stops for that.
        round_growth: each round multiplies the total by this, so that solving stays cheap beside evaluating. The
            default doubles it every two rounds: 3n, 4.2n, 6n, 8.5n, 12n, …
        round_rows: rounds of this many rows instead, for methods that have no use for early small rounds.
    """

    max_evaluations: int
    min_evaluations: int
    tolerance: float
    top_k: int | None = None
    round_growth: float = 2**0.5
    round_rows: int | None = None


class ExplanationRun:
    """One explanation in progress.

    Attributes:
        rounds: rounds told so far.
        evaluations: rows evaluated so far, those spent before the first round included.
        stop_reason: RUNNING until `next_round` gave None or `stop` was called.
        cut_by_clock: whether a round had fewer rows than it wanted, for want of time; the same request may then get
            another answer when the machine is faster.
    """

    def __init__(
        self, estimator: Estimator, *, settings: RunSettings, spent: int, drawn: Booleans | None = None, games: int = 1
    ) -> None:
        """Start with `spent` rows evaluated already (the instance itself, and v(∅) where it is a row of the model).

        `drawn` are the rows of a game that draws them, see `GameInfo`, also for `games`.
        """
        self.rounds = 0
        self.evaluations = spent
        self.stop_reason = StopReason.RUNNING
        self.cut_by_clock = False
        self._attribution: Attribution | None = estimator.estimate()
        self._estimator = estimator
        self._is_shared = isinstance(estimator, Shared)
        self._record = Record(games)
        self._games = games
        self._drawn = drawn
        self._settings = settings
        self._min_evaluations = min(settings.min_evaluations, settings.max_evaluations)
        self._target = float(spent)  # the total at which the current round ends
        self._asked: Asked | None = None
        self._last_round: tuple[float, int] | None = None  # seconds left when it was asked, its rows

    @property
    def attribution(self) -> Attribution:
        """The current estimate, computed once a round, when it is first asked for: that takes as long as a fit."""
        if self._attribution is None:
            self._attribution = self._estimator.estimate()
        return self._attribution

    @property
    def converged(self) -> bool:
        """Whether the values are exact or what tolerance or top_k ask for; while running, not before
        `min_evaluations`.
        """
        return self._goal() is not None

    @property
    def rows(self) -> tuple[Booleans, Floats] | None:
        """The coalitions that were evaluated, bool[m, n], and their values float64[m, outputs], as far as they are kept
        (see `Record`), without v(∅) and v(N); None when there are none.
        """
        return self._record.rows()

    def quality(self, game: GameInfo) -> Quality:
        """How far the current estimate of the game can be trusted."""
        return self.figures(game).quality()

    def figures(self, game: GameInfo) -> QualityFigures:
        """The same of all the games."""
        return basic_figures(self.attribution, game=game, halves=self._estimator.halves(), record=self._record)

    def of(self, games: Indices, outputs: Indices) -> "ExplanationRun":
        """The run of some of the games, which have these outputs; this one is over. The estimator is `Shared`."""
        if not isinstance(self._estimator, Shared):
            raise TypeError(f"{type(self._estimator).__name__} plays one game at a time.")
        part = copy(self)
        part._estimator = self._estimator.of(games)
        part._attribution = self.attribution.of(outputs)
        part._record = self._record.of(len(games), outputs)
        part._games = len(games)
        return part

    def next_round(self, seconds_left: float | None = None) -> Asked | None:
        """What to evaluate next, m coalitions or rows, or None when the run is over.

        `seconds_left` is the time to the deadline, None without one. A round that the pace of the last one would
        carry past the deadline is cut short.
        """
        if self._asked is not None:
            raise ValueError("The last round was not told yet: call tell before next_round.")
        if self.stop_reason is not StopReason.RUNNING:
            return None
        goal = self._goal()
        if goal is not None:
            self.stop_reason = goal
            return None
        rows_left = self._estimator.rows_left
        if not rows_left:
            self.stop_reason = (
                StopReason.COMPLETE if self.evaluations < self._settings.max_evaluations else StopReason.BUDGET
            )
            return None
        wanted = min(max(self._next_count(), 0), rows_left)
        count = min(wanted, self._affordable(seconds_left))
        self.cut_by_clock |= count < wanted
        if count < LEAST_SHARE_OF_ROUND * wanted:
            self.stop_reason = StopReason.DEADLINE
            return None
        coalitions = self._estimator.ask(count) if count > 0 else None
        if coalitions is None or not len(coalitions):
            self.stop_reason = StopReason.BUDGET if count == wanted else StopReason.DEADLINE
            return None
        self._asked = coalitions
        self._last_round = None if seconds_left is None else (seconds_left, len(coalitions))
        return coalitions

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """The values of the last round's coalitions, float64[m, outputs], and which were evaluated (None: all).

        Raises:
            NonFiniteValueError: a value that was evaluated is NaN or infinite.
            ValueError: the shape does not fit the round.
        """
        if self._asked is None:
            raise ValueError("There is no round to tell the values of: call next_round first.")
        asked = self._asked
        if values.ndim != 2 or len(values) != len(asked):
            raise ValueError(f"The values have shape {values.shape}; they must be [{len(asked)}, outputs].")
        known = np.ones(len(asked), np.bool_) if evaluated is None else evaluated
        present = np.asarray(asked, np.bool_) if self._drawn is None else self._drawn[asked]
        require_finite(present, values, known, round=self.rounds + 1)
        self._asked = None
        self._estimator.tell(values, evaluated)
        self._record.add(present[known], values[known])
        self.evaluations += int(known.sum())
        self.rounds += 1
        self._attribution = None

    def stop(self, reason: StopReason) -> None:
        """End the run from outside, such as when the deadline came inside a round; tell what was evaluated first."""
        self._asked = None
        self.stop_reason = reason
        self.cut_by_clock |= reason is StopReason.DEADLINE

    def _goal(self) -> StopReason | None:
        """Which of the reasons to stop with a good answer holds for all games by now."""
        goals = set(self.goals())
        return goals.pop() if len(goals) == 1 else None

    def goals(self) -> list[StopReason | None]:
        """The same of each game."""
        settings = self._settings
        if not (settings.tolerance or settings.top_k) and self._estimator.rows_left and self._is_shared:
            return [None] * self._games  # one of these is exact when nothing is left; a fit would be for nothing
        attribution = self.attribution
        if attribution.exact:
            return [StopReason.EXACT] * self._games
        early = self.stop_reason is StopReason.RUNNING and self.evaluations < self._min_evaluations
        if early or attribution.provisional:
            return [None] * self._games
        n = attribution.values.shape[1]
        within = within_tolerance(attribution, settings.tolerance)
        certain = np.zeros_like(within)
        if settings.top_k and n:
            certain = certain_top(attribution)[:, min(settings.top_k, n) - 1]
        by_game = (each.reshape(self._games, -1).all(axis=1).tolist() for each in (certain, within))
        return [
            StopReason.TOP_K if is_certain else StopReason.TOLERANCE if is_within else None
            for is_certain, is_within in zip(*by_game, strict=True)
        ]

    def _next_count(self) -> int:
        settings = self._settings
        if settings.round_rows:
            target = float(self.evaluations + settings.round_rows)
        else:
            target = max(float(self._min_evaluations), self._target * settings.round_growth)
            # A round cut for the deadline ends before its target; the next one goes on from where it really ended.
            while target <= self.evaluations + 1:
                target *= settings.round_growth
        self._target = min(target, float(settings.max_evaluations))
        return round(self._target) - self.evaluations

    def _affordable(self, seconds_left: float | None) -> int:
        """How many rows the time left is enough for, by the pace of the last round."""
        unlimited = self._settings.max_evaluations
        if seconds_left is None:
            return unlimited
        if seconds_left <= 0:
            return 0
        if self._last_round is None:
            return unlimited
        before, rows = self._last_round
        seconds_per_row = max(before - seconds_left, 0.0) / rows
        planned = PLANNED_SHARE_OF_TIME_LEFT * seconds_left
        return unlimited if seconds_per_row * unlimited <= planned else int(planned / seconds_per_row)


def require_finite(coalitions: Booleans, values: Floats, evaluated: Booleans, *, round: int) -> None:
    """Raise NonFiniteValueError naming the first evaluated row with a value that is not a finite number."""
    bad = np.flatnonzero(evaluated & ~np.isfinite(values).all(axis=1))
    if len(bad):
        row = int(bad[0])
        raise NonFiniteValueError(round=round, row=row, present=np.flatnonzero(coalitions[row]).tolist())
