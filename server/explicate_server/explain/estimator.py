"""What an estimator is: it asks for coalitions, is told their values, and estimates attributions.

Estimators know nothing of models, threads, deadlines or budgets (see loop.py), own their random stream, and can be
stopped after any round. A new one is one file with a class of this shape and one line in registry.py.
"""

from typing import Protocol

from explicate_server.explain.arrays import Booleans, Floats
from explicate_server.explain.attribution import Attribution


class Estimator(Protocol):
    """Ask and tell take turns: every `ask` that gave rows is answered by one `tell`."""

    def ask(self, count: int) -> Booleans | None:
        """Up to `count` further coalitions.

        Returns:
            bool[m, n], True where a player is present. No coalition comes twice, nor the full one, nor, for methods
            that know v(∅) beforehand, the empty one. m is 0 when `count` is too small for the method (one row of a
            pair); None means that nothing is left to ask.
        """

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
