"""What a requirement of a standard is, what it is judged by, and what comes of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any  # TOML values

from explicate.v1 import bundle_pb2
from explicate_bundle.standard.verdicts import Bounds, Line, Verdict
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.slice_rules import Masks
from explicate_standards.outcomes.suites import SuiteResult


@dataclass(frozen=True)
class Judgement:
    """What became of a requirement, or of one slice of it.

    Attributes:
        requirement: its id.
        what: what was measured, such as "accuracy of short".
        line: where it must be.
        note: what a reader should know besides.
        against, against_sha256: the name and digest of what it was compared with.
        identity: what the requirement is about, see `requirement_lines`.
        slice: the name of its slice, and the rule that makes it.
    """

    requirement: str
    what: str
    bounds: Bounds
    line: Line
    verdict: Verdict
    note: str = ""
    against: str = ""
    against_sha256: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    slice: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that requirements are judged by; what none of them needs may be empty.

    Attributes:
        outcomes: of the model on the test rows.
        others: of what it is compared with, on the same rows, by the name that the standard has.
        slices: see `Masks`.
        suites: what became of cases.
        interpretability: figures of how well it can be explained, by their names, and why one is missing.
        rules: of the slices, by name.
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
    rules: Mapping[str, str] = field(default_factory=dict)
    robustness: Mapping[str, Floats] = field(default_factory=dict)
    groups: Mapping[str, Masks] = field(default_factory=dict)


@dataclass(frozen=True)
class Requirement(ABC):
    """One requirement. `id` is its name in the standard, `identity` what it is about (see `requirement_lines`)."""

    id: str
    identity: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def judge(self, evidence: Evidence) -> Iterator[Judgement]:
        """One judgement, or one for each slice.

        Raises:
            UsageError: it does not go with this model.
        """

    def needs(self) -> tuple[str, str]:
        """What must be measured for it besides the answers: ("against", name), ("metric", id), and so on."""
        return "", ""

    def _alone(self, what: str, line: Line) -> Judgement:
        """Of a comparison with what is live where nothing is: there is nothing that it could be worse than."""
        bounds = Bounds(float("nan"), float("-inf"), float("inf"), 0)
        return Judgement(self.id, what, bounds, line, Verdict.MET, "nothing is live yet", identity=self.identity)

    def _judged(self, evidence: Evidence, what: str, bounds: Bounds, line: Line, **more: str) -> Judgement:
        """By the bounds; too few rows tell nothing."""
        verdict = line.verdict(bounds)
        note = more.pop("note", "")
        if bounds.rows < evidence.minimum_rows:
            verdict = Verdict.CANNOT_TELL
            note = f"{bounds.rows:,} rows; the standard wants {evidence.minimum_rows:,}"
        return Judgement(self.id, what, bounds, line, verdict, note, identity=self.identity, **more)
