"""What a model is compared with on the same rows: what is live, its own fp32 graph, a simple model, and so on.

`against` names one: "live"; "fp32", which the other precisions of the bundle are held to, whichever of them a server
takes; "baseline", the simple model that training fitted to the same rows; "majority", always the same answer; or the
path of a bundle.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any  # JSON values

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.outcomes.baseline_answers import BASELINE_NAME, BaselineAnswers, rule_of
from explicate_server.registry.label_store import LIVE
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.held_out_rows import HeldOutRows, LabelledInput, is_finite, read_rows
from explicate_standards.outcomes.outcomes import Outcomes, labelled

FP32, BASELINE, MAJORITY = "fp32", "baseline", "majority"
KEYWORDS = (LIVE, FP32, BASELINE, MAJORITY)
ALL_ROWS = 1 << 40


@dataclass(frozen=True)
class JudgedRows:
    """The rows that a model is judged on: their file, its digest, and those that say what is right."""

    path: Path
    sha256: str
    labelled: Sequence[LabelledInput]


@dataclass(frozen=True)
class Rival:
    """A model that must be asked for the rows; `rows` are as it reads them."""

    name: str
    model: EvaluatedModel
    rows: Sequence[LabelledInput]


@dataclass(frozen=True)
class Variant:
    """The judged model in another precision; `problem` says why it cannot be asked here, with no model then."""

    precision: str
    model: EvaluatedModel | None
    problem: str = ""


@dataclass(frozen=True)
class Rivals:
    """All that a standard compares with.

    Attributes:
        asked: those to ask.
        variants: other precisions of the judged model, if they are to be held to its fp32 graph.
        baseline: what the simple model answered to the rows; None where that is not needed, or not known.
        absent: why there is nothing to compare with, by the name that the standard has.
    """

    asked: Sequence[Rival] = ()
    variants: Sequence[Variant] = ()
    baseline: BaselineAnswers | None = None
    absent: dict[str, str] = field(default_factory=dict)


def open_rivals(
    names: Sequence[str], model: EvaluatedModel, rows: JudgedRows, *, folder: Path, live: Path | None
) -> Rivals:
    """Open what the requirements compare with.

    Args:
        names: as the standard has them.
        model: the judged one.
        rows: that it is judged on.
        folder: where the paths of a standard begin.
        live: the bundle that serves; None if none does.

    Raises:
        UsageError: one of them cannot be opened, or cannot be compared with.
    """
    asked, absent = list[Rival](), dict[str, str]()
    for name in names:
        if name == LIVE and live is None:
            absent[name] = "nothing is live yet"
        elif name == LIVE or name not in KEYWORDS:
            asked.append(_published(name, live if name == LIVE and live else folder / name, model, rows))
    variants = _variants(model) if FP32 in names else []
    if variants:
        asked.append(Rival(FP32, model.in_precision(FP32), rows.labelled))
    baseline = _baseline(rows, model) if BASELINE in names else None
    if BASELINE in names and baseline is None:
        absent[BASELINE] = f"there is no {BASELINE_NAME} beside {rows.path}: train again, or give the run with --run"
    return Rivals(asked, variants, baseline, absent)


def _published(name: str, folder: Path, model: EvaluatedModel, rows: JudgedRows) -> Rival:
    if not folder.is_dir():
        raise UsageError(
            f'against = "{name}": {folder} is not the folder of a bundle; it is one of {", ".join(KEYWORDS)}, or the '
            "path of a bundle from the standard's folder"
        )
    try:
        other = open_published(folder)
    except UsageError as error:
        raise UsageError(f'against = "{name}": {error}') from None
    if other.labels != model.labels or other.kind.predicts.name != model.kind.predicts.name:
        told, ours = ", ".join(other.labels), ", ".join(model.labels)
        raise UsageError(f"{folder} cannot be compared with: it predicts {told}, and this model {ours}")
    its_rows = labelled(read_rows(rows.path, other, count=ALL_ROWS))
    if [row.place for row in its_rows] != [row.place for row in rows.labelled]:
        raise UsageError(f"{folder} cannot be compared with: it does not read the same rows of {rows.path}")
    return Rival(name, other, its_rows)


def _variants(model: EvaluatedModel) -> list[Variant]:
    found = []
    for variant in model.bundle.manifest.variants:
        try:
            found.append(Variant(variant.precision, model.in_precision(variant.precision)))
        except UsageError as error:
            found.append(Variant(variant.precision, None, str(error)))
    return found


def _baseline(rows: JudgedRows, model: EvaluatedModel) -> BaselineAnswers | None:
    """What the simple model answered to the labelled rows; None if the run does not say."""
    path = rows.path.with_name(BASELINE_NAME)
    if not path.exists():
        return None
    wanted = model.kind.predicts.outputs(len(model.labels))
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        name, digest, given = document["name"], document["held_out_sha256"], document["outputs"]
        right = isinstance(name, str) and all(len(one) == wanted and all(map(is_finite, one)) for one in given)
        rule = rule_of(document, several=model.kind.predicts.answer == "labels")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right:
        raise UsageError(f"{path} does not have {wanted} numbers for each held-out row: train again")
    if digest != rows.sha256 or len(given) < max(row.place for row in rows.labelled):
        raise UsageError(f"{path} is of other rows than {rows.path.name} has: train again, or remove it")
    outputs = np.array(given, dtype=np.float64).reshape(-1, wanted)
    return BaselineAnswers(name, outputs[[row.place - 1 for row in rows.labelled]], rule)


def of_baseline(outcomes: Outcomes, baseline: BaselineAnswers) -> Outcomes:
    """The simple model's answers, decided by the rule that was chosen for it as the model's was, if one was."""
    objective, rule = outcomes.objective.plain, baseline.rule
    if rule is not None:
        objective = replace(objective, decisions=rule.decide, rule=rule)
    return replace(outcomes, name=baseline.name, objective=objective, outputs=baseline.outputs, digest="")


def judged_rows(path: Path, given: HeldOutRows) -> JudgedRows:
    """The rows of a file that say what is right.

    Raises:
        UsageError: none does.
    """
    return JudgedRows(path, given.sha256, labelled(given))
