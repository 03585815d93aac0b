"""How low and how high a figure may be, each with a confidence of its own: one bound decides a requirement.

A standard's confidence is one-sided: of a true value below the lower bound there are at most 5 % of samples at a
confidence of .95. So the two bounds together are an interval of 90 %.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import copysign, hypot, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, binomtest, norm
from scipy.stats import t as student

from explicate_bundle.outcomes.resampling import Counts, as_they_are, draws
from explicate_bundle.standard.verdicts import Bounds

Floats = NDArray[np.float64]
_MOST_KEPT_ROWS = 4_000  # 32 MB of draws
_EXACT = 1e-12
_MOST_SCORE = 1e9
_SAME = 1e-6  # what float32 sums of the same rows may differ by
_LEAST_SHARE = 1e-3  # of draws on one side of the value
_MOST_GROUPS, _GROUPS_AT_ONCE = 500, 100


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


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float, *, ratio: float = 1.0) -> Bounds:
    """By how much a share of rows is above another share of the same rows, or above `ratio` times it, bool[rows] each.

    Tango's bounds of the difference; the rest, (1 − ratio) of the other share, has Wilson's, and both are joined as
    independent ones are (MOVER, Zou and Donner 2008), which the other share's sign makes cautious.
    """
    gap, other = tango(first, second, confidence), wilson(int(second.sum()), len(second), confidence)
    rest = 1.0 - ratio
    value = gap.value + rest * other.value
    lower = value - hypot(gap.value - gap.lower, rest * (other.value - other.lower))
    return Bounds(value, lower, value + hypot(gap.upper - gap.value, rest * (other.upper - other.value)), len(first))


def tango(first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float) -> Bounds:
    """By how much larger a share of the same rows, bool[rows] each, is: Tango's score bounds of paired shares.

    Where all rows are alike in both it is z² / (n + z²) wide, as Wilson's is of none, where a bootstrap has no width
    (Tango, Statistics in Medicine 17, 1998: the difference λ that (b − c − nλ) / √(n (2q + λ(1 − λ))) = ± z, with the
    most likely q of rows that only the second has, given λ).
    """
    rows, b, c = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    if not rows:
        return Bounds(float("nan"), -1.0, 1.0, 0)
    z = float(norm.ppf(confidence))

    def score(gap: float) -> float:
        variance = rows * score_variance(b / rows, c / rows, gap)
        apart = b - c - rows * gap
        return apart / sqrt(variance) if variance > 0 else copysign(inf, apart) if apart else 0.0

    value, edge = (b - c) / rows, 1e-12
    lower = -1.0 if value <= -1 + edge else brentq(lambda gap: _finite(score(gap)) - z, edge - 1, value, xtol=_EXACT)
    upper = 1.0 if value >= 1 - edge else brentq(lambda gap: _finite(score(gap)) + z, value, 1 - edge, xtol=_EXACT)
    return Bounds(value, float(lower), float(upper), rows)


def score_variance(first: float, second: float, gap: float) -> float:
    """The variance of a row's difference under a gap, if shares of the rows are right in the first, the second alone.

    2q + λ(1 − λ), with the most likely q of rows that only the second has, given the gap λ (Tango 1998).
    """
    linear = (2 - first + second) * gap - first - second
    likely = (sqrt(max(0.0, linear * linear + 8 * second * gap * (1 - gap))) - linear) / 4
    return max(0.0, 2 * likely + gap * (1 - gap))


def _finite(score: float) -> float:
    return min(max(score, -_MOST_SCORE), _MOST_SCORE)


def bootstrapped(
    samples: Callable[[Counts], Floats], rows: int, confidence: float, *, rarest: int | None = None
) -> Bounds:
    """Of a figure that `samples` gives, float64[draws]: the bootstrap over rows, corrected for bias and skew.

    BCa (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14.3), its levels widened as Student's t
    is for so many rows (Hesterberg, The American Statistician 69, 2015). Draws that leave the figure undefined are
    passed over; it may be anything if all do.

    Args:
        samples: the figure on draws.
        rows: how many rows there are.
        confidence: of each bound.
        rarest: of a share or a difference of shares, how many rows of the rarest kind it rests on: if no draw changes
            it, as with a model that is right in all of them, it may be off as a share is of which none was seen.
    """
    value = float(samples(as_they_are(rows))[0]) if rows else float("nan")
    found = np.concatenate([samples(counts) for counts in _draws(rows)]) if rows else np.zeros(0)
    known = found[np.isfinite(found)]
    if not len(known) or not np.isfinite(value):
        return Bounds(value, -np.inf, np.inf, rows)
    if np.ptp(known) <= _SAME:
        return not_surer(Bounds(value, value, value, rows), rarest, confidence)
    levels = _corrected(known, value, _acceleration(samples, rows), rows, confidence)
    lower, upper = np.quantile(known, levels).tolist()
    return Bounds(value, lower, upper, rows)


def proven_by_none(cases: int, confidence: float) -> float:
    """The largest share of failures that no failure in so many cases leaves possible: 1 − (1 − c)^(1/n)."""
    return 1.0 - float((1.0 - confidence) ** (1.0 / cases))


def not_surer(bounds: Bounds, rows: int | None, confidence: float) -> Bounds:
    """The same, but on neither side surer than of a share of which none was seen in so many rows; None: of numbers."""
    unseen = inf if not rows else proven_by_none(rows, confidence)
    lower, upper = min(bounds.lower, bounds.value - unseen), max(bounds.upper, bounds.value + unseen)
    return Bounds(bounds.value, lower, upper, bounds.rows)


def _corrected(found: Floats, value: float, acceleration: float, rows: int, confidence: float) -> list[float]:
    """The shares of draws between which the figure lies."""
    below = ((found < value - _SAME).mean() + (found < value + _SAME).mean()) / 2  # ties by half
    bias = float(norm.ppf(np.clip(below, _LEAST_SHARE, 1 - _LEAST_SHARE)))
    wide = sqrt(rows / max(1, rows - 1)) * float(student.ppf(confidence, max(1, rows - 1)))
    return [
        float(norm.cdf(bias + (bias + z) / max(_LEAST_SHARE, 1 - acceleration * (bias + z)))) for z in (-wide, wide)
    ]


def _acceleration(samples: Callable[[Counts], Floats], rows: int) -> float:
    """How the figure's spread changes with it: a sixth of the skewness of what leaving out rows does (chapter 14.3)."""
    groups = min(rows, _MOST_GROUPS)
    group = np.arange(rows) * groups // rows
    left = []
    for first in range(0, groups, _GROUPS_AT_ONCE):
        counts = (group != np.arange(first, min(first + _GROUPS_AT_ONCE, groups))[:, np.newaxis]).astype(np.float32)
        left.append(samples(counts * (rows / np.maximum(1, counts.sum(axis=1, keepdims=True)))))
    values = np.concatenate(left)
    gaps = np.nanmean(values) - values if np.isfinite(values).any() else np.zeros(0)
    gaps = gaps[np.isfinite(gaps)]
    spread = float(np.square(gaps).sum())
    return float((gaps**3).sum() / (6 * spread**1.5)) if spread > _SAME**2 else 0.0


