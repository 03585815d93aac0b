"""Integrated gradients: attributions from the model's gradient along the way from a baseline to the input.

Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks, ICML 2017:

    φ_i = (x_i − x'_i) · ∫₀¹ ∂F(x' + α (x − x')) / ∂x_i dα,        Σ φ_i = F(x) − F(x').

They are no Shapley values, but cost some 60 to 120 rows however many players there are, each 2.3 to 2.5 times a row of
the model (MiniLM-L6, 30 reviews). The integral is that of Gauss and Legendre with 8, 16, 32, … points until a doubling
changes no attribution by more than the tolerance allows: that change is the half-width of the answer's intervals. It is
an error of the integral, and says nothing else.
"""

from dataclasses import dataclass, replace

import numpy as np

from explicate_server.explain.attribution import Attribution, Floats, within_tolerance
from explicate_server.explain.estimators.asks_nothing import AsksNothing
from explicate_server.explain.game import Estimator, GameInfo
from explicate_server.explain.method import Method

FEWEST_POINTS = 8


@dataclass(frozen=True)
class Integral:
    """What is known of the integral.

    Attributes:
        values: float64[outputs, n].
        changes: float64[outputs, n], by how much the last doubling of points changed them; NaN before the first one.
        points: how many were evaluated in all.
    """

    values: Floats
    changes: Floats
    points: int


def points_of(count: int) -> Floats:
    """Where a function is asked for its integral from 0 to 1 by Gauss and Legendre, float64[count]."""
    return np.asarray((np.polynomial.legendre.leggauss(count)[0] + 1) / 2)


def integral_of(gradients: Floats) -> Floats:
    """The integral of what is under it at those points, float64[m, outputs, n], float64[outputs, n]."""
    weights = np.polynomial.legendre.leggauss(len(gradients))[1] / 2
    return np.asarray(np.einsum("m,mon->on", weights, gradients))


class PathIntegral:
    """The integral with more and more points; what it asks for is answered by `tell`."""

    def __init__(self, *, tolerance: float, most_points: int) -> None:
        """``tolerance`` is a part of the range of the values and 0, see `RunSettings`; 0 takes all points."""
        self._tolerance, self._most = tolerance, most_points
        self._count = FEWEST_POINTS
        self.found: Integral | None = None

    def ask(self) -> Floats | None:
        """Points to evaluate next, float64[m] in (0, 1); None when it is over."""
        done = 0 if self.found is None else self.found.points
        if done + self._count > self._most or (self.found is not None and self._is_close(self.found)):
            return None
        return points_of(self._count)

    def tell(self, gradients: Floats) -> None:
        """What is under the integral at the points, float64[m, outputs, n]."""
        values = integral_of(gradients)
        before = self.found
        changes = np.full_like(values, np.nan) if before is None else np.abs(values - before.values)
        self.found = Integral(values, changes, self._count + (0 if before is None else before.points))
        self._count *= 2

    def _is_close(self, found: Integral) -> bool:
        known = _attribution(found.values, found.changes, np.zeros(len(found.values)))
        return not found.values.size or bool(within_tolerance(known, self._tolerance).all())


def _built(game: GameInfo, _max_evaluations: int) -> Estimator:
    if game.integral is None:
        raise TypeError("integrated-gradients explains games of which the integral is known; this is none.")
    return AsksNothing(game, _attribution(*game.integral, game.empty))


def _attribution(values: Floats, changes: Floats, baseline: Floats) -> Attribution:
    return replace(Attribution.certain(values, False, baseline=baseline, additive=True), half_widths=changes)


METHOD = Method(
    name="integrated-gradients",
    build=_built,
    reads=("text",),
    maskings=("mask-token",),
    default_masking="mask-token",
    default_max_evaluations=lambda _n: 256,
    default_min_evaluations=lambda _n: 1,
    default_tolerance=0.01,
    needs="gradient",
    lacks="needs the gradient of the model, which this bundle does not have; export it with --gradient",
    along_path=True,
    takes_baseline=False,
)
