"""What a standard can require, and how each requirement is judged by what was measured.

A requirement is met if the bound of its figure that could be bad still clears the line, not met if even the other bound
does not, and else it cannot be told. All of them must be met, so no correction for many requirements is needed against
a false acceptance: it takes a false one for each that is not met. A false refusal does become likelier with each one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from math import isnan

import numpy as np

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.outcomes.resampling import Counts
from explicate_standards.outcomes.measures import MEASURES, Measure
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.slice_rules import Masks
from explicate_standards.outcomes.suites import SuiteResult
from explicate_standards.standard.bounds import Bounds, bootstrapped, clopper_pearson, mcnemar, wilson


class Verdict(Enum):
    """What became of a requirement."""

    MET = "met"
    NOT_MET = "not met"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Line:
    """Where a figure must be."""

    value: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"

    def verdict(self, bounds: Bounds) -> Verdict:
        """By the bounds of a figure."""
        bad, good = (bounds.lower, bounds.upper) if self.at_least else (-bounds.upper, -bounds.lower)
        line = self.value if self.at_least else -self.value
        if isnan(bounds.value):
            return Verdict.CANNOT_TELL
        return Verdict.MET if bad >= line else Verdict.NOT_MET if good < line else Verdict.CANNOT_TELL


@dataclass(frozen=True)
class Judgement:
    """What became of a requirement, or of one slice of it.

    Attributes:
        requirement: its id.
        what: what was measured, such as "accuracy of short".
        line: where it must be.
        note: what a reader should know besides.
        against: the name and digest of what it was compared with.
    """

    requirement: str
    what: str
    bounds: Bounds
    line: Line
    verdict: Verdict
    note: str = ""
    against: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that requirements are judged by; what none of them needs may be empty.

    Attributes:
        outcomes: of the model on the test rows.
        others: of what it is compared with, on the same rows, by the name that the standard has.
        slices: see `Masks`.
        suites: what became of cases.
        interpretability: figures of how well it can be explained, by their names, and why one is missing.
    """

    outcomes: Outcomes
    others: Mapping[str, Outcomes]
    slices: Masks
    suites: Mapping[str, SuiteResult]
    interpretability: Mapping[str, bundle_pb2.InterpretabilityFigure | str]
    confidence: float
    minimum_rows: int


@dataclass(frozen=True)
class Requirement(ABC):
    """One requirement. `id` is its name in the standard."""

    id: str

    @abstractmethod
    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """One judgement, or one for each slice.

        Raises:
            UsageError: it does not go with this model.
        """

    def needs(self) -> tuple[str, str]:
        """What must be measured for it besides the answers: ("against", name) or ("metric", id), or nothing."""
        return "", ""

    def _judged(self, evidence: Evidence, what: str, bounds: Bounds, line: Line, **more: str) -> Judgement:
        """By the bounds; too few rows tell nothing."""
        verdict = line.verdict(bounds)
        note = more.pop("note", "")
        if bounds.rows < evidence.minimum_rows:
            verdict = Verdict.CANNOT_TELL
            note = f"{bounds.rows:,} rows; the standard wants {evidence.minimum_rows:,}"
        return Judgement(self.id, what, bounds, line, verdict, note, **more)


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
                yield self._judged(evidence, f"{title} of {name}", bounds, self.line)


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
        other = evidence.others[self.against]
        measure, label = _measure(self.metric, self.label, evidence.outcomes)
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
            against=_named(other),
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
        other = evidence.others[self.against]
        if evidence.outcomes.objective.decisions is None:
            raise UsageError(f"requirement {self.id!r}: the model predicts a number, which is not right or wrong")
        flips = int((other.right & ~evidence.outcomes.right).sum())
        bounds = wilson(flips, len(other), evidence.confidence)
        mended = int((~other.right & evidence.outcomes.right).sum())
        yield self._judged(
            evidence,
            f"rows that {other.name} has right and this model has wrong",
            bounds,
            Line(self.at_most, at_least=False),
            note=f"{flips:,} rows; {mended:,} the other way",
            against=_named(other),
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
        lines = ", ".join(map(str, result.failed[:5])) + (", …" if len(result.failed) > 5 else "")
        note = f"{len(result.failed)} of {result.cases} fail" + (f", such as lines {lines}" if result.failed else "")
        yield Judgement(self.id, f"cases of {self.suite} that fail", bounds, line, line.verdict(bounds), note)


@dataclass(frozen=True)
class PriceRequirement(Requirement):
    """A figure of how well the model can be explained, such as "additive_r2.median"."""

    metric: str
    line: Line

    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """By its 95 % interval as it was measured: each end is a bound of at least the confidence that is asked for."""
        found = evidence.interpretability.get(self.metric)
        if found is None:
            known = ", ".join(evidence.interpretability)
            raise UsageError(f"requirement {self.id!r}: there is no figure {self.metric!r}; there are {known}")
        if isinstance(found, str):
            bounds = Bounds(float("nan"), -np.inf, np.inf, 0)
            yield Judgement(self.id, self.metric, bounds, self.line, Verdict.CANNOT_TELL, found)
            return
        bounds = Bounds(found.value, found.interval.lower, found.interval.upper, found.inputs)
        yield self._judged(evidence, self.metric, bounds, self.line)

    def needs(self) -> tuple[str, str]:
        """The metric."""
        return "metric", self.metric.partition(".")[0]


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
    if label is None:
        return measure, None
    if label not in outcomes.labels:
        raise UsageError(f"the model has no class {label!r}; it has {', '.join(outcomes.labels)}")
    return measure, outcomes.labels.index(label)


def _title(measure: Measure, label: str | None) -> str:
    return measure.title if label is None else f"{measure.title} of class {label}"


def _named(outcomes: Outcomes) -> str:
    return f"{outcomes.name} ({outcomes.digest[:12]})" if outcomes.digest else outcomes.name
