"""How low and how high a figure may be, each with a confidence of its own: one bound decides a requirement.

A standard's confidence is one-sided: of a true value below the lower bound there are at most 5 % of samples at a
confidence of .95. So the two bounds together are an interval of 90 %.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binomtest, norm

from explicate_bundle.outcomes.resampling import Counts, draws
from explicate_bundle.standard.verdicts import Bounds

Floats = NDArray[np.float64]
_MOST_KEPT_ROWS = 4_000  # 32 MB of draws


def wilson(hits: int, rows: int, confidence: float) -> Bounds:
    """Of a share of rows: Wilson's score bounds (Wilson 1927), which inverts the test of a share with its own variance.

    With no rows the share may be anything.
    """
    if not rows:
        return Bounds(float("nan"), 0.0, 1.0, 0)
    z = float(norm.ppf(confidence))
    share, weight = hits / rows, 1 + z * z / rows
    middle = (share + z * z / (2 * rows)) / weight
    half = z / weight * sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    lower = 0.0 if hits == 0 else max(0.0, middle - half)
    return Bounds(share, lower, 1.0 if hits == rows else min(1.0, middle + half), rows)


def clopper_pearson(hits: int, rows: int, confidence: float) -> Bounds:
    """Of a share of cases: the exact bounds (Clopper and Pearson 1934), never less sure than they say.

    With no rows the share may be anything.
    """
    if not rows:
        return Bounds(float("nan"), 0.0, 1.0, 0)
    lower = float(beta.ppf(1 - confidence, hits, rows - hits + 1)) if hits else 0.0
    upper = float(beta.ppf(confidence, hits + 1, rows - hits)) if hits < rows else 1.0
    return Bounds(hits / rows, lower, upper, rows)


def bootstrapped(samples: Callable[[Counts], Floats], rows: int, confidence: float) -> Bounds:
    """Of a figure that `samples` gives, float64[draws], on draws of the rows: percentiles of the bootstrap.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Draws that leave it undefined are passed
    over; it may be anything if all do.
    """
    value = float(samples(np.ones((1, rows), np.float32))[0]) if rows else float("nan")
    found = np.concatenate([samples(counts) for counts in _draws(rows)]) if rows else np.zeros(0)
    known = found[np.isfinite(found)]
    if not len(known) or not np.isfinite(value):
        return Bounds(value, -np.inf, np.inf, rows)
    lower, upper = np.quantile(known, [1 - confidence, confidence]).tolist()
    return Bounds(value, lower, upper, rows)


def _draws(rows: int) -> Iterable[Counts]:
    """The draws of that many rows, which many figures of the same rows share."""
    return _kept_draws(rows) if rows <= _MOST_KEPT_ROWS else draws(rows)


@lru_cache(maxsize=2)
def _kept_draws(rows: int) -> tuple[Counts, ...]:
    return tuple(draws(rows))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """p of McNemar's exact test that two models are right equally often, bool[rows] each of the same rows.

    Only rows that one of them has right tell; under the hypothesis each is either's with probability ½ (McNemar 1947).
    """
    only_first = int((first & ~second).sum())
    apart = only_first + int((second & ~first).sum())
    return float(binomtest(only_first, apart).pvalue) if apart else 1.0
