"""The game an estimator plays, and what an estimator is.

A game gives a value to every coalition: what the model answers when only the coalition's players are present. Its size
and its two ends, v(∅) and v(N), are known before anything is asked.

An estimator asks for coalitions, is told their values, and estimates attributions. It knows nothing of models, threads,
deadlines or budgets (see rounds.py), owns its random stream, and can be stopped after any round. A new one is one file
with a class of this shape and a `METHOD`, and one line in methods.py.

What can go wrong inside an explanation.

ExplanationError
└── NonFiniteValueError     the game answered NaN or infinity for a coalition
ValueError                  wrong arguments
└── TooFewEvaluationsError  the budget is below what the method can do with
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeAlias, runtime_checkable

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.told_game import ToldGame


class ExplanationError(Exception):
    """An explanation could not be computed."""


class NonFiniteValueError(ExplanationError):
    """The game answered NaN or infinity, so that no attribution can be computed.

    `row` counts the rows asked in this explanation, from 0 in each round; `round` is 0 for the rows asked before
    the first round (nothing present, everything present).
    """

    def __init__(self, *, round: int, row: int, present: list[int]) -> None:
        self.round = round
        self.row = row
        self.present = present
        super().__init__(
            f"The game's value is not a finite number in row {row} of round {round}, where the players {present} are "
            "present; the model must answer finite numbers for every coalition."
        )


class TooFewEvaluationsError(ValueError):
    """The method cannot do with `max_evaluations` rows; `problem` is the message without its subject."""

    def __init__(self, *, method: str, n_players: int, max_evaluations: int) -> None:
        self.problem = (
            f"is {max_evaluations:,}; {method} needs all 2^{n_players} coalitions of {n_players:,} players; give as "
            'many, or take method "auto" or "kernel-shap"'
        )
        super().__init__(f"max_evaluations {self.problem}")


Asked: TypeAlias = Booleans | Indices
"""Coalitions bool[m, n], True where a player is present; if a game draws its rows itself, their numbers intp[m]."""


class Estimator(Protocol):
    """Ask and tell take turns: every `ask` that gave rows is answered by one `tell`."""

    def ask(self, count: int) -> Asked | None:
        """Up to `count` further coalitions.

        Returns:
            Coalitions bool[m, n], or numbers of drawn rows. No coalition comes twice, nor the full one, nor, for
            methods that know v(∅) beforehand, the empty one. m is 0 when `count` or the method's own budget is too
            small to go on (one row of a pair); None means that nothing is left to ask.
        """

    @property
    def rows_left(self) -> int:
        """The most rows that can still be asked for, whatever the budget; 0 when nothing is left to ask."""

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """The values of the rows of the last `ask`, in their order.

        Args:
            values: float64[m, outputs].
            evaluated: bool[m]; rows marked False were not evaluated (the deadline came first), their values are
                ignored. None means all were.
        """

    def estimate(self) -> Attribution:
        """The attributions from all values told so far; works at any time, also before the first value."""

    def halves(self) -> tuple[Floats, Floats] | None:
        """Attributions from two disjoint halves of the rows told, by the same rule: how much hangs on the draw.

        Returns:
            float64[outputs, n] twice, the columns those of `estimate`; None where nothing was drawn at random, or too
            little to halve.
        """


@runtime_checkable
class Shared(Estimator, Protocol):
    """An estimator whose coalitions do not depend on values, so that many games can be played on the same ones."""

    def of(self, games: Indices) -> Self:
        """The same with some of the games, as far as it was told; this one is not to be asked any more."""


WALL = 1 << 20
"""A break that no group of players goes across."""


@dataclass(frozen=True, kw_only=True)
class GameInfo:
    """What every estimator is built from.

    Attributes:
        n_players: how many players, from 0.
        empty: float64[outputs], v(∅), every player absent; NaN for methods that do not need it.
        full: float64[outputs], v(N), every player present.
        games: how many games are played at once on the same coalitions, each with as many outputs: those of the first
            game come first. For methods that are `shared` only.
        seed: of all random choices, from 0 up to `MAX_SEED`.
        confidence: coverage of the intervals, in (0, 1).
        breaks: intp[n − 1], how much parts player i from player i + 1: 0 nothing, larger numbers more (of a text: 1 a
            comma, 2 the end of a sentence, 3 of a paragraph, WALL of the first text of a pair). None when nothing is
            known of it.
        drawn: bool[rows, n], which players are present in the rows that the game has drawn itself, the first row the
            input itself; they are asked by number. None where coalitions are asked for.
        integral: float64[outputs, n] twice, that of the gradient along the way from v(∅) to v(N) and how far off it may
            be; None but for methods that are `along_path`.
        told: the game itself where its model tells enough of itself, so that it need not be asked; else None. Of
            several games all of them.
    """

    n_players: int
    empty: Floats
    full: Floats
    games: int = 1
    seed: int = 0
    confidence: float = 0.95
    breaks: Indices | None = None
    drawn: Booleans | None = None
    told: ToldGame | None = None
    integral: tuple[Floats, Floats] | None = None

    @property
    def n_outputs(self) -> int:
        """How many outputs are explained at once, of all games."""
        return len(self.full)

    @property
    def outputs_each(self) -> int:
        """How many outputs each game has."""
        return len(self.full) // self.games

    def outputs_of(self, games: Indices) -> Indices:
        """The places of the outputs of some games."""
        return np.asarray((games[:, np.newaxis] * self.outputs_each + np.arange(self.outputs_each)).ravel(), np.intp)

    def of(self, games: Indices) -> "GameInfo":
        """Some of the games."""
        outputs = self.outputs_of(games)
        return replace(self, empty=self.empty[outputs], full=self.full[outputs], games=len(games))
