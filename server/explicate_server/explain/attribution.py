"""What an estimator answers: one number per player and output, each with its error."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from explicate_server.explain.arrays import Floats, Indices


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Attributions of all outputs, as estimated so far.

    Attributes:
        values: float64[outputs, n], what each player adds to each output.
        standard_errors: float64[outputs, n], NaN where unknown.
        lower, upper: float64[outputs, n], ends of the confidence intervals, NaN where unknown.
        baseline: float64[outputs], v(∅) for SHAP methods, the intercept for lime.
        held_out_r_squared: float64[outputs], R² of the additive model on coalitions it was not fitted to; NaN where
            undefined (no coalitions yet, or all values equal).
        exact: every coalition was evaluated, so the values carry no sampling error.
        additive: the values promise to sum to v(N) − baseline.
        groups: intp[players of the game], which of the n attributed players each one belongs to; consecutive ones make
            a group. None when each is its own.
        provisional: the players are not the final ones yet, so that no tolerance may end the run.
    """

    values: Floats
    standard_errors: Floats
    lower: Floats
    upper: Floats
    baseline: Floats
    held_out_r_squared: Floats
    exact: bool
    additive: bool
    groups: Indices | None = None
    provisional: bool = False

    def additivity_gap(self, full: Floats) -> float:
        """|Σ values + baseline − v(N)|, the largest over outputs; NaN for methods that do not promise additivity."""
        if not self.additive:
            return float("nan")
        return float(np.abs(self.values.sum(axis=1) + self.baseline - full).max(initial=0.0))


def confidence_interval(
    values: Floats,
    standard_errors: Floats,
    *,
    degrees_of_freedom: Floats | float,
    confidence: float,
) -> tuple[Floats, Floats]:
    """Ends of Student's t intervals around `values`.

    Args:
        values: float64[outputs, n].
        standard_errors: float64[outputs, n].
        degrees_of_freedom: at least 1; one number, or float64[outputs, 1].
        confidence: coverage, in (0, 1).

    Returns:
        lower and upper, float64[outputs, n].
    """
    quantile = stdtrit(np.maximum(degrees_of_freedom, 1.0), 0.5 + confidence / 2)
    return values - quantile * standard_errors, values + quantile * standard_errors
