"""Which players are certain to have the largest values by size.

That |φ_a| ≥ |φ_b| is two statements about differences: with s the sign of φ_a, s φ_a − φ_b ≥ 0 and s φ_a + φ_b ≥ 0. The
error of a difference follows from those of both values and their correlation; it is less than the sum of the two
half-widths, by a factor √2 where both are alike and independent. So two players can be told apart by half of the rows
that it takes until their separate intervals are.
"""

import numpy as np
from scipy.special import stdtr

from explicate_server.explain.attribution import CERTAINTY, Attribution, Booleans, Floats

# Pairs of players of so many outputs are looked at together: 8 MB an array.
_PAIRS_AT_ONCE = 2**20


def certain_top(attribution: Attribution) -> Booleans:
    """Whether it is certain which k players have the largest values by size, bool[outputs, n], for k = 1 … n.

    Each pair of one of the first k and one of the others may be the other way round. It is certain which are the first
    k when the p-values of these, summed over all pairs (Bonferroni), are at most 1 − `CERTAINTY`, or 1 − confidence
    if that is less. Equal values count as certain once they are exact: which of them comes first does not matter. k = n
    has no others.
    """
    outputs, n = attribution.values.shape
    doubt = np.zeros((outputs, n))
    for output in range(0, outputs, step := max(1, _PAIRS_AT_ONCE // max(n * n, 1))):
        some = np.arange(output, min(output + step, outputs))
        reversals = _reversals(attribution.of(some))
        # The sum over a < k ≤ b is that over all pairs with a < k, less those with both below k.
        below = np.cumsum(reversals.sum(axis=2), axis=1)
        doubt[some] = below - np.cumsum(reversals.sum(axis=1), axis=1)
    tolerated = 1 - max(attribution.confidence, CERTAINTY)
    unknown = np.isnan(attribution.standard_errors).any(axis=1, keepdims=True)
    return np.asarray((doubt <= tolerated) & np.logical_not(unknown))


def ranks_nothing(attribution: Attribution) -> Booleans:
    """Where all values are the same size but for rounding, so that none is the strongest, bool[outputs]."""
    spans: Floats = np.ptp(np.abs(attribution.values), axis=1) if attribution.values.shape[1] else np.zeros(1)
    exact = (attribution.half_widths <= attribution.rounding[:, None]).all(axis=1)
    return np.asarray(exact & (spans <= attribution.rounding))


def _reversals(attribution: Attribution) -> Floats:
    """How likely a player of rank b is larger by size than that of rank a < b, float64[outputs, n, n]; 0
    elsewhere.

    It is the larger one of the p-values of the difference and the sum: both must hold (an intersection–union test,
    Berger, Technometrics 1982). Where correlations are unknown the worst is assumed: both errors add up.
    """
    order = np.argsort(-np.abs(attribution.values), axis=1, kind="stable")
    values = np.take_along_axis(attribution.values, order, axis=1)
    errors = np.take_along_axis(attribution.standard_errors, order, axis=1)
    if attribution.correlations is None:
        of_differences = of_sums = (errors[:, :, None] + errors[:, None, :]) ** 2
    else:
        signs = np.where(values < 0, -1.0, 1.0)
        ranked = np.take_along_axis(attribution.correlations, order[:, :, None], axis=1)
        signed = signs[:, :, None] * signs[:, None, :] * np.take_along_axis(ranked, order[:, None, :], axis=2)
        shared = 2 * signed * errors[:, :, None] * errors[:, None, :]
        both = errors[:, :, None] ** 2 + errors[:, None, :] ** 2
        of_differences, of_sums = both - shared, both + shared
    sizes = np.abs(values)
    differences = _over_errors(sizes[:, :, None] - sizes[:, None, :], of_differences, attribution.rounding)
    sums = _over_errors(sizes[:, :, None] + sizes[:, None, :], of_sums, attribution.rounding)
    return np.triu(stdtr(attribution.degrees_of_freedom[:, None, None], -np.minimum(differences, sums)), 1)


def _over_errors(gaps: Floats, variances: Floats, rounding: Floats) -> Floats:
    """Gaps over the roots of variances, float64[outputs, n, n]; infinite where these are rounding, float64[outputs]."""
    errors = np.sqrt(np.maximum(variances, 0.0))
    known = errors <= rounding[:, None, None]
    return np.where(known, np.inf, gaps / np.where(known, 1.0, errors))
