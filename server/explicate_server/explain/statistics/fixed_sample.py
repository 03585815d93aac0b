"""A list of coalitions that is fixed beforehand, asked from the front, a piece in each round."""

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats


class FixedSample:
    """The asking and telling of estimators whose coalitions do not depend on values.

    Attributes:
        coalitions: bool[m, n], all of them, each once.
        values: float64[m, outputs], NaN where unknown.
        known: bool[m].
        told: how many of them were told, from the front, whether or not they were evaluated.
    """

    def __init__(self, coalitions: Booleans, n_outputs: int) -> None:
        self.coalitions = coalitions
        self.values: Floats = np.full((len(coalitions), n_outputs), np.nan)
        self.known: Booleans = np.zeros(len(coalitions), dtype=np.bool_)
        self.told = 0
        self._asked = 0

    @property
    def complete(self) -> bool:
        """Whether every value is known."""
        return bool(self.known.all())

    def set_first(self, value: Floats) -> None:
        """The value of the first coalition, float64[outputs], which is known without asking."""
        self.values[0] = value
        self.known[0] = True
        self.told = self._asked = 1

    def ask(self, count: int) -> Booleans | None:
        """See `Estimator.ask`."""
        if self._asked == len(self.coalitions):
            return None
        start, self._asked = self._asked, min(self._asked + count, len(self.coalitions))
        return self.coalitions[start : self._asked]

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """See `Estimator.tell`."""
        if self.told == self._asked:
            raise ValueError("There is nothing to tell: ask for coalitions first.")
        rows = slice(self.told, self._asked)
        self.told = self._asked
        self.known[rows] = True if evaluated is None else evaluated
        self.values[rows] = np.where(self.known[rows, None], values, np.nan)
