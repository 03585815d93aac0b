"""Adaptive shrinkage: what is known of many estimates once all of them have said how large such things are.

Stephens, False discovery rates: a new deal, Biostatistics 2017. True values are taken to come from a mixture of normal
distributions around 0, from none to large, whose shares the estimates themselves choose (EM). A value that is small
beside its error is pulled to 0, one that is far beyond what others are is left as it is. What is known of each then
does not depend on which ones are looked at: picking the strongest does not bias what is said of them, as it does for
plain estimates, whose largest are largest by luck, too.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from explicate_server.explain.attribution import Floats, Indices

# Normal distributions of the mixture, and rounds of EM at most.
COMPONENTS, MAX_ROUNDS = 12, 60
# What of the typical error the narrowest are; the widest is twice the largest estimate.
NONE, NARROWEST, WIDEST = 0.05, 0.25, 2.0
# One observation's worth of every component keeps the shares off 0.
PRIOR_OBSERVATIONS = 1.0
_HALVINGS = 60


@dataclass(frozen=True)
class Posteriors:
    """What is known of each value: a mixture of normal distributions.

    Attributes:
        shares: float64[values, components], which sum to 1.
        means: float64[values, components].
        deviations: float64[values, components].
    """

    shares: Floats
    means: Floats
    deviations: Floats

    @property
    def values(self) -> Floats:
        """The means, float64[values]."""
        return np.asarray((self.shares * self.means).sum(axis=1))

    @property
    def standard_errors(self) -> Floats:
        """The standard deviations, float64[values]."""
        squares = (self.shares * (self.deviations**2 + self.means**2)).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(squares - self.values**2, 0.0)))

    def of(self, places: Indices) -> "Posteriors":
        """Those of some values."""
        return Posteriors(self.shares[places], self.means[places], self.deviations[places])

    def quantiles(self, probability: float) -> Floats:
        """Where the value lies below with this probability, float64[values]."""
        reach = 40 * self.deviations
        low, high = (self.means - reach).min(axis=1), (self.means + reach).max(axis=1)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = (self.shares * ndtr((middle[:, np.newaxis] - self.means) / self.deviations)).sum(axis=1)
            low, high = np.where(below < probability, middle, low), np.where(below < probability, high, middle)
        return np.asarray((low + high) / 2)


def shrunk(estimates: Floats, variances: Floats, scales: Floats) -> Posteriors:
    """Posteriors of values with estimates float64[values], their variances, above 0, and what the values are in
    proportion to, float64[values].
    """
    widths = np.multiply.outer(scales, _widths(estimates / scales, variances / scales**2))
    spreads = variances[:, np.newaxis] + widths**2
    logs = -(estimates[:, np.newaxis] ** 2 / spreads + np.log(spreads)) / 2
    likelihoods = np.exp(logs - logs.max(axis=1, keepdims=True))
    mixture = np.full(widths.shape[1], 1 / widths.shape[1])
    for _ in range(MAX_ROUNDS):
        shares = likelihoods * mixture
        shares /= shares.sum(axis=1, keepdims=True)
        mixture = shares.sum(axis=0) + PRIOR_OBSERVATIONS / len(mixture)
        mixture /= mixture.sum()
    shares = likelihoods * mixture
    shares /= shares.sum(axis=1, keepdims=True)
    kept = widths**2 / spreads
    return Posteriors(shares, kept * estimates[:, np.newaxis], np.sqrt(kept * variances[:, np.newaxis]))


def _widths(estimates: Floats, variances: Floats) -> Floats:
    """Standard deviations of the components, float64[components + 1]."""
    error = float(np.sqrt(np.median(variances)))
    largest = max(error, WIDEST * float(np.abs(estimates).max()))
    return np.concatenate(([NONE * error], np.geomspace(NARROWEST * error, largest, COMPONENTS)))
