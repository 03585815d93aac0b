"""Weighted linear regression with leverages and HC3 standard errors, plain or with a ridge penalty.

Notation: B float64[m, n] the weighted design (each row times the root of its weight), y float64[m] the weighted
targets, λ the penalty, H = (BᵀB + λI)⁺, coefficients H Bᵀ y, leverages h = diag(B H Bᵀ). Directions that count as not
reached by B get the coefficient 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explicate_server.explain.attribution import Floats

# Models answer in float32: differences below this fraction of the values say nothing.
VALUE_ROUNDING = float(np.finfo(np.float32).eps)


def r_squared(
    values: Floats, squared_errors: Floats, weights: Floats, *, met: Sequence[Floats] = (), met_weight: float = 0.0
) -> Floats:
    """1 − Σ w e² / Σ w (v − v̄)² per output, float64[outputs]; NaN where all values are equal but for float32 rounding.

    Args:
        values: float64[m, outputs], v.
        squared_errors: float64[outputs], Σ w e² of the model's predictions.
        weights: float64[m], w.
        met: further values, each float64[outputs], that the model meets without an error.
        met_weight: of each of these.
    """
    total = weights.sum() + met_weight * len(met)
    mean = (weights @ values + met_weight * sum(met)) / total
    spread = weights @ (values - mean) ** 2 + met_weight * sum((value - mean) ** 2 for value in met)
    defined = spread > (VALUE_ROUNDING * np.abs(values).max(axis=0)) ** 2 * total
    return np.where(defined, 1 - squared_errors / np.where(defined, spread, 1.0), np.nan)


# Eigenvalues of BᵀB below this fraction of the largest one count as directions that B does not reach.
RELATIVE_RANK_TOLERANCE = 1e-10
# Penalties tried by cross-validation, as fractions of the largest eigenvalue of BᵀB.
PENALTY_GRID = np.logspace(-8, 2, 61)
# With fewer rows than this per direction a fit without penalty (nearly) interpolates: its residuals say nothing.
LEAST_ROWS_PER_DIRECTION = 1.25
# Leverages are kept this far below 1, where a row is met exactly for any value and its left-out error is 0/0.
MAX_LEVERAGE = 1 - 1e-6


@dataclass(frozen=True)
class LinearFit:
    """Fits of several outputs to one design with one penalty.

    Attributes:
        coefficients: float64[n, outputs].
        residuals: float64[m, outputs], weighted.
        leverages: float64[m], in [0, 1).
        influence: float64[m, n], B H: what a unit of the weighted row's target adds to each coefficient.
    """

    coefficients: Floats
    residuals: Floats
    leverages: Floats
    influence: Floats

    @property
    def left_out_residuals(self) -> Floats:
        """float64[m, outputs], the weighted error of each row when the fit leaves it out: r / (1 − h)."""
        left_out: Floats = self.residuals / (1 - self.leverages)[:, None]
        return left_out


class Design:
    """A weighted design, decomposed once for any number of targets and penalties."""

    def __init__(self, rows: Floats, *, rank_tolerance: float = RELATIVE_RANK_TOLERANCE) -> None:
        """Take B, float64[m, n]; see `RELATIVE_RANK_TOLERANCE`. 0 for fits with a penalty that rounding cannot match:
        a direction that few rows reach a little has its part in such a fit, 3e-6 of an answer of 1,000 players.
        """
        self.rows = rows
        eigenvalues, vectors = np.linalg.eigh(rows.T @ rows)
        eigenvalues = np.maximum(eigenvalues, 0.0)
        reached = (eigenvalues > rank_tolerance * eigenvalues[-1]) | (rank_tolerance == 0)
        self.eigenvalues = eigenvalues[reached]  # [rank]
        self.vectors = vectors[:, reached]  # [n, rank]

    @property
    def rank(self) -> int:
        """The dimension that the rows reach."""
        return len(self.eigenvalues)

    @property
    def overdetermined(self) -> bool:
        """Whether there are enough rows for a fit without penalty to leave residuals that mean something."""
        return len(self.rows) >= LEAST_ROWS_PER_DIRECTION * self.rank

    def inverse(self, penalty: float) -> Floats:
        """H = (BᵀB + λI)⁺ on the reached directions, float64[n, n]."""
        inverse: Floats = (self.vectors / (self.eigenvalues + penalty)) @ self.vectors.T
        return inverse

    def degrees_of_freedom(self, penalty: float) -> float:
        """The trace of B H Bᵀ: the parameters that the fit really uses."""
        return float((self.eigenvalues / (self.eigenvalues + penalty)).sum())

    def fit(self, targets: Floats, penalty: float = 0.0, *, offset_leverages: Floats | float = 0.0) -> LinearFit:
        """Fit the outputs of float64[m, outputs] with one penalty.

        `offset_leverages` is the leverage of what was removed from rows and targets before (an intercept).
        """
        influence = self.rows @ self.inverse(penalty)
        leverages = np.einsum("mn,mn->m", influence, self.rows) + offset_leverages
        coefficients = influence.T @ targets
        residuals = targets - self.rows @ coefficients
        return LinearFit(coefficients, residuals, np.minimum(leverages, MAX_LEVERAGE), influence)

    def cross_validated_penalties(self, targets: Floats) -> Floats:
        """The λ of each output, float64[outputs], that minimises its generalised cross-validation error for y,
        float64[m, outputs]; 0 is tried too.

        GCV(λ) = (‖y − ŷ‖² / m) / (1 − tr(B H Bᵀ) / m)². Golub, Heath & Wahba, Technometrics 1979.
        """
        fractions = np.concatenate(([0.0], PENALTY_GRID)) if self.overdetermined else PENALTY_GRID
        penalties = fractions * self.eigenvalues[-1]
        projections = self.vectors.T @ (self.rows.T @ targets)
        squared_projections = projections**2 / self.eigenvalues[:, None]  # [rank, outputs]
        outside = np.maximum(np.einsum("mo,mo->o", targets, targets) - squared_projections.sum(axis=0), 0.0)
        kept = self.eigenvalues / (self.eigenvalues + penalties[:, None])  # [penalties, rank]
        residual = outside + ((1 - kept) ** 2) @ squared_projections  # [penalties, outputs]
        free = len(targets) - kept.sum(axis=1)
        return np.asarray(penalties[np.argmin(residual / np.maximum(free, 1e-9)[:, None] ** 2, axis=0)])


def sandwich_variances(fit: LinearFit, row_factors: Floats | None = None) -> Floats:
    """HC3 variances of the coefficients, float64[n, outputs]: Σ_i influence_i² · (r_i / (1 − h_i))² · factor_i.

    MacKinnon & White, Journal of Econometrics 1985. `row_factors` float64[m] carry a finite-population correction,
    1 − p_i for a row that was drawn with probability p_i.
    """
    squares = fit.left_out_residuals**2  # [m, outputs]
    if row_factors is not None:
        squares *= row_factors[:, None]
    variances: Floats = (fit.influence**2).T @ squares
    return variances
