"""A list of coalitions that is fixed beforehand, asked from the front, a piece in each round."""

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats
from explicate_server.explain.game import Asked, GameInfo


class FixedSample:
    """What estimators share whose coalitions do not depend on values; see `Estimator` for what its methods promise."""

    def __init__(self, game: GameInfo, asked: Asked, *, first_value: Floats | None = None) -> None:
        """Take all that is asked, each once; `first_value` float64[outputs] of the first one, if it is known."""
        self._game = game
        self._all_asked = asked
        self._values: Floats = np.full((len(asked), game.n_outputs), np.nan)  # NaN where unknown
        self._known: Booleans = np.zeros(len(asked), dtype=np.bool_)
        self._told = self._asked = 0  # from the front, whether or not they were evaluated
        if first_value is not None:
            self._values[0], self._known[0] = first_value, True
            self._told = self._asked = 1

    def ask(self, count: int) -> Asked | None:
        """The next `count` of the sample."""
        if self._asked == len(self._all_asked):
            return None
        start, self._asked = self._asked, min(self._asked + count, len(self._all_asked))
        return self._all_asked[start : self._asked]

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the values of what was asked last."""
        if self._told == self._asked:
            raise ValueError("There is nothing to tell: ask for coalitions first.")
        rows = slice(self._told, self._asked)
        self._told = self._asked
        self._known[rows] = True if evaluated is None else evaluated
        self._values[rows] = np.where(self._known[rows, None], values, np.nan)
