"""A Gaussian-process model of pair differences with closed-form Shapley values, to take variance off the regression.

The regression on pair differences leaves the interactions of three, five, … players as noise. A Gaussian process on
coalitions learns part of them. Its kernel on signs x, x' ∈ {−1, 1}ⁿ is the odd part of a product kernel,

    K(x, x') ∝ Π_i (1 + ρ_i x_i x'_i) − Π_i (1 − ρ_i x_i x'_i),      0 < ρ_i < 1,

every interaction of an odd set T of players with prior variance Π_{i ∈ T} ρ_i. The Shapley values of a product game are
a one-dimensional integral (Owen's multilinear extension, Management Science 1972), here of a polynomial, so that
Gauss–Legendre quadrature gives them exactly. No game is ever assumed to follow this model: what it misses, on pairs it
was not fitted to, goes back into the regression, which corrects it and measures the error that is left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any  # a number, or one for each game

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from explicate_server.explain.attribution import Floats, Indices

# Pairs that choose the kernel, and pairs that the process is fitted to: bounds on its cost (1 to 10 ms on one core;
# several BLAS threads on busy cores make it a hundred times that). On reviews of 28 to 64 words 512 fitted pairs give
# errors 3 % smaller than 256, and 256 ones 5 % smaller than 128 (16n to 32n).
MAX_CHOOSING_PAIRS = 128
MAX_FITTED_PAIRS = 512
# Up to so many pairs the matrices of all games are inverted at once; beyond, one factorisation each is quicker.
MOST_PAIRS_AT_ONCE = 64
# ρ_i grows with the player's first attribution to this power. On the golden games 0, 1/2, 3/4 and 1 give at 16n
# relative L2 errors of .129, .101, .094 and .091 (ResNet18), .217, .211, .197 and .195 (DistilBERT); the higher ones
# give intervals that are a little too narrow.
RELEVANCE_POWER = 0.75
# Prior variance of all interactions of three players over that of all single players, and noise over signal.
INTERACTION_RATIOS = (0.03, 0.1, 0.3, 1.0, 3.0)
NOISE_RATIOS = (1e-3, 1e-1)
# Keeps the product kernel away from its singular ends.
MIN_RHO, MAX_RHO = 1e-4, 0.95


@dataclass(frozen=True)
class Surrogate:
    """Fitted models of several outputs.

    Attributes:
        shapley_values: float64[outputs, n], of the models, exact.
        left_out_errors: float64[pairs, outputs], d minus what the model says of the pair when it was not fitted to it.
        errors: float64[pairs, outputs], d minus what the model says of the pair.
    """

    shapley_values: Floats
    left_out_errors: Floats
    errors: Floats

    @classmethod
    def of_all(cls, surrogates: "Iterable[Surrogate]") -> "Surrogate":
        """The models of several games on the same pairs, one game after the other."""
        values, left_out, errors = zip(
            *((each.shapley_values, each.left_out_errors, each.errors) for each in surrogates), strict=True
        )
        return cls(np.concatenate(values), np.concatenate(left_out, axis=1), np.concatenate(errors, axis=1))


def fit_surrogates(
    signs: Floats, differences: Floats, weights: Floats, values: Floats, games: Sequence[Indices]
) -> Surrogate:
    """Fit a process to the pair differences of each game; its outputs share one kernel, so that the costly part is done
    once for all of them.

    Args:
        signs: float64[pairs, n].
        differences: float64[pairs, outputs], d; no output is zero throughout.
        weights: float64[pairs], of the errors when the kernel is chosen.
        values: float64[outputs, n], first attributions; players with larger ones are taken to interact more.
        games: the places of each game's outputs, one game after the other.
    """
    rows = slice(MAX_CHOOSING_PAIRS)
    relevance = np.stack([_relevance(values[outputs]) for outputs in games])
    spreads = weights @ differences**2  # [outputs]
    chosen = _chosen_kernels(signs[rows], differences[rows], weights[rows], relevance, spreads, games)
    return Surrogate.of_all(
        _fitted(signs, differences[:, outputs], *kernel_of_game)
        for outputs, kernel_of_game in zip(games, chosen, strict=True)
    )


def _fitted(signs: Floats, differences: Floats, rho: Floats, noise: float) -> Surrogate:
    """The process with a kernel, for the outputs of one game."""
    fitted, others = signs[:MAX_FITTED_PAIRS], signs[MAX_FITTED_PAIRS:]
    coefficients, left_out = solve(kernel(rho, fitted, fitted), noise, differences[:MAX_FITTED_PAIRS])
    unseen = differences[MAX_FITTED_PAIRS:] - kernel(rho, others, fitted) @ coefficients
    return Surrogate(
        shapley_values=shapley_values(rho, fitted, coefficients),
        left_out_errors=np.concatenate((left_out, unseen)),
        errors=np.concatenate((noise * coefficients, unseen)),
    )


def _chosen_kernels(
    signs: Floats,
    differences: Floats,
    weights: Floats,
    relevance: Floats,
    spreads: Floats,
    games: Sequence[Indices],
) -> list[tuple[Floats, float]]:
    """Of each game ρ float64[n] and the noise with the least left-out error, weighted, as a share of each output's mean
    square.

    Few pairs have small matrices, of which numpy inverts those of all games at once: one by one, a fit of 64 pairs
    is mostly calls (0.7 ms a game at 40 pairs).
    """
    n = signs.shape[1]
    best_errors = np.full(len(games), np.inf)
    best: list[tuple[Floats, float]] = [(of_game, 0.0) for of_game in relevance]
    for ratio in INTERACTION_RATIOS:
        # With all ρ equal the ratio of the priors is C(n,3) ρ³ / (n ρ).
        rhos = np.clip(np.sqrt(6 * ratio / ((n - 1) * (n - 2))) * relevance, MIN_RHO, MAX_RHO)
        matrices = kernels(rhos, signs)
        for noise in NOISE_RATIOS:
            left_out = _left_out(matrices, noise, differences, games)
            shares = weights @ left_out**2 / spreads  # [outputs]
            for game, outputs in enumerate(games):
                error = float(shares[outputs].sum())
                if error < best_errors[game]:
                    best_errors[game], best[game] = error, (rhos[game], noise)
    return best


def _left_out(matrices: Floats, noise: float, differences: Floats, games: Sequence[Indices]) -> Floats:
    """Left-out errors float64[pairs, outputs] with the kernels float64[games, pairs, pairs] of each game."""
    left_out = np.empty_like(differences)
    if len(differences) <= MOST_PAIRS_AT_ONCE:
        inverses = np.linalg.inv(matrices + noise * np.eye(len(differences)))
        for inverse, outputs in zip(inverses, games, strict=True):
            left_out[:, outputs] = inverse @ differences[:, outputs] / inverse.diagonal()[:, np.newaxis]
        return left_out
    for matrix, outputs in zip(matrices, games, strict=True):
        left_out[:, outputs] = solve(matrix, noise, differences[:, outputs])[1]
    return left_out


def _relevance(values: Floats) -> Floats:
    """What ρ is proportional to, float64[n], about 1: the players' values over their root mean square, the mean over
    the outputs.
    """
    scales = np.sqrt(np.mean(values**2, axis=1, keepdims=True))
    relative = np.divide(np.abs(values), scales, out=np.ones_like(values), where=scales > 0)
    relevance: Floats = (relative**RELEVANCE_POWER).mean(axis=0)
    return relevance


def solve(kernel: Floats, noise: float, differences: Floats) -> tuple[Floats, Floats]:
    """Coefficients of the kernel functions, and left-out errors (Rasmussen & Williams 2006, equation 5.12), both
    float64[pairs, outputs].

    Only the diagonal of the inverse is needed. LAPACK's Cholesky routines find it in a third of the time that
    numpy.linalg.inv takes (4.7 ms against 14 at 512 pairs).
    """
    matrix = kernel.copy()
    matrix.flat[:: len(matrix) + 1] += noise
    # The transpose of a symmetric matrix is itself in the order of columns that LAPACK works in, without a copy.
    factor, failed = dpotrf(matrix.T, overwrite_a=True)
    if failed:
        raise np.linalg.LinAlgError(f"The kernel of {len(kernel)} pairs with noise {noise} is not positive definite.")
    coefficients = dpotrs(factor, differences)[0]
    return coefficients, coefficients / dpotri(factor, overwrite_c=True)[0].diagonal()[:, None]


def kernel(rho: Floats, signs: Floats, others: Floats) -> Floats:
    """K, 1 on the diagonal, float64[len(signs), len(others)]."""
    factors = np.log1p(-rho) - np.log1p(rho)  # what a player that differs adds to the log of the first product
    return _of_products((signs * factors) @ others.T, factors.sum())


def kernels(rhos: Floats, signs: Floats) -> Floats:
    """K of the same signs with the ρ of each game, float64[games, n]: float64[games, len(signs), len(signs)]."""
    factors = np.log1p(-rhos) - np.log1p(rhos)
    first = (signs * factors[:, np.newaxis]) @ signs.T
    return _of_products(first, factors.sum(axis=1)[:, np.newaxis, np.newaxis])


def _of_products(first: Floats, total: Any) -> Floats:
    """K from Σ_i x_i x'_i times each player's factor, and the sum of the factors; ``first`` is used up."""
    # In place, as new memory of this size costs more than the arithmetic: both products, over the first's at x = x'.
    np.subtract(total, first, out=first)
    first /= 2
    np.exp(first, out=first)
    second = np.exp(total) / first
    first -= second
    first /= -np.expm1(total)
    return first


def shapley_values(rho: Floats, signs: Floats, coefficients: Floats) -> Floats:
    """Shapley values of Σ_j c_j K(x, x_j), models of pair differences, float64[outputs, n], for x_j the rows of `signs`
    and c float64[rows, outputs].

    The game is half the difference, v(x) = Σ_j c_j K(x, x_j) / 2. With every player present with probability q and
    u = 2q − 1, the product Π (1 + ρ_i x_i x_ji) has mean Π (1 + ρ_i u x_ji); player i adds 2 ρ_i x_ji times the product
    of the others. The second product of K is the first with −ρ, which is the same as u and the sign of the term
    turned: as the nodes lie symmetrically, both terms are equal.
    """
    nodes, node_weights = _quadrature(signs.shape[1] // 2 + 1)
    present, absent = 1 + rho[:, None] * nodes, 1 - rho[:, None] * nodes  # factors by the sign of x_ji [n, nodes]
    steps = np.log(present) - np.log(absent)
    logs = (signs @ steps + (np.log(present) + np.log(absent)).sum(axis=0)) / 2  # of the products [rows, nodes]
    products = np.exp(logs - np.log1p(rho).sum())
    total = -np.expm1((np.log1p(-rho) - np.log1p(rho)).sum())
    values = np.empty((coefficients.shape[1], len(rho)))
    for output, column in enumerate(coefficients.T):
        sums, differences = column @ products, (signs * column[:, None]).T @ products
        # Rows with player i, and rows without: each by its own factor taken out of the product.
        contributions = (sums + differences) / present - (sums - differences) / absent  # twice [n, nodes]
        values[output] = rho * (contributions @ node_weights) / (2 * total)
    return values


@lru_cache(maxsize=64)
def _quadrature(count: int) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss–Legendre quadrature on u ∈ [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights
