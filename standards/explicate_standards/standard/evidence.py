"""All that the requirements of a standard are judged by: read and checked first, then asked and measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.evaluation import DEFAULT_INPUTS, chosen_metrics
from explicate_standards.held_out_rows import LabelledInput, read_rows
from explicate_standards.measuring import measure
from explicate_standards.metrics.interpretability import EVALUATOR_VERSION
from explicate_standards.outcomes.costs import row_times_ms, size_mb, this_machine
from explicate_standards.outcomes.outcomes import Floats, Outcomes, always_the_same, outcomes_of
from explicate_standards.outcomes.questions import Question, ask
from explicate_standards.outcomes.rivals import (
    BASELINE,
    FP32,
    MAJORITY,
    JudgedRows,
    Rivals,
    of_baseline,
    open_rivals,
)
from explicate_standards.outcomes.robustness import WORST, Disturbed, disturbances_of, disturbed, right_shares
from explicate_standards.outcomes.run_figures import forgotten, of_seeds, trained_disturbances
from explicate_standards.outcomes.slice_rules import Masks, SliceRule, masks, values_of
from explicate_standards.outcomes.suites import Case, read_suites, run_suites
from explicate_standards.partial_file import PartialFile
from explicate_standards.standard.requirement import Evidence
from explicate_standards.standard.standard import Standard
from explicate_standards.told import as_message

_TIMES = -1  # place in a partial file
_CASES = "cases of the suite"
Asked = tuple[str, str] | str
"""What is asked: the rows, of a model by its digest and its precision; else disturbed rows or cases by their name."""
Say = Callable[[str], None]
Figures = dict[str, bundle_pb2.InterpretabilityFigure | str]
"""By name; a text says why a metric has none."""


@dataclass(frozen=True)
class Prepared:
    """All that is needed, read and checked, with the evidence that there is before anything is asked."""

    standard: Standard
    model: EvaluatedModel
    rows: JudgedRows
    rivals: Rivals
    cases: Sequence[Case]
    disturbances: Mapping[str, Disturbed]
    evidence: Evidence


def prepared(
    standard: Standard, model: EvaluatedModel, rows: JudgedRows, live: Path | None, seeds: Sequence[Path]
) -> Prepared:
    """Read and check all that is needed.

    Raises:
        UsageError: a requirement, a slice, a case or another model does not go with the model or the rows.
    """
    nothing = outcomes_of(model, rows.labelled[:0], np.zeros((0, model.scales.outputs)))
    needs_seeds, needs_run = _needed(standard, "seeds"), _needed(standard, "run")
    cases = read_suites(standard.suite, model) if standard.suite is not None else []
    evidence = Evidence(
        nothing,
        {},
        _slices(standard, rows, model),
        {},
        {},
        standard.confidence,
        standard.minimum_rows,
        rules=standard.slices,
        suite_names=sorted({case.suite for case in cases}),
        groups=_groups(standard, rows, model),
        trained_disturbances=trained_disturbances(rows.path.parent),
        forgetting=forgotten(rows.path.parent, model) if needs_run else {},
        seeds=of_seeds(seeds, model) if needs_seeds else (),
        size_mb=size_mb(model),
        machine=this_machine(),
    )
    for requirement in standard.requirements:
        with _about(standard, f"requirement {requirement.id!r}"):
            requirement.check(evidence)
    rivals = open_rivals(_needed(standard, "against"), model, rows, folder=standard.path.parent, live=live)
    names = _needed(standard, "disturbance")
    every = dict.fromkeys(
        [*(disturbances_of(model) if WORST in names else ()), *(one for one in names if one != WORST)]
    )
    with _about(standard, "robustness"):
        found = {name: disturbed(model, rows.labelled, name) for name in every}
    return Prepared(standard, model, rows, rivals, cases, found, replace(evidence, absent=rivals.absent))


def _slices(standard: Standard, rows: JudgedRows, model: EvaluatedModel) -> Masks:
    with _about(standard):
        return masks([SliceRule(*rule) for rule in standard.slices.items()], rows.labelled, model)


def _groups(standard: Standard, rows: JudgedRows, model: EvaluatedModel) -> Mapping[str, Masks]:
    with _about(standard, "over"):
        return {column: values_of(column, rows.labelled, model) for column in _needed(standard, "groups")}


@contextmanager
def _about(standard: Standard, what: str = "") -> Iterator[None]:
    """Errors name the standard, and what of it they are about."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{standard.path}: {f'{what}: ' if what else ''}{error}") from None


