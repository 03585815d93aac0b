"""The weighted regression on pair differences that Shapley values are the solution of.

Notation: n players, Δ = v(N) − v(∅), a pair S, N∖S with difference d = v(S) − v(N∖S) and signs x = 2·1_S − 1. An
additive game has d = xᵀ phi with Σ phi = Δ. The constraint is put in by phi = Δ/n + P u, P = I − 11ᵀ/n; then u solves
weighted least squares of d − xᵀ1 Δ/n on P x with weights 1 / (C(n,k) k (n−k) p_k), where p_k is the share of the
level's pairs that was evaluated. Over all pairs the solution is the Shapley values exactly (Covert & Lee, Improving
KernelSHAP, AISTATS 2021).
"""

from dataclasses import dataclass

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.statistics.coalitions import PairSampler
from explicate_server.explain.statistics.least_squares import PENALTY_GRID, Design, LinearFit, sandwich_variances


@dataclass(frozen=True)
class PairFit:
    """Fits of several outputs.

    Attributes:
        values: float64[outputs, n], phi.
        standard_errors: float64[outputs, n].
        left_out_residuals: float64[pairs, outputs], √w times the error of each d when its pair is left out.
        degrees_of_freedom: float64[outputs], pairs minus the parameters used.
        correlations: float64[outputs, n, n], of the errors of the values; None where they were not asked for.
    """

    values: Floats
    standard_errors: Floats
    left_out_residuals: Floats
    degrees_of_freedom: Floats
    correlations: Floats | None = None


