"""`python -m benchmarks.coverage`: how often each kind of bound of `explicate check` holds, by simulation.

A bound with a confidence of .95 should hold in .95 of the samples. Those of shares are exact sums over all samples, and
the mean over true shares near the one named, for with few rows they jump. Others are drawn: with 2,000 samples a figure
is known to ±.01. Prints Markdown; docs/standards.md has the table. About 3 minutes of one core.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from explicate_bundle.outcomes.resampling import Counts, area_under_roc, mean, scores_of_decisions
from explicate_bundle.standard.verdicts import Bounds
from explicate_standards.standard.bounds import (
    Share,
    bootstrapped,
    clopper_pearson,
    largest_difference,
    paired,
    smallest_ratio,
    wilson,
)
from explicate_standards.standard.cost_requirements import deviation, quantile_bounds

CONFIDENCE = 0.95
Floats = NDArray[np.float64]
Sample = Callable[[np.random.Generator, int], Bounds]
Held = tuple[float, float]
"""How often the lower and the upper bound hold."""


def of_share(bounds: Callable[[int, int, float], Bounds], share: float, rows: int) -> Held:
    """Exactly, the mean over 31 true shares within ±.015 of the one named."""
    hits = np.arange(rows + 1)
    found = [bounds(int(count), rows, CONFIDENCE) for count in hits]
    lower, upper = (np.array([getattr(one, end) for one in found]) for end in ("lower", "upper"))
    shares = np.linspace(share - 0.015, share + 0.015, 31)
    held = [(binom.pmf(hits, rows, p)[lower <= p].sum(), binom.pmf(hits, rows, p)[upper >= p].sum()) for p in shares]
    ours = np.mean(held, axis=0)
    return float(ours[0]), float(ours[1])


def drawn(sample: Sample, truth: float, rows: int, samples: int, seed: int = 1) -> Held:
    """Of samples that are drawn."""
    stream = np.random.Generator(np.random.Philox(seed))
    found = [sample(stream, rows) for _ in range(samples)]
    held = [(one.lower <= truth + 1e-9, one.upper >= truth - 1e-9) for one in found]
    lower, upper = np.mean(held, axis=0).tolist()
    return lower, upper


def _figure(values: Floats, measure: Callable[[Floats, Counts], Floats]) -> Bounds:
    return bootstrapped(partial(measure, values), len(values), CONFIDENCE)


def _root(values: Floats, counts: Counts) -> Floats:
    return np.sqrt(mean(values, counts))


def _mean(values: Floats, counts: Counts) -> Floats:
    return mean(values, counts)


def _paired(first_alone: float, second_alone: float, ratio: float) -> Sample:
    def sample(stream: np.random.Generator, rows: int) -> Bounds:
        draw = stream.random(rows)
        both = draw < 0.8
        first = both | ((draw >= 0.8) & (draw < 0.8 + first_alone))
        second = both | ((draw >= 0.8 + first_alone) & (draw < 0.8 + first_alone + second_alone))
        return paired(first, second, CONFIDENCE, ratio=ratio)

    return sample


def _auroc(share: float, apart: float) -> Sample:
    def sample(stream: np.random.Generator, rows: int) -> Bounds:
        positive = stream.random(rows) < share
        positive[:2] = True, False
        scores = stream.normal(size=rows) + apart * positive
        return bootstrapped(partial(area_under_roc, scores, positive), rows, CONFIDENCE)

    return sample


def _f1(share: float, recall: float, false_alarms: float) -> Sample:
    def sample(stream: np.random.Generator, rows: int) -> Bounds:
        there = stream.random(rows) < share
        answered = stream.random(rows) < np.where(there, recall, false_alarms)
        columns = answered[:, np.newaxis], there[:, np.newaxis]
        return bootstrapped(lambda counts: scores_of_decisions(*columns, counts)[2][:, 0], rows, CONFIDENCE)

    return sample


def _gap(rates: Floats, *, of_ratio: bool) -> Sample:
    def sample(stream: np.random.Generator, rows: int) -> Bounds:
        sizes = stream.multinomial(rows, np.full(len(rates), 1 / len(rates)))
        groups = [Share(int(stream.binomial(size, rate)), int(size)) for size, rate in zip(sizes, rates, strict=True)]
        ends = smallest_ratio(groups, CONFIDENCE) if of_ratio else largest_difference([groups], CONFIDENCE)
        return Bounds(0.0, *ends, rows)

    return sample


def lines(samples: int) -> Iterator[tuple[str, str, int, Held]]:
    """Kind of bounds, of what, rows, how often they hold."""
    for rows in (50, 200, 1000):
        for share in (0.05, 0.3, 0.84, 0.95):
            yield "Clopper–Pearson", f"share {share:g}", rows, of_share(clopper_pearson, share, rows)
            yield "Wilson", f"share {share:g}", rows, of_share(wilson, share, rows)
        for first, second in ((0.05, 0.05), (0.08, 0.04), (0.02, 0.06)):
            what = f"paired shares, {first:g} and {second:g} apart"
            yield "Tango", what, rows, drawn(_paired(first, second, 1.0), first - second, rows, samples)
        truth = 0.85 - 0.99 * 0.85
        yield "Tango + Wilson", ".99 of a paired share", rows, drawn(_paired(0.05, 0.05, 0.99), truth, rows, samples)
    for rows in (50, 100, 300):
        yield "BCa", "mean of exponential errors", rows, drawn(_of_errors(), 1.0, rows, samples)
        yield "BCa", "RMSE of normal errors", rows, drawn(_of_squares(), 1.0, rows, samples)
        area = float(norm.cdf(1.2 / np.sqrt(2)))
        for share in (0.5, 0.2):
            yield "BCa", f"AUROC .80, {share:.0%} of the class", rows, drawn(_auroc(share, 1.2), area, rows, samples)
        f1 = 2 * 0.3 * 0.7 / (0.3 + 0.3 * 0.7 + 0.7 * 0.1)
        yield "BCa", "F1 .72, 30% of the class", rows, drawn(_f1(0.3, 0.7, 0.1), f1, rows, samples)
    for rows in (200, 1000):
        for rates in ((0.5, 0.3), (0.4, 0.4), (0.5, 0.4, 0.4, 0.3)):
            told, given = " ".join(f"{rate:g}" for rate in rates), np.array(rates)
            widest, ratio = max(rates) - min(rates), min(rates) / max(rates)
            yield "pairs of groups", f"gap of {told}", rows, drawn(_gap(given, of_ratio=False), widest, rows, samples)
            yield "pairs of groups", f"ratio of {told}", rows, drawn(_gap(given, of_ratio=True), ratio, rows, samples)
    yield "χ²", "deviation over 3 normal seeds", 3, drawn(_of_seeds, 1.0, 3, samples)
    yield "order statistics", "median of exponential times", 200, drawn(_of_times, float(np.log(2)), 200, samples)


def _of_errors() -> Sample:
    return lambda stream, rows: _figure(stream.exponential(size=rows), _mean)


def _of_squares() -> Sample:
    return lambda stream, rows: _figure(stream.normal(size=rows) ** 2, _root)


def _of_seeds(stream: np.random.Generator, runs: int) -> Bounds:
    return deviation(stream.normal(size=runs), CONFIDENCE, runs)


def _of_times(stream: np.random.Generator, rows: int) -> Bounds:
    return quantile_bounds(stream.exponential(size=rows), 0.5, CONFIDENCE)


def main() -> None:
    """Print the table as its lines are known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="of what is drawn (%(default)s)")
    print("| bounds | of | rows | lower holds | upper holds |\n|---|---|---|---|---|")
    for kind, what, rows, (lower, upper) in lines(parser.parse_args().samples):
        print(f"| {kind} | {what} | {rows:,} | {lower:.3f} | {upper:.3f} |", flush=True)


if __name__ == "__main__":
    main()
