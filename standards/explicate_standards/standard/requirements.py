"""The kinds of requirements, one a class; see `requirement`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import Counts, mean
from explicate_bundle.standard.verdicts import Bounds, Line
from explicate_standards.outcomes.fairness import GAPS, answers_of
from explicate_standards.outcomes.measures import MEASURES, Measure
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.robustness import WORST
from explicate_standards.standard.bounds import bootstrapped, clopper_pearson, mcnemar, wilson
from explicate_standards.standard.requirement import Evidence, Judgement, Requirement


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


@dataclass(frozen=True)
class AgainstRequirement(Requirement):
    """A metric beside that of another model on the same rows: by at most a margin worse, or at least a ratio of it."""

    metric: str
    label: str | None
    against: str
    margin: float
    ratio: float

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By the paired bootstrap: both are measured on the same draws of the rows."""
        measure, label = _measure(self.metric, self.label, evidence.outcomes)
        other = evidence.others.get(self.against)
        if other is None:
            title = f"{_title(measure, self.label)}, by how much better than what is live"
            yield self._alone(title, Line(0.0 - self.margin, at_least=True))
            return
        sign = 1.0 if measure.better == "higher" else -1.0

        def better_by(counts: Counts) -> Floats:
            own, its = (measure.samples(each, counts, label) for each in (evidence.outcomes, other))
            return np.asarray(sign * (own - self.ratio * its))

        bounds = bootstrapped(better_by, len(other), evidence.confidence)
        share = f"{self.ratio:g} times " if self.ratio != 1 else ""
        own, its = measure.value(evidence.outcomes, label), measure.value(other, label)
        note = f"{own:.4f} beside {its:.4f}"
        if measure.right is not None:
            note += f", McNemar's exact p {mcnemar(measure.right(evidence.outcomes), measure.right(other)):.3g}"
        yield self._judged(
            evidence,
            f"{_title(measure, self.label)}, by how much better than {share}{other.name}",
            bounds,
            Line(0.0 - self.margin, at_least=True),
            note=note,
            against=other.name,
            against_sha256=other.digest,
        )

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
        if evidence.outcomes.objective.decisions is None:
            raise UsageError(f"requirement {self.id!r}: the model predicts a number, which is not right or wrong")
        other = evidence.others.get(self.against)
        if other is None:
            title = "rows that what is live has right and this model has wrong"
            yield self._alone(title, Line(self.at_most, at_least=False))
            return
        flips = int((other.right & ~evidence.outcomes.right).sum())
        bounds = wilson(flips, len(other), evidence.confidence)
        mended = int((~other.right & evidence.outcomes.right).sum())
        yield self._judged(
            evidence,
            f"rows that {other.name} has right and this model has wrong",
            bounds,
            Line(self.at_most, at_least=False),
            note=f"{flips:,} rows; {mended:,} the other way",
            against=other.name,
            against_sha256=other.digest,
        )

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
        result = evidence.suites.get(self.suite)
        if result is None:
            known = ", ".join(evidence.suites) or "none"
            raise UsageError(f"requirement {self.id!r}: the cases have no suite {self.suite!r}; there are {known}")
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
        bounds = Bounds(found.value, found.interval.lower, found.interval.upper, found.inputs)
        yield self._judged(evidence, self.metric, bounds, self.line)

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

        bounds = bootstrapped(above, len(whole), evidence.confidence)
        each = {name: float(known[name].mean()) for name in names}
        told = ", ".join(f"{name} {share:.4f}" for name, share in sorted(each.items(), key=lambda one: one[1]))
        title = "right when disturbed" if self.disturbance == WORST else f"right with {self.disturbance}"
        if self.ratio is not None:
            title = f"{title}, above {self.ratio:g} times that of whole inputs"
        line = Line(self.at_least or 0.0, at_least=True)
        yield self._judged(evidence, title, bounds, line, note=f"{told}; whole {whole.mean():.4f}")

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
        """By the bootstrap, over the groups that have as many rows as the standard wants."""
        outcomes = evidence.outcomes
        if outcomes.objective.decisions is None:
            raise UsageError(f"requirement {self.id!r}: {self.metric} is of classes, and the model predicts a number")
        label = _index(self.label, outcomes)
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
        bounds = bootstrapped(
            partial(GAPS[self.metric], answered, true, np.stack(list(kept.values()))),
            len(outcomes),
            evidence.confidence,
        )
        rates = ", ".join(f"{name} {answered[rows].mean():.3f} of {rows.sum():,}" for name, rows in kept.items())
        yield self._judged(evidence, title, bounds, self.line, note=f"answered: {rates}{without}")

    def needs(self) -> tuple[str, str]:
        """The groups."""
        return "groups", self.over


def _bounds(measure: Measure, label: int | None, outcomes: Outcomes, confidence: float) -> Bounds:
    if measure.right is not None:
        return wilson(int(measure.right(outcomes).sum()), len(outcomes), confidence)
    return bootstrapped(partial(_samples, measure, outcomes, label), len(outcomes), confidence)


def _samples(measure: Measure, outcomes: Outcomes, label: int | None, counts: Counts) -> Floats:
    return measure.samples(outcomes, counts, label)


def _measure(metric: str, label: str | None, outcomes: Outcomes) -> tuple[Measure, int | None]:
    measure, answer = MEASURES[metric], outcomes.objective.answer
    if answer not in measure.answers:
        raise UsageError(f"{metric} is not a metric of a {outcomes.objective.name}")
    return measure, None if label is None else _index(label, outcomes)


def _index(label: str, outcomes: Outcomes) -> int:
    if label not in outcomes.labels:
        raise UsageError(f"the model has no class {label!r}; it has {', '.join(outcomes.labels)}")
    return outcomes.labels.index(label)


def _title(measure: Measure, label: str | None) -> str:
    return measure.title if label is None else f"{measure.title} of class {label}"