def measured(given: Prepared, partial: PartialFile, say: Say) -> Evidence:
    """The evidence with all that had to be asked."""
    standard, model, rows, rivals = given.standard, given.model, given.rows, given.rivals
    variants = [(one.precision, one.model) for one in rivals.variants if one.model is not None]
    questions = _questions(given, variants)
    answered = dict(zip(questions, ask(list(questions.values()), partial, say), strict=True))

    def outcomes_in(one: EvaluatedModel, its_rows: Sequence[LabelledInput]) -> Outcomes:
        return outcomes_of(one, its_rows, answered[_of_rows(one)])

    outcomes = outcomes_in(model, rows.labelled)
    others = {
        rival.name: replace(outcomes_in(rival.model, rival.rows), name=rival.model.name + _in(rival.name, FP32))
        for rival in rivals.asked
    }
    of_variants = {
        precision: replace(outcomes_in(variant, rows.labelled), precision=precision) for precision, variant in variants
    }
    right = {name: right_shares(outcomes, answered[name]) for name in given.disturbances}
    suites = run_suites(given.cases, model, answered[_CASES]) if given.cases else {}
    times = _times(given, partial, say) if _needed(standard, "times") else np.zeros(0)
    return replace(
        given.evidence,
        outcomes=outcomes,
        others={**others, **_told_rivals(standard, outcomes, rivals)},
        variants={**of_variants, **{one.precision: one.problem for one in rivals.variants if one.model is None}},
        suites=suites,
        robustness=right,
        interpretability=_interpretability(standard, model, rows.path, say),
        row_times_ms=times,
        runtime=f"{model.runtime.name} {model.runtime.precision}",
    )


def _questions(given: Prepared, variants: Sequence[tuple[str, EvaluatedModel]]) -> dict[Asked, Question]:
    """What is asked, each once: the rows of a model in one precision serve all that is compared with it."""
    model, rows = given.model, given.rows
    whole = [row.value for row in rows.labelled]
    found: dict[Asked, Question] = {_of_rows(model): Question.of(model.kind.reads.plural, model, whole)}
    for rival in given.rivals.asked:
        about = f"for {rival.model.name}{_in(rival.name, FP32)}"
        found.setdefault(_of_rows(rival.model), Question.of(about, rival.model, [row.value for row in rival.rows]))
    for precision, variant in variants:
        found.setdefault(_of_rows(variant), Question.of(f"in {precision}", variant, whole))
    for name, one in given.disturbances.items():
        found[name] = Question(f"with {name}", model, one.parts, one.inputs)
    if given.cases:
        inputs = [value for case in given.cases for value in case.inputs]
        found[_CASES] = Question.of("of cases", model, inputs)
    return found


def _of_rows(model: EvaluatedModel) -> Asked:
    return model.content_sha256, model.runtime.precision


def _in(name: str, precision: str) -> str:
    return f" in {precision}" if name == precision else ""


def _told_rivals(standard: Standard, outcomes: Outcomes, rivals: Rivals) -> dict[str, Outcomes]:
    """Those that need not be asked."""
    found = {BASELINE: of_baseline(outcomes, rivals.baseline)} if rivals.baseline is not None else {}
    return {**found, **({MAJORITY: always_the_same(outcomes)} if MAJORITY in _needed(standard, "against") else {})}


def _times(given: Prepared, partial: PartialFile, say: Say) -> Floats:
    """How long a row takes here; as it was measured before a break."""
    known = partial.known.get(_TIMES)
    if known is not None:
        return np.array(known["ms"], dtype=np.float64)
    say(f"timing single {given.model.kind.reads.plural} on {given.evidence.machine}")
    times = row_times_ms(given.model, given.rows.labelled, given.standard.minimum_rows)
    partial.add(_TIMES, {"ms": times.tolist()})
    return times


def _interpretability(standard: Standard, model: EvaluatedModel, rows: Path, say: Say) -> Figures:
    """Figures of how well the model can be explained: those of the manifest, and measured now what it does not have.

    Figures of fewer inputs than the standard wants, or of another version of the metrics, are measured again.
    """
    needed = _needed(standard, "metric")
    recorded = model.bundle.manifest.interpretability
    usable = recorded.evaluator_version == EVALUATOR_VERSION and recorded.inputs >= standard.minimum_rows
    known = _figures(recorded, needed) if usable else {}
    missing = [metric for metric in needed if not any(name.partition(".")[0] == metric for name in known)]
    if missing:
        inputs = read_rows(rows, model, count=DEFAULT_INPUTS)
        known |= _figures(as_message(measure(model, inputs, chosen_metrics(missing), say=say)), missing)
    return known


def _figures(told: bundle_pb2.Interpretability, metrics: Sequence[str]) -> Figures:
    found: dict[str, bundle_pb2.InterpretabilityFigure | str] = {}
    for metric in told.metrics:
        if metric.id in metrics:
            found.update({figure.name: figure for figure in metric.figures})
            if metric.missing:
                found[metric.id] = f"it cannot be measured: {metric.missing}"
    return found


def _needed(standard: Standard, kind: str) -> list[str]:
    return list(dict.fromkeys(what for needs, what in (one.needs() for one in standard.requirements) if needs == kind))