@dataclass(frozen=True)
class Share:
    """A share of rows: `hits` of `rows`."""

    hits: int
    rows: int


def largest_difference(conditions: Sequence[Sequence[Share]], confidence: float) -> tuple[float, float]:
    """Bounds of the largest difference between two groups' shares, in any of the conditions.

    The largest of several estimates is too large by chance, and so is each draw of it, so no bootstrap bounds it. But
    the true one is that of one pair of groups. So it is at most what every pair is at most, with the confidence that
    each pair has, and at least what any pair is at least, with the confidence that all have together (Bonferroni).
    A pair's bounds are Newcombe's (Statistics in Medicine 17, 1998, method 10).
    """
    pairs = [pair for groups in conditions for pair in permutations(groups, 2)]
    together = 1 - (1 - confidence) / len(pairs)
    lower = max(_difference(first, second, together)[0] for first, second in pairs)
    return max(0.0, lower), max(_difference(first, second, confidence)[1] for first, second in pairs)


def smallest_ratio(groups: Sequence[Share], confidence: float) -> tuple[float, float]:
    """Bounds of the smallest ratio of two groups' shares, as those of `largest_difference`, the other way round.

    A pair's bounds are Donner and Zou's (Statistical Methods in Medical Research 21, 2012, MOVER-R) of Wilson's.
    """
    pairs = list(permutations(groups, 2))
    together = 1 - (1 - confidence) / len(pairs)
    upper = min(_ratio(first, second, together)[1] for first, second in pairs)
    return min(_ratio(first, second, confidence)[0] for first, second in pairs), min(1.0, upper)


def _difference(first: Share, second: Share, confidence: float) -> tuple[float, float]:
    one, other = (wilson(each.hits, each.rows, confidence) for each in (first, second))
    if not first.rows or not second.rows:
        return -1.0, 1.0
    gap = one.value - other.value
    lower = gap - hypot(one.value - one.lower, other.upper - other.value)
    return max(-1.0, lower), min(1.0, gap + hypot(one.upper - one.value, other.value - other.lower))


def _ratio(first: Share, second: Share, confidence: float) -> tuple[float, float]:
    one, other = (wilson(each.hits, each.rows, confidence) for each in (first, second))
    if not first.rows or not second.rows:
        return 0.0, inf

    def end(above: float, below: float, sign: float) -> float:
        both = one.value * other.value
        inner = both * both - above * below * (2 * one.value - above) * (2 * other.value - below)
        under = below * (2 * other.value - below)
        return (both + sign * sqrt(max(0.0, inner))) / under if under > 0 else inf

    lower = end(one.lower, other.upper, -1.0)
    return (0.0 if lower == inf else max(0.0, lower)), end(one.upper, other.lower, 1.0)


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
