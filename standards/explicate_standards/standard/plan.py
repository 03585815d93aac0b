"""What a test set of some size can prove, told before anything is trained: `explicate check --plan`."""

from collections.abc import Iterator
from math import ceil, log, sqrt

from scipy.optimize import brentq
from scipy.stats import norm

from explicate_standards.standard.bounds import proven_by_none, score_variance

POWER = 0.8
# Shares of rows that exactly one of two equally good models has right: fine-tunings of one base on one data set.
_APART = (0.08, 0.12)


def half_width(share: float, rows: int, confidence: float = 0.95) -> float:
    """How far a share of rows may be off, both ways, by the normal approximation: z √(p (1 − p) / n)."""
    return float(norm.ppf((1 + confidence) / 2)) * sqrt(share * (1 - share) / rows)


def least_margin(apart: float, rows: int, confidence: float, power: float = POWER) -> float:
    """The smallest margin by which a model as good as another is accepted with some power.

    Solves √n · m = z_confidence √v(−m) + z_power √d, where a share d of the rows is right in one of the two only, and v
    is the variance that the bounds which judge take under a gap of −m. With v = d it is the formula of Lu and Bean
    (1995), which promises too much of few rows: .041 for d = .08 and n = 300, instead of .043.
    """
    level, reach = float(norm.ppf(confidence)), float(norm.ppf(power)) * sqrt(apart)

    def left(margin: float) -> float:
        return sqrt(rows) * margin - level * sqrt(score_variance(apart / 2, apart / 2, -margin)) - reach

    return float(brentq(left, 0.0, 1.0, xtol=1e-12)) if left(1.0) > 0 else 1.0


def named_margin(apart: float, rows: int, confidence: float) -> float:
    """The same as a plan names it, to three decimals: rounded up, for a smaller one would have less power."""
    return ceil(least_margin(apart, rows, confidence) * 1000) / 1000


def cases_without_failure(share: float, confidence: float) -> int:
    """How many cases without a failure prove that at most a share of them fails."""
    return ceil(log(1.0 - confidence) / log(1.0 - share))


def plan_lines(rows: int, accuracy: float, confidence: float) -> Iterator[str]:
    """What that many rows can tell of a model that is right in a share of them, for people."""
    half = half_width(accuracy, rows)
    few, many = (named_margin(apart, rows, confidence) for apart in _APART)
    yield f"{rows:,} test rows, a model that is right in {accuracy:.0%} of them, confidence {confidence:g}:"
    yield f"  its accuracy is known to ±{half:.3f} (95 %), so a line should lie about that much below what you expect"
    yield (
        f"  no worse than another model: with a margin of {few:.3f} to {many:.3f} an equally good one is accepted in "
        f"{POWER:.0%} of the cases"
    )
    yield f"  (if one of the two alone is right in {_APART[0]:.0%} to {_APART[1]:.0%} of the rows, as fine-tunings are)"
    yield (
        f"  0 failures of 200 cases prove at most {proven_by_none(200, confidence):.2%}; at most 1 % takes "
        f"{cases_without_failure(0.01, confidence):,} cases without one"
    )
