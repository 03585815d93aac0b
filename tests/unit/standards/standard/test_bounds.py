"""Bounds of figures: equal to scipy's where it has them, and as sure as they say."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, bootstrap, norm
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.power import normal_power_het
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from explicate_bundle.outcomes.resampling import as_they_are, draws, mean
from explicate_standards.standard.bounds import (
    Share,
    bootstrapped,
    clopper_pearson,
    largest_difference,
    mcnemar,
    paired,
    score_variance,
    smallest_ratio,
    tango,
    wilson,
)
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
    assert [round(least_margin(apart, 1000, 0.95), 3) for apart in (0.08, 0.12)] == [0.023, 0.028]
    assert [round(least_margin(apart, 300, 0.95), 3) for apart in (0.08, 0.12)] == [0.043, 0.052]
    assert proven_by_none(200, 0.95) == pytest.approx(0.0149, abs=1e-4)
    assert cases_without_failure(0.01, 0.95) == 299
    told = "\n".join(plan_lines(1000, 0.84, 0.95))
    assert "±0.023" in told
    assert "a margin of 0.023 to 0.028" in told


@pytest.mark.parametrize(("hits", "rows"), CASES)
@pytest.mark.parametrize(("bounds", "method"), [(wilson, "wilson"), (clopper_pearson, "beta")])
def test_the_bounds_of_a_share_are_those_of_statsmodels(hits: int, rows: int, bounds, method: str) -> None:
    found = bounds(hits, rows, 0.95)
    low, high = proportion_confint(hits, rows, alpha=0.1, method=method)
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=1e-9)


def test_mcnemars_p_is_that_of_statsmodels() -> None:
    stream = np.random.Generator(np.random.Philox(8))
    first, second = stream.random(200) < 0.8, stream.random(200) < 0.75
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    assert mcnemar(first, second) == pytest.approx(reference_mcnemar(table, exact=True).pvalue, abs=1e-9)


def test_the_margin_of_a_plan_has_the_power_that_statsmodels_says() -> None:
    """The gap of two equal models is about normal with the deviation √d of a row; the bounds take that at the line."""
    apart, rows = 0.1, 1000
    margin = least_margin(apart, rows, 0.95)
    at_the_line, as_it_is = np.sqrt(score_variance(apart / 2, apart / 2, -margin)), np.sqrt(apart)
    power = normal_power_het(margin, rows, 0.05, at_the_line, as_it_is, alternative="larger")
    assert power == pytest.approx(0.8, abs=1e-9)
    assert margin > (norm.ppf(0.95) + norm.ppf(0.8)) * np.sqrt(apart / rows)  # Lu and Bean's, which is a little short


@pytest.mark.parametrize(("first", "second"), [((30, 50), (45, 60)), ((0, 40), (3, 50)), ((198, 200), (180, 200))])
def test_the_bounds_of_a_gap_of_two_groups_are_those_of_statsmodels(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Newcombe's of the larger less the smaller: from above with the confidence, from below with half the doubt."""
    larger, smaller = sorted((first, second), key=lambda one: -one[0] / one[1])
    lower, upper = largest_difference([[Share(*first), Share(*second)]], 0.95)
    of = lambda alpha: confint_proportions_2indep(*larger, *smaller, compare="diff", method="newcomb", alpha=alpha)  # noqa: E731
    assert upper == pytest.approx(of(0.1)[1], abs=1e-9)
    assert lower == pytest.approx(max(0.0, of(0.05)[0]), abs=1e-9)
    low, high = smallest_ratio([Share(*first), Share(*second)], 0.95)
    assert 0 <= low <= (smaller[0] / smaller[1]) / (larger[0] / larger[1]) <= high <= 1


def likeliest(b: int, c: int, rows: int, gap: float) -> float:
    """The most likely share of rows that only the second has right, if the two differ by a gap: by search."""

    def unlikely(q: float) -> float:
        parts = ((b, q + gap), (c, q), (rows - b - c, 1 - 2 * q - gap))
        return -sum(count * np.log(max(share, 1e-300)) for count, share in parts if count)

    bounds = (max(0.0, -gap) + 1e-13, (1 - gap) / 2 - 1e-13)
    return float(minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x)


@pytest.mark.parametrize(("b", "c", "rows"), [(12, 4, 100), (3, 9, 60), (40, 40, 500), (1, 0, 50)])
def test_the_bounds_of_paired_shares_are_where_the_score_test_turns(b: int, c: int, rows: int) -> None:
    """The score statistic with the likeliest share found by search, not by the quadratic equation."""
    first, second = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    first[:b], second[b : b + c] = True, True
    found = tango(first, second, 0.95)
    for gap, sign in ((found.lower, 1.0), (found.upper, -1.0)):
        q = likeliest(b, c, rows, gap)
        score = (b - c - rows * gap) / np.sqrt(rows * (2 * q + gap * (1 - gap)))
        assert score == pytest.approx(sign * norm.ppf(0.95), abs=1e-5)  # as well as a search finds q


def test_paired_shares_that_never_differ_have_the_width_of_wilsons_of_none() -> None:
    same = np.arange(120) < 100
    found = tango(same, same, 0.95)
    none = wilson(0, 120, 0.95)
    assert (found.lower, found.upper) == pytest.approx((-none.upper, none.upper), abs=1e-9)
    assert paired(same, same, 0.95, ratio=0.9).value == pytest.approx(0.1 * 100 / 120)


def test_the_bootstrap_is_that_of_scipy_where_the_draws_are_the_same() -> None:
    """BCa on given draws: scipy draws with its own stream, so both get very many, and the levels are widened here."""
    values = np.random.Generator(np.random.Philox(6)).exponential(size=400)
    found = bootstrapped(lambda counts: mean(values, counts), 400, 0.95)
    theirs = bootstrap((values,), np.mean, confidence_level=0.9, n_resamples=9999, method="BCa", rng=1)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found.lower == pytest.approx(theirs.confidence_interval.low, abs=0.05 * width)
    assert found.upper == pytest.approx(theirs.confidence_interval.high, abs=0.05 * width)


def test_a_draw_of_the_rows_as_they_are_is_exact_and_others_sum_to_the_rows() -> None:
    values = np.random.Generator(np.random.Philox(6)).normal(size=300)
    assert mean(values, as_they_are(300))[0] == pytest.approx(values.mean(), abs=1e-15)
    assert {float(counts.sum(axis=1).max()) for counts in draws(300)} == {300.0}


def test_a_figure_that_no_draw_changes_is_not_certain() -> None:
    """As AUROC 1 on 20 rows of the rarer class: 0 of 20 wrong leaves 1 − .05^(1/20) possible."""
    found = bootstrapped(lambda counts: np.ones(len(counts)), 100, 0.95, rarest=20)
    assert (found.lower, found.upper) == pytest.approx((0.05 ** (1 / 20), 2 - 0.05 ** (1 / 20)), abs=1e-12)
    numbers = bootstrapped(lambda counts: np.ones(len(counts)), 100, 0.95)
    assert (numbers.lower, numbers.upper) == (-np.inf, np.inf)
