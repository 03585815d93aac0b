"""The kinds of requirements, one a class; see `requirement`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import Counts, as_they_are, mean
from explicate_bundle.standard.verdicts import Bounds, Line
from explicate_standards.bootstrap import CONFIDENCE
from explicate_standards.outcomes.fairness import GAPS, RATES_OF, SELECTION_RATIO, Groups, answers_of
from explicate_standards.outcomes.measures import MEASURES, Measure, decisions
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.robustness import WORST
from explicate_standards.standard.bounds import (
    Share,
    bootstrapped,
    clopper_pearson,
    largest_difference,
    mcnemar,
    not_surer,
    paired,
    smallest_ratio,
    wilson,
)
from explicate_standards.standard.requirement import Evidence, Judgement, Requirement, class_index


@dataclass(frozen=True)
class MetricRequirement(Requirement):
    """A metric of right and wrong, on all rows (`slices` is None) or on slices of them, each judged by itself."""

    metric: str
    label: str | None
    slices: tuple[str, ...] | None
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """Shares of rows by Wilson's bounds, other figures by the bootstrap."""
        measure, label = _measure(self.metric, self.label, evidence.outcomes)
        title = _title(measure, self.label)
        if self.slices is None:
            bounds = _bounds(measure, label, evidence.outcomes, evidence.confidence)
            yield self._judged(evidence, title, bounds, self.line)
            return
        for name, rows in evidence.slices.items():
            if name.partition(": ")[0] in self.slices:
                bounds = _bounds(measure, label, evidence.outcomes.of(rows), evidence.confidence)
                rule = evidence.rules.get(name.partition(": ")[0], "")
                yield self._judged(evidence, f"{title} of {name}", bounds, self.line, slice=name, rule=rule)

    def check(self, evidence: Evidence) -> None:
        """See `Requirement.check`."""
        _measure(self.metric, self.label, evidence.outcomes)


@dataclass(frozen=True)
class AgainstRequirement(Requirement):
    """A metric beside that of another model on the same rows: by at most a margin worse, or at least a ratio of it."""

    metric: str
    label: str | None
    against: str
    margin: float
    ratio: float

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """Paired, for both answer the same rows: shares of rows by score bounds, others by the bootstrap.

        Score bounds keep a width where both are right in the same rows, which a bootstrap does not.
        """
        measure, label = _measure(self.metric, self.label, evidence.outcomes)
        line = Line(0.0 - self.margin, at_least=True)
        title = f"{_title(measure, self.label)}, by how much better than {{}}"
        yield from self._without(evidence, self.against, title, line)
        for own, other in self._beside(evidence, self.against):
            bounds = self._bounds(measure, label, own, other, evidence.confidence)
            share = f"{self.ratio:g} times " if self.ratio != 1 else ""
            note = f"{measure.value(own, label):.4f} beside {measure.value(other, label):.4f}"
            if measure.right is not None:
                note += f", McNemar's exact p {mcnemar(measure.right(own), measure.right(other)):.3g}"
            own_name = f" in {own.precision}" if own.precision else ""
            what = f"{_title(measure, self.label)}{own_name}, by how much better than {share}{other.name}"
            more = {"against": other.name, "against_sha256": other.digest}
            yield self._judged(evidence, what, bounds, line, note=note, **more)

    def _bounds(self, measure: Measure, label: int | None, own: Outcomes, other: Outcomes, confidence: float) -> Bounds:
        if measure.right is not None:
            return paired(measure.right(own), measure.right(other), confidence, ratio=self.ratio)
        sign = 1.0 if measure.better == "higher" else -1.0

        def better_by(counts: Counts) -> Floats:
            ours, its = (measure.samples(each, counts, label) for each in (own, other))
            return np.asarray(sign * (ours - self.ratio * its))

        return bootstrapped(better_by, len(other), confidence, rarest=rarest(measure, own, label))

    def check(self, evidence: Evidence) -> None:
        """See `Requirement.check`."""
        _measure(self.metric, self.label, evidence.outcomes)

    def needs(self) -> tuple[str, str]:
        """The other model."""
        return "against", self.against


