"""Interactions from sampled coalitions: a regression on what is lost when the players are cut in two.

With the even part of the game that Faith-SHAP fits (see `faith_shap`), for a pair of coalitions S, N∖S

    y = v(∅) + v(N) − v(S) − v(N∖S) = Σ_{i ∈ S, j ∉ S} a_ij + noise:

each interaction counts where the cut goes between its two players. The rows, their weights and the share of pairs that
was not evaluated are those of the regression on differences (`pair_regression`), so that nothing more is asked; from
all pairs the weighted least squares are the index itself.

There are n(n − 1)/2 unknowns, soon more than rows. So a_ij has the prior variance τ² s_ij², with s_ij larger where both
players have large attributions, and the ratio λ of noise to τ² maximises the likelihood. What comes out is not the
shrunk mean of that model, which is wrong for the strongest pairs (on the golden games its intervals covered .53 to .86
of the three largest), but an estimate of each pair that takes the prior of all others for what they do and none for its
own: c_j / M_j, with c the shrunk mean and M_j the share of a unit of a_j that it recovers. A pair's own prior is
`shrinkage`'s business, which learns it from all pairs.
"""

from dataclasses import dataclass

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.interactions.faith_shap import pairs_of
from explicate_server.explain.statistics.coalitions import PairSampler
from explicate_server.explain.statistics.least_squares import RELATIVE_RANK_TOLERANCE
from explicate_server.explain.statistics.pair_regression import PairRegression

# Players among which pairs are looked for, those with the largest attributions: 990 pairs. Those of all others are in
# the model too, as what the rest of the players does.
MOST_CANDIDATES = 45
# Pairs of coalitions that are solved by their own kernel, and numbers of a design at most: bounds on the fit's cost,
# 1.5 s of a core and 64 MB.
MAX_KERNEL_PAIRS, MAX_DESIGN_CELLS = 2048, 1 << 23
# s_ij grows with the product of the two attributions to this power. Measured on the golden games at 32n rows, relative
# L2 error with 0 and with 1/4: .50 and .47 (DistilBERT), .35 and .31 (ResNet18); with 1/2 intervals are too narrow.
RELEVANCE_POWER = 0.25
LEAST_RELEVANCE = 0.05
# λ that are tried, as parts of a row's mean prior variance.
NOISE_GRID = np.logspace(-12, 2.5, 59)
# λ is a guess from few rows: the estimates' variances are raised by this part of the unknowns per row. With the same
# level without it .88 to .92 of the intervals of the five strongest held at 16n rows, with it .92 to .94.
VARIANCE_RAISE = 0.5


@dataclass(frozen=True)
class PairEstimates:
    """Estimates of interactions, each without a prior of its own.

    Attributes:
        first, second: intp[p], the players of each pair.
        values: float64[outputs, p].
        variances: float64[outputs, p].
        scales: float64[p], s_ij.
    """

    first: Indices
    second: Indices
    values: Floats
    variances: Floats
    scales: Floats


def pair_estimates(coalitions: Booleans, targets: Floats, attributions: Floats) -> PairEstimates:
    """Estimates from cuts.

    Args:
        coalitions: bool[pairs, n], one of each pair S, N∖S, in the order in which they were drawn.
        targets: float64[pairs, outputs], y.
        attributions: float64[outputs, n], the players' values.
    """
    n = coalitions.shape[1]
    relevance = _relevance(attributions)
    candidates = np.sort(np.argsort(-relevance, kind="stable")[:MOST_CANDIDATES])
    first, second = pairs_of(candidates)
    whole = n <= MOST_CANDIDATES and len(first) <= len(coalitions)
    most = MAX_DESIGN_CELLS // len(first) if whole else MAX_KERNEL_PAIRS
    cuts = _Cuts(coalitions[:most], relevance)
    rows = targets[:most] * cuts.roots
    solve = _by_unknowns if whole else _by_rows
    solved = solve(cuts, cuts.design(first, second), rows)
    raised = 1 + VARIANCE_RAISE * min(len(first) / len(rows), 1.0)
    recovered = solved.recovered
    # Of the noise only that of pairs not drawn is an error: 1 − p of each level (finite-population correction).
    variances = (recovered * (1 - recovered) - solved.known_noise) / recovered**2 * raised
    scales = cuts.scales(first, second)
    return PairEstimates(
        first,
        second,
        scales * (solved.shrunk / recovered[:, np.newaxis]).T,
        scales**2 * np.maximum(variances, 0.0) * solved.signals[:, np.newaxis],
        scales,
    )