class PairRegression:
    """The regression for one set of evaluated pairs, and any number of outputs.

    Attributes:
        signs: float64[pairs, n], x.
        weights: float64[pairs], mean 1.
        unseen_shares: float64[pairs], 1 − p of each pair's level: the finite-population correction.
    """

    def __init__(self, coalitions: Booleans, levels: Indices, sampler: PairSampler) -> None:
        """Take bool[pairs, n] coalitions of the sampler, and the level of each."""
        n = coalitions.shape[1]
        counts = np.bincount(levels, minlength=len(sampler.shares))
        seen = np.array([count / total for count, total in zip(counts.tolist(), sampler.total_pairs, strict=True)])
        sizes = levels + 1
        # C(n,k) p_k is the number of pairs seen, twice that on the middle level: nothing here grows with C(n,k).
        weights = sampler.shares[levels] / (counts[levels] * sizes * (n - sizes))
        self.weights: Floats = weights / weights.mean()
        self.signs: Floats = np.where(coalitions, 1.0, -1.0)
        self.unseen_shares: Floats = 1 - seen[levels]
        self._roots = np.sqrt(self.weights)[:, None]
        self._totals = self.signs.sum(axis=1, keepdims=True)  # xᵀ1 [pairs, 1]
        self._design = Design(self._roots * (self.signs - self._totals / n))

    def fit(self, differences: Floats, deltas: Floats, *, penalised: bool = False) -> PairFit:
        """Fit d float64[pairs, outputs] with Δ float64[outputs]; a penalty is chosen per output by cross-validation."""
        n_pairs, n = self.signs.shape
        targets = self._roots * (differences - self._totals * (deltas / n))
        fit = PairFit(
            np.empty((len(deltas), n)), np.empty((len(deltas), n)), np.empty(targets.shape), np.empty(len(deltas))
        )
        penalties = np.zeros(len(deltas))
        if penalised:
            penalties = self._design.cross_validated_penalties(targets)
            least_variances = self._least_variances(targets)
        for penalty in np.unique(penalties).tolist():
            outputs = np.flatnonzero(penalties == penalty)
            solved = self._design.fit(targets[:, outputs], penalty)
            # The mean of u is zero but for rounding; without it the values sum to Δ to the last bits.
            fit.values[outputs] = deltas[outputs, None] / n + (solved.coefficients - solved.coefficients.mean(axis=0)).T
            variances = self._variances(solved, penalty)
            if penalised:
                variances = np.maximum(variances, least_variances[:, outputs])
            fit.standard_errors[outputs] = np.sqrt(variances).T
            fit.left_out_residuals[:, outputs] = solved.left_out_residuals
            fit.degrees_of_freedom[outputs] = n_pairs - self._design.degrees_of_freedom(penalty)
        return fit

    def correlations(self, left_out_residuals: Floats) -> Floats:
        """Correlations of the errors of phi, float64[outputs, n, n], of a fit without a penalty that left these,
        float64[pairs, outputs]: from the covariances on whose diagonal the standard errors are. 0 where nothing varies.
        """
        influence = self._design.rows @ self._design.inverse(0.0)
        correlations = np.empty((left_out_residuals.shape[1], *influence.shape[1:] * 2))
        for output, residuals in enumerate((np.sqrt(self.unseen_shares)[:, None] * left_out_residuals).T):
            parts = residuals[:, None] * influence  # what each pair adds to the error of each value [pairs, n]
            covariances = parts.T @ parts
            scales = np.sqrt(covariances.diagonal())
            correlations[output] = covariances * _inverse(scales) * _inverse(scales)[:, None]
        return correlations

    def _least_variances(self, targets: Floats) -> Floats:
        """What a penalty may not lower the variances of float64[m, outputs] targets below, float64[n, outputs].

        With pairs enough those without a penalty. With fewer, residuals say nothing of the noise. All that is known is
        the targets' mean square T = τ² s + σ², with τ² the prior variance of a value, s the mean square of a row, and
        σ² the noise: then the variance is the largest of any split of T, which is σ² P (BᵀB + σ²/τ² I)⁻¹ P. Intervals
        of the penalty's own split cover .84 to .91 at 1.5n to 2.5n evaluations, these .95 to .98 (golden games).
        """
        if self._design.overdetermined:
            return sandwich_variances(self._design.fit(targets), self.unseen_shares)
        penalties = PENALTY_GRID * self._design.eigenvalues[-1]
        noise_shares = penalties / (penalties + (self._design.rows**2).sum(axis=1).mean())  # σ²/T
        reached = self._design.vectors**2 @ (1 / (self._design.eigenvalues[:, None] + penalties))  # [n, penalties]
        spreads = (reached + self._unreached[:, None] / penalties) * noise_shares
        variances: Floats = spreads.max(axis=1)[:, None] * (targets**2).mean(axis=0)
        return variances

    @property
    def _unreached(self) -> Floats:
        """The squared length of each player's axis outside the directions that the pairs reach, float64[n]."""
        unreached: Floats = np.maximum(1 - 1 / self.signs.shape[1] - (self._design.vectors**2).sum(axis=1), 0.0)
        return unreached

    def _variances(self, fit: LinearFit, penalty: float) -> Floats:
        """Variances of phi, float64[n, outputs]: the HC3 sandwich with finite-population correction.

        A penalised fit is pulled towards Δ/n, which a sandwich does not see. There the variance is at least that of
        the Bayesian model whose mean the fit is, σ² P (BᵀB + λI)⁻¹ P with σ² = RSS / (m − tr(B H Bᵀ)) (Wahba, JRSS B
        1983), which is wide in the directions that no coalition reached.
        """
        sampling = sandwich_variances(fit, self.unseen_shares)
        if penalty == 0:
            return sampling
        n_pairs = len(self.signs)
        noise = (fit.residuals**2).sum(axis=0) / (n_pairs - self._design.degrees_of_freedom(penalty))  # [outputs]
        spread = self._design.inverse(penalty).diagonal() + self._unreached / penalty  # [n]
        bayesian: Floats = spread[:, None] * noise
        return np.maximum(sampling, bayesian)


def _inverse(scales: Floats) -> Floats:
    """1 / scales, 0 for 0."""
    return np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0)