@dataclass(frozen=True)
class FlipsRequirement(Requirement):
    """Negative flips: the share of rows that another model had right and this one has wrong (Yan et al., CVPR 2021)."""

    against: str
    at_most: float

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By Wilson's bounds."""
        line = Line(self.at_most, at_least=False)
        yield from self._without(evidence, self.against, "rows that {} has right and this model has wrong", line)
        for own, other in self._beside(evidence, self.against):
            flips = int((other.right & ~own.right).sum())
            mended = int((~other.right & own.right).sum())
            yield self._judged(
                evidence,
                f"rows that {other.name} has right and {own.precision or 'this model'} has wrong",
                wilson(flips, len(other), evidence.confidence),
                line,
                note=f"{flips:,} rows; {mended:,} the other way",
                against=other.name,
                against_sha256=other.digest,
            )

    def check(self, evidence: Evidence) -> None:
        """See `Requirement.check`."""
        if evidence.outcomes.objective.decisions is None:
            raise UsageError("the model predicts a number, which is not right or wrong")

    def needs(self) -> tuple[str, str]:
        """The other model."""
        return "against", self.against


@dataclass(frozen=True)
class SuiteRequirement(Requirement):
    """The share of a suite's cases that fail."""

    suite: str
    at_most: float

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By the exact bounds; `minimum_rows` is about rows, not about cases."""
        result = evidence.suites[self.suite]
        bounds = clopper_pearson(len(result.failed), result.cases, evidence.confidence)
        line = Line(self.at_most, at_least=False)
        places = list(dict.fromkeys(result.failed))
        told = ", ".join(map(str, places[:5])) + (", …" if len(places) > 5 else "")
        note = f"{len(result.failed)} of {result.cases} fail" + (f", such as number {told} of the file" if told else "")
        yield replace(
            self._judged(evidence, f"cases of {self.suite} that fail", bounds, line),
            verdict=line.verdict(bounds),
            note=note,
        )

    def check(self, evidence: Evidence) -> None:
        """That there are such cases."""
        if self.suite not in evidence.suite_names:
            known = ", ".join(evidence.suite_names) or "none"
            raise UsageError(f"the cases have no suite {self.suite!r}; there are {known}")


@dataclass(frozen=True)
class PriceRequirement(Requirement):
    """A figure of how well the model can be explained, such as "additive_r2.median"."""

    metric: str
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By its 95 % interval as it was measured: each end is a bound of at least the confidence that is asked for."""
        known = evidence.interpretability
        found = known.get(self.metric, known.get(self.needs()[1], "it is not defined on these rows"))
        if isinstance(found, str):
            bounds = Bounds(float("nan"), -np.inf, np.inf, 0)
            yield replace(self._judged(evidence, self.metric, bounds, self.line), note=found)
            return
        bounds, note = Bounds(found.value, found.interval.lower, found.interval.upper, found.inputs), ""
        if evidence.confidence > (1 + CONFIDENCE) / 2:
            bounds = replace(bounds, lower=-np.inf, upper=np.inf)
            note = f"each bound is known with {(1 + CONFIDENCE) / 2:g}, and the standard wants {evidence.confidence:g}"
        yield self._judged(evidence, self.metric, bounds, self.line, note=note)

    def needs(self) -> tuple[str, str]:
        """The metric."""
        return "metric", self.metric.partition(".")[0]


