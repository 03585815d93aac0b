"""Shapley values of v(S) = σ(a + Σ_{j in S} d_j) in polynomial time, to rounding.

The sigmoid is a sum of exponentials wherever it is asked. A square wave of period P, convolved with the logistic
density, is 2σ(z) − 1 as long as z is far enough from the wave's next edges at ± P / 2: there it is off by less than
2 exp(−(P / 2 − |z|)). The Fourier series of the wave, and the density's characteristic function πω / sinh(πω), give

    σ(z) = 1/2 + (2 / π) Σ_{m odd} (πω_m / sinh(πω_m)) sin(ω_m z) / m,    ω_m = 2πm / P.

The game of one exponential is a product, exp(iωa) Π_{j in S} u_j with u_j = exp(iω d_j). Its Shapley values are
derivatives of its multilinear extension on the diagonal (Owen, Multilinear Extensions of Games, 1972):

    φ_i = ∫_0^1 (u_i − 1) Π_{j ≠ i} (1 + t (u_j − 1)) dt,

whose integrand is a polynomial of degree n − 1 in t, which ⌈n / 2⌉ nodes of Gauss and Legendre integrate exactly. All
factors are at most 1 by size, so nothing is lost on the way. That takes frequencies · n² / 2 steps, not 2^n.
"""

import math

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.attribution import Floats

# Waves are cut, and edges kept away, where they are below e^-30 = 1e-13.
_DECAY = 30.0
# Numbers of one array of the work at a time: 32 MB.
_CELLS = 1 << 21

_Complex = NDArray[np.complex128]


def sigmoid_shapley_values(absent: Floats, changes: Floats, weights: Floats) -> Floats:
    """Shapley values float64[n] of the weighted mean of such games.

    Args:
        absent: float64[b], a of each game.
        changes: float64[b, n], its d.
        weights: float64[b].
    """
    n = changes.shape[1]
    frequencies, sizes = _waves(_furthest(absent, changes))
    nodes, node_weights = np.polynomial.legendre.leggauss(-(-n // 2))
    times, time_weights = (nodes + 1) / 2, node_weights / 2  # from [−1, 1] to [0, 1]
    values = np.zeros(n)
    games = max(1, _CELLS // (n * len(frequencies) * len(times)))
    for first in range(0, len(absent), games):
        some = slice(first, first + games)
        start = weights[some, np.newaxis] * sizes * np.exp(1j * np.outer(absent[some], frequencies))  # [b, waves]
        steps = np.exp(1j * changes[some].T[:, :, np.newaxis] * frequencies) - 1  # [n, b, waves]
        factors = 1 + steps[..., np.newaxis] * times  # [n, b, waves, times]
        others = _products_of_others(factors) @ time_weights
        values += np.einsum("bw,nbw->n", start, steps * others).imag
    return values


def _furthest(absent: Floats, changes: Floats) -> float:
    """The largest |a + Σ_{j in S} d_j| of all S."""
    most = absent + np.maximum(changes, 0).sum(axis=1)
    least = absent + np.minimum(changes, 0).sum(axis=1)
    return float(np.maximum(np.abs(most), np.abs(least)).max())


def _waves(furthest: float) -> tuple[Floats, Floats]:
    """Frequencies float64[waves] and the size of each sine, so that their sum is σ − 1/2 on [−furthest, furthest]."""
    period = 2 * (furthest + _DECAY)
    highest = (_DECAY + math.log(_DECAY)) / math.pi  # where πω / sinh(πω) has decayed
    odd = np.arange(1, max(2, math.ceil(highest * period / (2 * math.pi))) + 1, 2)
    frequencies = 2 * np.pi * odd / period
    sizes = 2 * frequencies / np.sinh(np.pi * frequencies) / odd
    return np.asarray(frequencies, dtype=np.float64), np.asarray(sizes, dtype=np.float64)


def _products_of_others(factors: _Complex) -> _Complex:
    """Of each player the product of all others' factors, complex[n, …]: those before it times those after it."""
    before, after = np.ones_like(factors), np.ones_like(factors)
    before[1:] = np.cumprod(factors[:-1], axis=0)
    after[:-1] = np.cumprod(factors[:0:-1], axis=0)[::-1]
    return np.asarray(before * after)
