"""What a standard can require, and how each requirement is judged by what was measured.

A requirement is met if the bound of its figure that could be bad still clears the line, not met if even the other bound
does not, and else it cannot be told. All of them must be met, so no correction for many requirements is needed against
a false acceptance: it takes a false one for each that is not met. A false refusal does become likelier with each one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isnan

from explicate.v1 import bundle_pb2
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.slice_rules import Masks
from explicate_standards.outcomes.suites import SuiteResult
from explicate_standards.standard.bounds import Bounds


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
        robustness: the share of a row's disturbed inputs that are answered rightly, float64[rows], by disturbance.
        groups: which rows have a value of a column, bool[rows], by column and value.
    """

    outcomes: Outcomes
    others: Mapping[str, Outcomes]
    slices: Masks
    suites: Mapping[str, SuiteResult]
    interpretability: Mapping[str, bundle_pb2.InterpretabilityFigure | str]
    confidence: float
    minimum_rows: int
    robustness: Mapping[str, Floats] = field(default_factory=dict)
    groups: Mapping[str, Masks] = field(default_factory=dict)


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
        """What must be measured for it besides the answers: ("against", name), ("metric", id), and so on."""
        return "", ""

    def _judged(self, evidence: Evidence, what: str, bounds: Bounds, line: Line, **more: str) -> Judgement:
        """By the bounds; too few rows tell nothing."""
        verdict = line.verdict(bounds)
        note = more.pop("note", "")
        if bounds.rows < evidence.minimum_rows:
            verdict = Verdict.CANNOT_TELL
            note = f"{bounds.rows:,} rows; the standard wants {evidence.minimum_rows:,}"
        return Judgement(self.id, what, bounds, line, verdict, note, **more)