@dataclass(frozen=True)
class RobustnessRequirement(Requirement):
    """The share of right answers to disturbed inputs, such as with typos: by itself, or beside that to whole ones.

    One of `ratio` and `at_least` is given.
    """

    disturbance: str
    ratio: float | None
    at_least: float | None

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By the bootstrap; paired, for each row is answered as it is and disturbed."""
        known = evidence.robustness
        names = list(known) if self.disturbance == WORST else [self.disturbance]
        whole, wanted = evidence.outcomes.right, self.ratio or 0.0

        def above(counts: Counts) -> Floats:
            shares = np.stack([mean(known[name], counts) for name in names])
            return np.asarray(shares.min(axis=0) - wanted * mean(whole, counts))

        rows = len(whole)
        bounds = not_surer(bootstrapped(above, rows, evidence.confidence, rarest=rows), rows, evidence.confidence)
        each = {name: float(known[name].mean()) for name in names}
        told = ", ".join(f"{name} {share:.4f}" for name, share in sorted(each.items(), key=lambda one: one[1]))
        title = "right when disturbed" if self.disturbance == WORST else f"right with {self.disturbance}"
        if self.ratio is not None:
            title = f"{title}, above {self.ratio:g} times that of whole inputs"
        line = Line(self.at_least or 0.0, at_least=True)
        note = f"{told}; whole {whole.mean():.4f}"
        if taught := sorted(evidence.trained_disturbances.intersection(names)):
            note += f"; [augmentation] taught it {', '.join(taught)}, so this flatters it"
        yield self._judged(evidence, title, bounds, line, note=note)

    def needs(self) -> tuple[str, str]:
        """The disturbance."""
        return "disturbance", self.disturbance


@dataclass(frozen=True)
class FairnessRequirement(Requirement):
    """A gap between groups of rows, by the values of a column, in what is answered about one class."""

    metric: str
    label: str
    over: str
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By the bounds of each pair of groups, of those that have as many rows as the standard wants."""
        outcomes = evidence.outcomes
        label = class_index(self.label, outcomes)
        groups = evidence.groups[self.over]
        kept = {name: rows for name, rows in groups.items() if rows.sum() >= evidence.minimum_rows}
        small = [f"{name} ({int(rows.sum())} rows)" for name, rows in groups.items() if name not in kept]
        without = f"; left out: {', '.join(small)}" if small else ""
        title = f"{self.metric.replace('_', ' ')} of class {self.label} over {self.over}"
        if len(kept) < 2:
            bounds = Bounds(float("nan"), -np.inf, np.inf, len(outcomes))
            note = f"fewer than two groups have {evidence.minimum_rows:,} rows{without}"
            yield replace(self._judged(evidence, title, bounds, self.line), note=note)
            return
        answered, true = answers_of(outcomes, label)
        bounds = gap_bounds(self.metric, answered, true, np.stack(list(kept.values())), evidence.confidence)
        rates = ", ".join(f"{name} {answered[rows].mean():.3f} of {rows.sum():,}" for name, rows in kept.items())
        yield self._judged(evidence, title, bounds, self.line, note=f"answered: {rates}{without}")

    def check(self, evidence: Evidence) -> None:
        """See `Requirement.check`."""
        if evidence.outcomes.objective.decisions is None:
            raise UsageError(f"{self.metric} is of classes, and the model predicts a number")
        class_index(self.label, evidence.outcomes)

    def needs(self) -> tuple[str, str]:
        """The groups."""
        return "groups", self.over


def gap_bounds(
    metric: str, answered: NDArray[np.bool_], true: NDArray[np.bool_], groups: Groups, confidence: float
) -> Bounds:
    """A gap between groups, bool[groups, rows], by the bounds of its largest pair; unknown where one has no rate."""
    rows = int(groups.any(axis=0).sum())
    value = float(GAPS[metric](answered, true, groups, as_they_are(len(true)))[0])
    if not np.isfinite(value):  # a group without any row that is, or is not, of the class
        return Bounds(float("nan"), -np.inf, np.inf, rows)
    conditions = [
        [Share(int((answered & group & of).sum()), int((group & of).sum())) for group in groups]
        for of in RATES_OF[metric](true)
    ]
    of_ratio = metric == SELECTION_RATIO
    ends = smallest_ratio(conditions[0], confidence) if of_ratio else largest_difference(conditions, confidence)
    return Bounds(value, *ends, rows)


def _bounds(measure: Measure, label: int | None, outcomes: Outcomes, confidence: float) -> Bounds:
    if measure.right is not None:
        return wilson(int(measure.right(outcomes).sum()), len(outcomes), confidence)
    if measure.among is not None and label is not None:
        right, among = measure.among(outcomes, label)
        return wilson(int((right & among).sum()), int(among.sum()), confidence)
    return bootstrapped(
        partial(_samples, measure, outcomes, label), len(outcomes), confidence, rarest=rarest(measure, outcomes, label)
    )


def rarest(measure: Measure, outcomes: Outcomes, label: int | None) -> int | None:
    """How many rows of the rarest kind a figure rests on: of a class, or of all others; None for numbers."""
    if outcomes.objective.answer == "value" or not len(outcomes):
        return None
    if measure.right is not None:
        return len(outcomes)
    _, true = decisions(outcomes)
    there = true.sum(axis=0) if label is None else true[:, [label]].sum(axis=0)
    fewest = np.minimum(there, len(outcomes) - there)
    return int(fewest[fewest > 0].min(initial=len(outcomes)))


def _samples(measure: Measure, outcomes: Outcomes, label: int | None, counts: Counts) -> Floats:
    return measure.samples(outcomes, counts, label)


def _measure(metric: str, label: str | None, outcomes: Outcomes) -> tuple[Measure, int | None]:
    measure, answer = MEASURES[metric], outcomes.objective.answer
    if answer not in measure.answers:
        raise UsageError(f"{metric} is not a metric of a {outcomes.objective.name}")
    return measure, None if label is None else class_index(label, outcomes)


def _title(measure: Measure, label: str | None) -> str:
    return measure.title if label is None else f"{measure.title} of class {label}"
