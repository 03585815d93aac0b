"""The game an estimator plays: what is known about it before the first coalition is asked.

A game gives a value to every coalition: what the model answers when only the coalition's players are present. Here
stand its size and its two ends, v(∅) and v(N), which are known before anything is asked.
"""

from dataclasses import dataclass

from explicate_server.explain.arrays import Booleans, Floats, Indices

WALL = 1 << 20
"""A break that no group of players goes across."""


@dataclass(frozen=True, kw_only=True)
class GameInfo:
    """What every estimator is built from.

    Attributes:
        n_players: how many players, from 0.
        empty: float64[outputs], v(∅), every player absent; NaN for methods that do not need it.
        full: float64[outputs], v(N), every player present.
        seed: of all random choices, from 0 up to the method's `max_seed`.
        confidence: coverage of the intervals, in (0, 1).
        breaks: intp[n − 1], how much parts player i from player i + 1: 0 nothing, larger numbers more (of a text: 1 a
            comma, 2 the end of a sentence, 3 of a paragraph, WALL of the first text of a pair). None when nothing is
            known of it.
        drawn: bool[rows, n], the rows that the game has drawn itself (see drawn_rows.py): which players of each are
            present, the first row the input itself. None where coalitions are asked for.
    """

    n_players: int
    empty: Floats
    full: Floats
    seed: int = 0
    confidence: float = 0.95
    breaks: Indices | None = None
    drawn: Booleans | None = None

    @property
    def n_outputs(self) -> int:
        """How many outputs are explained at once."""
        return len(self.full)
