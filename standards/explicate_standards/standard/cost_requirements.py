"""Requirements of change and cost: what training forgot, how much a seed moves, size, and time a row."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
from scipy.stats import binom, chi2

from explicate.errors import UsageError
from explicate_bundle.standard.verdicts import Bounds, Line
from explicate_standards.outcomes.measures import MEASURES
from explicate_standards.outcomes.outcomes import Floats
from explicate_standards.standard.requirement import Evidence, Judgement, Requirement, class_index

LEAST_SEEDS = 3
_UNKNOWN = Bounds(float("nan"), -np.inf, np.inf, 0)


@dataclass(frozen=True)
class ForgettingRequirement(Requirement):
    """By how much the model is worse at what it was not trained on than before, as training measured it.

    `about` is one of what training measures ("second_task", "earlier_run"); empty: each of them.
    """

    about: str
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By the 95 % interval that training gives, each end of which holds with a confidence of .975."""
        known = {name: one for name, one in evidence.forgetting.items() if self.about in ("", name)}
        if not known:
            what = self.about or "[training.forgetting]"
            note = f"the run measured nothing of {what}: train with [training.forgetting], and give the run with --run"
            yield replace(self._judged(evidence, "forgotten", _UNKNOWN, self.line), note=note)
        for one in known.values():
            bounds = Bounds(one.lost, one.lower, one.upper, one.rows)
            note = one.note
            if evidence.confidence > one.confidence:
                wanted = f"and the standard wants {evidence.confidence:g}"
                note = f"training knows each bound with {one.confidence:g}, {wanted}"
                bounds = replace(bounds, lower=-inf, upper=inf)  # on record they would be as sure as the others
            yield self._judged(evidence, f"{one.measured} lost, {one.about}", bounds, self.line, note=note)

    def needs(self) -> tuple[str, str]:
        """The run's figures."""
        return "run", "forgetting"


@dataclass(frozen=True)
class SeedsRequirement(Requirement):
    """The standard deviation of a metric over runs that differ in the seed alone."""

    metric: str
    label: str | None
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By the χ² bounds of a standard deviation, for a metric of many rows is about normal over seeds."""
        measure = MEASURES[self.metric]
        what = f"{measure.title}{f' of class {self.label}' if self.label else ''}, standard deviation over seeds"
        label = None if self.label is None else class_index(self.label, evidence.outcomes)
        values = [measure.value(outcomes, label) for outcomes in evidence.seeds]
        rows = min((len(outcomes) for outcomes in evidence.seeds), default=0)
        if len(values) < LEAST_SEEDS:
            note = f"{len(values)} runs of different seeds; it takes {LEAST_SEEDS}: give them with --seeds RUN RUN RUN"
            yield replace(self._judged(evidence, what, replace(_UNKNOWN, rows=rows), self.line), note=note)
            return
        told = ", ".join(f"{value:.4f}" for value in values)
        bounds = deviation(np.array(values), evidence.confidence, rows)
        yield self._judged(evidence, what, bounds, self.line, note=f"{len(values)} runs: {told}")

    def needs(self) -> tuple[str, str]:
        """Other runs."""
        return "seeds", self.metric

    def check(self, evidence: Evidence) -> None:
        """See `Requirement.check`."""
        if evidence.outcomes.objective.answer not in MEASURES[self.metric].answers:
            raise UsageError(f"{self.metric} is not a metric of a {evidence.outcomes.objective.name}")


@dataclass(frozen=True)
class SizeRequirement(Requirement):
    """The size of the graph that is judged, in MB."""

    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """It is known exactly."""
        size = evidence.size_mb
        bounds = Bounds(size, size, size, len(evidence.outcomes))
        judged = self._judged(evidence, "MB of the graph", bounds, self.line)
        yield replace(judged, verdict=self.line.verdict(bounds), note="")


@dataclass(frozen=True)
class LatencyRequirement(Requirement):
    """A quantile of the milliseconds that a row by itself takes: the median, or another share of the rows."""

    share: float
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By two of the times themselves (order statistics), whatever their distribution is."""
        times = evidence.row_times_ms
        name = "median" if self.share == 0.5 else f"{self.share:.0%} quantile"
        bounds = quantile_bounds(times, self.share, evidence.confidence)
        what = f"ms a row, {name}, on {evidence.machine}, {evidence.runtime}"
        yield self._judged(evidence, what, bounds, self.line, machine=evidence.machine)

    def needs(self) -> tuple[str, str]:
        """The times."""
        return "times", "latency_ms"


def deviation(values: Floats, confidence: float, rows: int) -> Bounds:
    """Of normal values, float64[runs]: (n − 1) s² / σ² has a χ² distribution with n − 1 degrees of freedom."""
    free = len(values) - 1
    found = float(values.std(ddof=1))
    lower, upper = (found * sqrt(free / float(chi2.ppf(share, free))) for share in (confidence, 1 - confidence))
    return Bounds(found, lower, upper, rows)


def quantile_bounds(values: Floats, share: float, confidence: float) -> Bounds:
    """Of a quantile: the values between which it lies by the binomial distribution of how many are below it.

    Conover, Practical Nonparametric Statistics (1999), chapter 3.2; an end that no value is sure enough of is infinite.
    """
    count, ordered = len(values), np.sort(values)
    # The least number of values below the quantile that is not too unlikely, and the largest.
    first = int(binom.ppf(1 - confidence, count, share))
    last = int(binom.ppf(confidence, count, share)) + 1
    lower = float(ordered[first - 1]) if first >= 1 else -np.inf
    upper = float(ordered[last - 1]) if last <= count else np.inf
    return Bounds(float(np.quantile(values, share)), lower, upper, count)
