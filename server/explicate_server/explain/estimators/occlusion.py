"""Occlusion: what the output loses when one player alone is taken out, v(N) − v(N∖i).

Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. One row per player and nothing drawn
at random. The values do not sum to v(N) − v(∅): players that can stand in for each other get nothing, players that
only work together get the same thing twice.
"""

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats
from explicate_server.explain.attribution import Attribution
from explicate_server.explain.game import GameInfo
from explicate_server.explain.statistics.fixed_sample import FixedSample


class Occlusion:
    """The estimator `occlusion`; see `Estimator` for what its methods promise. A player not asked yet has value 0."""

    def __init__(self, game: GameInfo) -> None:
        self._game = game
        self._sample = FixedSample(~np.eye(game.n_players, dtype=np.bool_), game.n_outputs)
        if game.n_players == 1:
            self._sample.set_first(game.empty)

    def ask(self, count: int) -> Booleans | None:
        """The next `count` coalitions that lack one player."""
        return self._sample.ask(count)

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the values of the coalitions asked last."""
        self._sample.tell(values, evaluated)

    def estimate(self) -> Attribution:
        """The losses known so far; exact when all are."""
        game, sample = self._game, self._sample
        values = np.where(sample.known, game.full[:, None] - sample.values.T, 0.0)
        errors = np.where(sample.known, np.zeros_like(values), np.nan)
        return Attribution(
            values=values,
            standard_errors=errors,
            lower=values - errors,
            upper=values + errors,
            baseline=game.empty,
            held_out_r_squared=np.full(game.n_outputs, np.nan),
            exact=sample.complete,
            additive=False,
        )

    def halves(self) -> tuple[Floats, Floats] | None:
        """None: nothing is drawn at random."""
        return None
