"""Bounds of figures: equal to scipy's where it has them, and as sure as they say."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from explicate_bundle.outcomes.resampling import mean
from explicate_standards.standard.bounds import bootstrapped, clopper_pearson, mcnemar, wilson
from explicate_standards.standard.plan import (
    cases_without_failure,
    half_width,
    least_margin,
    plan_lines,
    proven_by_none,
)

CASES = [(0, 20), (1, 20), (84, 100), (199, 200), (200, 200), (840, 1000)]


@pytest.mark.parametrize(("hits", "rows"), CASES)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("bounds", "method"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_the_bounds_of_a_share_are_those_of_scipy(hits: int, rows: int, confidence: float, bounds, method: str) -> None:
    found = bounds(hits, rows, confidence)
    above = binomtest(hits, rows, alternative="greater").proportion_ci(confidence, method=method)
    below = binomtest(hits, rows, alternative="less").proportion_ci(confidence, method=method)
    assert found.value == hits / rows
    assert found.lower == pytest.approx(above.low, abs=1e-9)
    assert found.upper == pytest.approx(below.high, abs=1e-9)


@pytest.mark.parametrize("bounds", [wilson, clopper_pearson])
def test_no_rows_tell_nothing(bounds) -> None:
    found = bounds(0, 0, 0.95)
    assert np.isnan(found.value)
    assert (found.lower, found.upper) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.84])
def test_exact_bounds_are_never_less_sure_than_they_say(share: float) -> None:
    rows, confidence = 120, 0.95
    hits = np.arange(rows + 1)
    covered = np.array([clopper_pearson(int(k), rows, confidence).lower <= share for k in hits])
    assert binom.pmf(hits, rows, share)[covered].sum() >= confidence


def test_bootstrapped_bounds_of_a_mean_hold_as_often_as_they_say() -> None:
    stream = np.random.Generator(np.random.Philox(7))
    held = 0
    for _ in range(200):
        values = stream.exponential(size=300)
        held += bootstrapped(lambda counts, values=values: mean(values, counts), len(values), 0.95).lower <= 1.0
    assert 0.90 <= held / 200 <= 0.99


def test_a_figure_that_no_draw_defines_may_be_anything() -> None:
    found = bootstrapped(lambda counts: np.full(len(counts), np.nan), 10, 0.95)
    assert (found.lower, found.upper) == (-np.inf, np.inf)


def test_mcnemar_counts_only_rows_that_one_of_the_two_has_right() -> None:
    first, second = np.zeros(40, np.bool_), np.zeros(40, np.bool_)
    first[:12], second[10:14] = True, True  # 10 of the first alone, 2 of the second alone
    assert mcnemar(first, second) == pytest.approx(binomtest(10, 12).pvalue)
    assert mcnemar(first, first) == 1.0


def test_a_plan_gives_the_known_figures() -> None:
    assert half_width(0.84, 1000) == pytest.approx(0.0227, abs=1e-4)
    assert [round(least_margin(apart, 1000, 0.95), 3) for apart in (0.08, 0.12)] == [0.022, 0.027]
    assert [round(least_margin(apart, 300, 0.95), 3) for apart in (0.08, 0.12)] == [0.041, 0.05]
    assert proven_by_none(200, 0.95) == pytest.approx(0.0149, abs=1e-4)
    assert cases_without_failure(0.01, 0.95) == 299
    told = "\n".join(plan_lines(1000, 0.84, 0.95))
    assert "±0.023" in told
    assert "a margin of 0.023 to 0.028" in told  # rounded up: with .022 an equal model would be accepted in 79 %
