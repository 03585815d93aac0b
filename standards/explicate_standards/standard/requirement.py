"""What a requirement of a standard is, what it is judged by, and what comes of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any  # TOML values

import numpy as np

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.standard.verdicts import Bounds, Line, Verdict
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.rivals import BASELINE, FP32
from explicate_standards.outcomes.run_figures import Forgotten
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
        machine: where it was measured, if that matters.
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
    machine: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that requirements are judged by; what none of them needs may be empty.

    Attributes:
        outcomes: of the model on the test rows.
        others: of what it is compared with, on the same rows, by the name that the standard has.
        slices: see `Masks`.
        suite_names: of the cases.
        suites: what became of them.
        interpretability: figures of how well it can be explained, by their names, and why one is missing.
        rules: of the slices, by name.
        robustness: the share of a row's disturbed inputs that are answered rightly, float64[rows], by disturbance.
        trained_disturbances: those that training taught the model, which flatter it.
        groups: which rows have a value of a column, bool[rows], by column and value.
        absent: why there is nothing to compare with, by the name that the standard has.
        variants: of the model in other precisions, on the same rows, by precision; a text says why one is missing.
        forgetting: what training made the model forget, by name.
        seeds: of runs that differ in the seed alone, each on the rows that it held out.
        size_mb: of the graph.
        row_times_ms: of rows by themselves, float64[timed], on `machine` in `runtime`.
    """

    outcomes: Outcomes
    others: Mapping[str, Outcomes]
    slices: Masks
    suites: Mapping[str, SuiteResult]
    interpretability: Mapping[str, bundle_pb2.InterpretabilityFigure | str]
    confidence: float
    minimum_rows: int
    rules: Mapping[str, str] = field(default_factory=dict)
    suite_names: Sequence[str] = ()
    robustness: Mapping[str, Floats] = field(default_factory=dict)
    trained_disturbances: frozenset[str] = frozenset()
    groups: Mapping[str, Masks] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, Outcomes | str] = field(default_factory=dict)
    forgetting: Mapping[str, Forgotten] = field(default_factory=dict)
    seeds: Sequence[Outcomes] = ()
    size_mb: float = float("nan")
    row_times_ms: Floats = field(default_factory=lambda: np.zeros(0))
    machine: str = ""
    runtime: str = ""


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

    def check(self, evidence: Evidence) -> None:  # noqa: B027 - most go with any model
        """Whether it goes with the model, before anything is asked: `evidence` has no rows yet.

        Raises:
            UsageError: it does not.
        """

    def _beside(self, evidence: Evidence, against: str) -> Iterator[tuple[Outcomes, Outcomes]]:
        """The answers to compare: those of the model and of the other, or of each variant and of the fp32 graph."""
        other = evidence.others.get(against)
        if other is not None and against != FP32:
            yield evidence.outcomes, other
        elif other is not None:
            for variant in evidence.variants.values():
                if not isinstance(variant, str):
                    yield variant, other

    def _without(self, evidence: Evidence, against: str, what: str, line: Line) -> Iterator[Judgement]:
        """Of comparisons that cannot be made; "{}" in `what` is the place of the other's name.

        Where nothing is live there is nothing that it could be worse than. A bundle without variants is its own fp32
        graph, which is known exactly. A baseline, or a variant that does not run here, is not known.
        """
        unknown = Bounds(float("nan"), float("-inf"), float("inf"), 0)
        for precision, why in evidence.variants.items() if against == FP32 else ():
            if isinstance(why, str):
                title = what.replace("{}", precision, 1)
                yield Judgement(self.id, title, unknown, line, Verdict.CANNOT_TELL, why, identity=self.identity)
        if against in evidence.others or (against == FP32 and evidence.variants):
            return
        if against == FP32:
            same = Bounds(0.0, 0.0, 0.0, len(evidence.outcomes))
            note = "the bundle has its graph in fp32 alone"
            yield Judgement(self.id, what.replace("{}", FP32, 1), same, line, Verdict.MET, note, identity=self.identity)
            return
        verdict = Verdict.CANNOT_TELL if against == BASELINE else Verdict.MET
        note = evidence.absent.get(against, "nothing is live yet")
        name = "the baseline" if against == BASELINE else "what is live"
        yield Judgement(self.id, what.replace("{}", name, 1), unknown, line, verdict, note, identity=self.identity)

    def _judged(self, evidence: Evidence, what: str, bounds: Bounds, line: Line, **more: str) -> Judgement:
        """By the bounds; too few rows tell nothing."""
        verdict = line.verdict(bounds)
        note = more.pop("note", "")
        if bounds.rows < evidence.minimum_rows:
            verdict = Verdict.CANNOT_TELL
            note = f"{bounds.rows:,} rows; the standard wants {evidence.minimum_rows:,}"
        return Judgement(self.id, what, bounds, line, verdict, note, identity=self.identity, **more)


def class_index(label: str, outcomes: Outcomes) -> int:
    """The place of a class among the model's.

    Raises:
        UsageError: it has no such class.
    """
    if label not in outcomes.labels:
        raise UsageError(f"the model has no class {label!r}; it has {', '.join(outcomes.labels)}")
    return outcomes.labels.index(label)
