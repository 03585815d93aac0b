"""Occlusion: what the output loses when one player alone is taken out, v(N) − v(N∖i).

Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. One row per player and nothing drawn
at random. The values do not sum to v(N) − v(∅): players that can stand in for each other get nothing, players that
only work together get the same thing twice.
"""

import numpy as np

from explicate_server.explain.attribution import Attribution, Floats
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import Method
from explicate_server.explain.statistics.coalitions import FixedSample


class Occlusion(FixedSample):
    """The estimator `occlusion`; see `Estimator` for what its methods promise. A player not asked yet has value 0."""

    def __init__(self, game: GameInfo) -> None:
        first = game.empty if game.n_players == 1 else None
        super().__init__(game, ~np.eye(game.n_players, dtype=np.bool_), first_value=first)

    def estimate(self) -> Attribution:
        """The losses known so far; exact when all are."""
        values = np.where(self._known, self._game.full[:, None] - self._values.T, 0.0)
        return Attribution.certain(values, self._known, baseline=self._game.empty, additive=False)

    def halves(self) -> tuple[Floats, Floats] | None:
        """None: nothing is drawn at random."""
        return None


METHOD = Method(
    name="occlusion",
    build=lambda game, _max_evaluations: Occlusion(game),
    default_max_evaluations=lambda n: n + 2,
    additive=False,
)
