"""Behaviour suites: what a model must do on cases that people wrote, whatever its accuracy is.

After CheckList (Ribeiro, Wu, Guestrin, Singh, ACL 2020). One case a line of a JSONL file, each with a "suite" and:

    {"suite": "negation", "text": "not good at all", "label": "worse"}                    the answer (MFT)
    {"suite": "names", "same": [{"text": "Ann liked it"}, {"text": "Bob liked it"}]}      all alike (INV)
    {"suite": "praise", "label": "great", "falls": [{"text": "good"}, {"text": "bad"}]}   from one to the next (DIR)

"falls" and "rises" are about the probability of the label, or the value of a regression; "by" is by how much at least.
"same" of a regression allows "within". Inputs are written as in held_out.jsonl. A case fails as a whole. A TOML file
has templates of cases instead; see `suite_templates`.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import json_lines, kind_of, label_of
from explicate_standards.outcomes.outcomes import Floats, outputs_of
from explicate_standards.outcomes.suite_templates import template_cases

_FORMS = ("label", "value", "same", "falls", "rises")
Fails = Callable[[Floats, Floats], bool]
"""From outputs and scores, float64[inputs, outputs] each, of the inputs of a case."""


@dataclass(frozen=True)
class Case:
    """One case: its suite, its line of the file or its template, its inputs, and when it fails."""

    suite: str
    place: int
    inputs: tuple[ModelInput, ...]
    fails: Fails


@dataclass(frozen=True)
class SuiteResult:
    """How many cases of a suite there are, and the lines, or templates, of those that failed."""

    cases: int
    failed: tuple[int, ...]


def read_suites(path: Path, model: EvaluatedModel) -> list[Case]:
    """The cases of a file.

    Raises:
        UsageError: names the line that is not a case for this model.
    """
    cases, templates = [], path.suffix == ".toml"
    for place, line in template_cases(path) if templates else json_lines(path):
        try:
            cases.append(_case(line, place, model, path.parent))
        except UsageError as error:
            raise UsageError(f"{path}, {'case' if templates else 'line'} {place}: {error}") from None
    if not cases:
        raise UsageError(f"{path} has no cases: write one JSON object a line, or [[case]] in TOML")
    return cases


def run_suites(
    cases: Sequence[Case], model: EvaluatedModel, outputs: Floats | None = None
) -> Mapping[str, SuiteResult]:
    """What became of the cases, by suite; `outputs` float64[inputs, outputs] if their inputs are answered already."""
    if outputs is None:
        outputs = outputs_of(model, [value for case in cases for value in case.inputs])
    scores = model.kind.predicts.scores(outputs)
    count, failed, first = Counter(case.suite for case in cases), dict[str, list[int]](), 0
    for case in cases:
        rows = slice(first, first + len(case.inputs))
        if case.fails(outputs[rows], scores[rows]):
            failed.setdefault(case.suite, []).append(case.place)
        first = rows.stop
    return {suite: SuiteResult(cases, tuple(failed.get(suite, ()))) for suite, cases in sorted(count.items())}


def _case(line: Mapping[str, Any], place: int, model: EvaluatedModel, folder: Path) -> Case:
    suite = line.get("suite")
    if not isinstance(suite, str) or not suite:
        raise UsageError('it has no "suite", the name of what it tests')
    several = [form for form in ("same", "falls", "rises") if form in line]
    if len(several) > 1:
        raise UsageError(f"it has {' and '.join(map(repr, several))}; a case has one of {', '.join(_FORMS)}")
    if not several:
        return Case(suite, place, (_input(line, model, folder),), _answers(line, model))
    form = several[0]
    inputs = tuple(_input(one, model, folder) for one in _listed(line[form], form))
    return Case(suite, place, inputs, _alike(line, model) if form == "same" else _moves(line, model, form))


def _listed(given: object, form: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(given, list) or len(given) < 2 or not all(isinstance(one, dict) for one in given):
        raise UsageError(f'"{form}" is not a list of two or more inputs, such as {{"text": …}}')
    return given


def _input(line: Mapping[str, Any], model: EvaluatedModel, folder: Path) -> ModelInput:
    value = kind_of(model).read(line, model, folder)
    if value is None or (violations := model.modality.violations(value, "input")):
        raise UsageError("a server would refuse it" + (f": {violations[0].description}" if value is not None else ""))
    return value


def _answers(line: Mapping[str, Any], model: EvaluatedModel) -> Fails:
    right = label_of(line, model.kind.predicts, model.labels)
    if right is None:
        raise UsageError(f"it does not say what is right; a case has one of {', '.join(_FORMS)}")
    if isinstance(right, float):
        within = _number(line, "within", 0.0)
        return lambda outputs, _scores: bool(abs(outputs[0, 0] - right) > within)
    wanted = {right} if isinstance(right, int) else set(right)
    return lambda _outputs, scores: _decided(model, scores)[0] != wanted


def _alike(line: Mapping[str, Any], model: EvaluatedModel) -> Fails:
    if model.kind.predicts.decisions is None:
        within = _number(line, "within", 0.0)
        return lambda outputs, _scores: bool(np.ptp(outputs[:, 0]) > within)
    return lambda _outputs, scores: any(one != _decided(model, scores)[0] for one in _decided(model, scores))


def _moves(line: Mapping[str, Any], model: EvaluatedModel, form: str) -> Fails:
    label = _label(line, model)
    if not isinstance(label, int):
        raise UsageError(f'it does not say what {form}: give a "label" of the model')
    by = _number(line, "by", 0.0)
    sign = 1.0 if form == "rises" else -1.0
    return lambda _outputs, scores: bool((sign * np.diff(scores[:, label]) < by).any())


def _label(line: Mapping[str, Any], model: EvaluatedModel) -> object:
    if not model.kind.predicts.least_labels:
        return 0
    return label_of({"label": line.get("label")}, model.kind.predicts, model.labels)


def _decided(model: EvaluatedModel, scores: Floats) -> list[set[int]]:
    """The classes or labels that each input gets."""
    decisions = model.kind.predicts.decisions
    assert decisions is not None
    found = np.asarray(decisions(scores))
    return [{int(one)} if found.ndim == 1 else set(np.flatnonzero(one).tolist()) for one in found]


def _number(line: Mapping[str, Any], name: str, default: float) -> float:
    given = line.get(name, default)
    if not isinstance(given, int | float) or isinstance(given, bool) or not isfinite(given) or given < 0:
        raise UsageError(f'"{name}" is {json.dumps(given)}, not a number from 0')
    return float(given)