class _Cuts:
    """The weighted rows of the regression, its unknowns in units of s_ij."""

    def __init__(self, coalitions: Booleans, relevance: Floats) -> None:
        n = coalitions.shape[1]
        sizes = coalitions.sum(axis=1)
        levels = np.minimum(sizes, n - sizes) - 1
        regression = PairRegression(coalitions, levels, PairSampler(n, 0))
        self.unseen_shares = regression.unseen_shares
        self.roots = np.sqrt(regression.weights)[:, np.newaxis]
        self._signs = regression.signs
        relevance = relevance / np.sqrt(_of_pairs(relevance**2, np.ones((1, n)))[0] / (n * (n - 1) / 2)) ** 0.5
        self._relevance = relevance

    def scales(self, first: Indices, second: Indices) -> Floats:
        """s_ij, whose mean square over all pairs is 1."""
        return np.asarray(self._relevance[first] * self._relevance[second])

    def design(self, first: Indices, second: Indices) -> Floats:
        """float64[rows, p]."""
        cut = self._signs[:, first] != self._signs[:, second]
        return np.asarray(cut * self.roots * self.scales(first, second))

    def kernel(self) -> Floats:
        """What all pairs of players do alike in two rows, float64[rows, rows].

        With ρ_i = r_i² and q(z) = Σ_{i<j} ρ_i ρ_j z_i z_j = ((Σ ρ_i z_i)² − Σ ρ_i²) / 2 the sum of
        s_ij² (1 − x_i x_j)(1 − x'_i x'_j) / 4 is (q(1) − q(x) − q(x') + q(x x')) / 4.
        """
        signs, squares = self._signs, self._relevance**2
        own = _of_pairs(squares, signs)
        shared = ((signs * squares) @ signs.T) ** 2
        shared = (shared - (squares**2).sum()) / 2
        total = _of_pairs(squares, np.ones((1, len(squares))))
        kernel = (total - own[:, np.newaxis] - own + shared) / 4
        return np.asarray(kernel * self.roots * self.roots.T)


def _of_pairs(squares: Floats, signs: Floats) -> Floats:
    """q(x) of float64[rows, n], float64[rows]."""
    return np.asarray(((signs @ squares) ** 2 - (squares**2).sum()) / 2)


@dataclass(frozen=True)
class _Solved:
    """The model's answer, in units of s_ij, with λ the noise over τ² = 1.

    Attributes:
        shrunk: float64[p, outputs], c.
        recovered: float64[p], M.
        known_noise: float64[p], what of the variance of c is noise of pairs of coalitions that were all drawn.
        signals: float64[outputs], τ².
    """

    shrunk: Floats
    recovered: Floats
    known_noise: Floats
    signals: Floats


def _by_unknowns(cuts: _Cuts, design: Floats, targets: Floats) -> _Solved:
    """From the normal equations, for no more unknowns than rows."""
    eigenvalues, vectors = np.linalg.eigh(design.T @ design)
    reached = eigenvalues > RELATIVE_RANK_TOLERANCE * eigenvalues[-1]
    eigenvalues, vectors = eigenvalues[reached], vectors[:, reached]
    projections = vectors.T @ (design.T @ targets) / np.sqrt(eigenvalues)[:, np.newaxis]
    outside = np.maximum((targets**2).sum(axis=0) - (projections**2).sum(axis=0), 0.0)
    noise, signals = _likeliest(eigenvalues, projections**2, outside, len(targets))
    influence = (vectors / (eigenvalues + noise)) @ vectors.T  # (XᵀX + λI)⁻¹ on what the rows reach
    recovered = np.einsum("pr,r->p", vectors**2, eigenvalues / (eigenvalues + noise))
    seen = design * np.sqrt(1 - cuts.unseen_shares)[:, np.newaxis]
    known = np.einsum("pq,pq->p", influence @ (seen.T @ seen), influence)
    return _Solved(influence @ (design.T @ targets), recovered, noise * known, signals)


def _by_rows(cuts: _Cuts, design: Floats, targets: Floats) -> _Solved:
    """The same from the kernel, which holds the pairs of players that are no candidates as well."""
    eigenvalues, vectors = np.linalg.eigh(cuts.kernel())
    eigenvalues = np.maximum(eigenvalues, 0.0)
    projections = vectors.T @ targets
    noise, signals = _likeliest(eigenvalues, projections**2, np.zeros(targets.shape[1]), len(targets))
    influence = (vectors / (eigenvalues + noise)) @ (vectors.T @ design)  # (K + λI)⁻¹ X
    recovered = np.einsum("mp,mp->p", design, influence)
    known = (1 - cuts.unseen_shares) @ influence**2
    return _Solved(influence.T @ targets, recovered, noise * known, signals)


def _likeliest(eigenvalues: Floats, projections: Floats, outside: Floats, rows: int) -> tuple[float, Floats]:
    """λ of the largest likelihood of all outputs, and the τ² of each, float64[outputs].

    Args:
        eigenvalues: float64[rank], of X Xᵀ.
        projections: float64[rank, outputs], squares of y on its eigenvectors.
        outside: float64[outputs], what of the square of y they leave out.
        rows: m.
    """
    grid = NOISE_GRID * eigenvalues.sum() / rows
    spread = eigenvalues + grid[:, np.newaxis]  # [grid, rank]
    signals = ((1 / spread) @ projections + outside / grid[:, np.newaxis]) / rows  # τ² [grid, outputs]
    told = signals.all(axis=0)
    determinants = np.log(spread).sum(axis=1) + (rows - len(eigenvalues)) * np.log(grid)
    costs = rows * np.log(signals[:, told]).sum(axis=1) + told.sum() * determinants
    best = int(np.argmin(costs))
    return float(grid[best]), signals[best]


def _relevance(attributions: Floats) -> Floats:
    """r_i, float64[n], the mean over the outputs."""
    scales = np.sqrt(np.mean(attributions**2, axis=1, keepdims=True))
    relative = np.divide(np.abs(attributions), scales, out=np.ones_like(attributions), where=scales > 0)
    return np.asarray((np.maximum(relative, LEAST_RELEVANCE) ** RELEVANCE_POWER).mean(axis=0))
