"""What confidence intervals decide: whether they are narrow enough, and which players are certainly the largest."""

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats

# Half-widths and differences below this fraction of |v(N)| and |v(∅)| are rounding.
ROUNDING = 1e-12


def interval_ratios(attribution: Attribution) -> Floats:
    """The widest interval's half-width over the range of the values, for each output, float64[outputs].

    0 where the half-widths are rounding; infinite where they are not and all values are equal; NaN where the intervals
    are unknown or there are no players.
    """
    if not attribution.values.shape[1]:
        return np.full(len(attribution.values), np.nan)
    half_widths = ((attribution.upper - attribution.lower) / 2).max(axis=1)
    ranges = np.ptp(attribution.values, axis=1)
    ratios: Floats = np.divide(half_widths, ranges, out=np.full_like(half_widths, np.inf), where=ranges > 0)
    ratios[half_widths <= _rounding(attribution)] = 0.0
    ratios[np.isnan(half_widths)] = np.nan
    return ratios


def within_tolerance(attribution: Attribution, tolerance: float) -> bool:
    """Whether the interval ratio of every output is below `tolerance`; never for tolerance 0 or without players."""
    return tolerance > 0 and attribution.values.size > 0 and bool((interval_ratios(attribution) < tolerance).all())


def certain_top(attribution: Attribution) -> Booleans:
    """Whether it is certain which k players have the largest values by size, bool[outputs, n], for k = 1 … n.

    An interval of phi that reaches from l to u says that |phi| is from max(0, l, −u) to max(−l, u): one that straddles
    zero begins at 0. The first k are certain when the least that any of them can be is no less, but for rounding, than
    the most that any other can be. So equal values count as certain once they are exact: which of them comes first does
    not matter. k = n has no others to be clear of.
    """
    order = np.argsort(-np.abs(attribution.values), axis=1, kind="stable")
    lower, upper = (np.take_along_axis(ends, order, axis=1) for ends in (attribution.lower, attribution.upper))
    least = np.minimum.accumulate(np.maximum(0.0, np.maximum(lower, -upper)), axis=1)
    most = np.maximum.accumulate(np.maximum(-lower, upper)[:, ::-1], axis=1)[:, ::-1]
    certain = ~np.isnan(least)
    certain[:, :-1] &= least[:, :-1] + _rounding(attribution)[:, None] >= most[:, 1:]
    return certain


def _rounding(attribution: Attribution) -> Floats:
    """What counts as zero, float64[outputs]."""
    ends = np.stack((attribution.baseline, attribution.baseline + attribution.values.sum(axis=1)))
    rounding: Floats = ROUNDING * np.abs(ends).max(axis=0)
    return rounding
