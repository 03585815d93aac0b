"""What an estimator answers: one number per player and output, each with its error."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]


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

    @classmethod
    def sampled(
        cls,
        values: Floats,
        standard_errors: Floats,
        *,
        degrees_of_freedom: Floats | float,
        confidence: float,
        baseline: Floats,
        held_out_r_squared: Floats,
        additive: bool,
        exact: bool = False,
    ) -> "Attribution":
        """Values from a random sample, with Student's t intervals of this `confidence`.

        `degrees_of_freedom` are at least 1; one number, or float64[outputs, 1].
        """
        margins = stdtrit(np.maximum(degrees_of_freedom, 1.0), 0.5 + confidence / 2) * standard_errors
        return cls(
            values=values,
            standard_errors=standard_errors,
            lower=values - margins,
            upper=values + margins,
            baseline=baseline,
            held_out_r_squared=held_out_r_squared,
            exact=exact,
            additive=additive,
        )

    @classmethod
    def certain(cls, values: Floats, known: Booleans | bool, *, baseline: Floats, additive: bool) -> "Attribution":
        """Values without sampling error where they are `known`, bool[n], and with an unknown one elsewhere."""
        errors = np.where(known, np.zeros_like(values), np.nan)
        return cls(
            values=values,
            standard_errors=errors,
            lower=values - errors,
            upper=values + errors,
            baseline=baseline,
            held_out_r_squared=np.full(len(values), np.nan),
            exact=bool(np.all(known)),
            additive=additive,
        )

    def exactly(self, values: Floats) -> "Attribution":
        """The attribution with exact `values`, float64[outputs, n], in place of its own."""
        errors = np.zeros_like(values)
        return replace(self, values=values, standard_errors=errors, lower=values, upper=values, exact=True)

    def additivity_gap(self, full: Floats) -> float:
        """|Σ values + baseline − v(N)|, the largest over outputs; NaN for methods that do not promise additivity."""
        if not self.additive:
            return float("nan")
        return float(np.abs(self.values.sum(axis=1) + self.baseline - full).max(initial=0.0))
