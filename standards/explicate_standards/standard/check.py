"""Judging a bundle by a standard: what the requirements need is measured, then each is judged."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.standard.verdicts import Verdict
from explicate_server.registry.label_store import LIVE, LabelFileError, LabelStore
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.evaluation import DEFAULT_INPUTS, chosen_metrics
from explicate_standards.held_out_rows import LabelledInput, read_rows
from explicate_standards.measuring import measure
from explicate_standards.metrics.interpretability import EVALUATOR_VERSION
from explicate_standards.outcomes.outcomes import Floats, Outcomes, always_the_same, answered, labelled
from explicate_standards.outcomes.robustness import WORST, disturbances_of, right_when_disturbed
from explicate_standards.outcomes.slice_rules import SliceRule, masks, values_of
from explicate_standards.outcomes.suites import read_suites, run_suites
from explicate_standards.partial_file import partial_folder
from explicate_standards.standard.group_tables import GroupTable, group_tables
from explicate_standards.standard.requirement import Evidence, Judgement
from explicate_standards.standard.standard import Standard
from explicate_standards.told import as_message

MAJORITY = "majority"
_ALL_ROWS = 1 << 40
_MOST_MODELS = 100_000
Say = Callable[[str], None]
Figures = dict[str, bundle_pb2.InterpretabilityFigure | str]
"""By name; a text says why a metric has none."""


@dataclass(frozen=True)
class HeldOut:
    """The test rows: their file, and those that say what is right."""

    path: Path
    labelled: Sequence[LabelledInput]


@dataclass(frozen=True)
class Checked:
    """A bundle that was judged.

    Attributes:
        rows: how many test rows say what is right.
        rows_sha256: of their file.
        judgements: in the standard's order.
        uses: how many models were judged on these rows here, this one counted.
        groups: of rows side by side, where the standard compares them.
    """

    standard: Standard
    model: EvaluatedModel
    rows: int
    rows_sha256: str
    judgements: tuple[Judgement, ...]
    uses: int
    groups: tuple[GroupTable, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of all: not met if one is not, else cannot tell if one cannot be told and the standard minds."""
        found = {judgement.verdict for judgement in self.judgements}
        if Verdict.NOT_MET in found:
            return Verdict.NOT_MET
        refused = self.standard.refuses_unknown and Verdict.CANNOT_TELL in found
        return Verdict.CANNOT_TELL if refused else Verdict.MET


def check(standard: Standard, bundle: Path, rows: Path, *, against: Path | None = None, say: Say) -> Checked:
    """Judge a published bundle on the rows of a file.

    Args:
        standard: what it must reach.
        bundle: the folder of a version.
        rows: JSON lines as in held_out.jsonl.
        against: the bundle that "live" means; None: what `live_of` finds.
        say: gets lines of progress.

    Raises:
        UsageError: the bundle, the rows, another model or a requirement does not fit.
    """
    say(f"loading {bundle}")
    folder = bundle.resolve()
    return judge(standard, open_published(bundle), rows, live=against or live_of(folder.parent, folder.name), say=say)


def judge(standard: Standard, model: EvaluatedModel, rows: Path, *, live: Path | None, say: Say) -> Checked:
    """Judge a model, published or staged; `live` is the bundle that serves, None if none does. See `check`."""
    given = read_rows(rows, model, count=_ALL_ROWS)
    if given.unusable:
        say(f"{given.unusable:,} rows are passed over, for a server would refuse them")
    tested = labelled(given)
    say(f"asking the model for {len(tested):,} {model.kind.reads.plural}")
    outcomes = answered(model, tested)
    cases = read_suites(standard.suite, model) if standard.suite is not None else []
    evidence = Evidence(
        outcomes,
        _others(standard, outcomes, HeldOut(rows, tested), live, say),
        masks([SliceRule(*rule) for rule in standard.slices.items()], tested, model),
        run_suites(cases, model),
        _interpretability(standard, model, rows, say),
        standard.confidence,
        standard.minimum_rows,
        rules=standard.slices,
        robustness=_robustness(standard, model, outcomes, tested, say),
        groups={column: values_of(column, tested, model) for column in _needed(standard, "groups")},
    )
    judgements = tuple(judgement for one in standard.requirements for judgement in one.judge(evidence))
    uses = count_use(given.sha256, model.content_sha256)
    groups = group_tables(standard.requirements, evidence)
    return Checked(standard, model, len(tested), given.sha256, judgements, uses, groups)


def live_of(model: Path, version: str = "") -> Path | None:
    """The version in a model's folder that another one would take the place of; None if there is none.

    That is the one labelled live, else the newest but for `version`.
    """
    try:
        assignment = LabelStore(model.parent).read(model.name)
    except LabelFileError as error:
        raise UsageError(f"what is live cannot be told: {error}: name the bundle with --against") from None
    target = assignment.labels.get(LIVE) if assignment is not None else None
    if target is not None:
        return model / str(target.version)
    found = list(model.iterdir()) if model.is_dir() else []
    others = [folder for folder in found if folder.name.isdecimal() and folder.name != version]
    return max(others, key=lambda folder: int(folder.name), default=None)


def _others(standard: Standard, outcomes: Outcomes, rows: HeldOut, live: Path | None, say: Say) -> dict[str, Outcomes]:
    """What the requirements compare with, by the name that the standard has; without what is live if nothing is."""
    found: dict[str, Outcomes] = {}
    for name in _needed(standard, "against"):
        folder = live if name == LIVE else standard.path.parent / name
        if name == MAJORITY:
            found[name] = always_the_same(outcomes)
        elif folder is not None:
            say(f"asking {folder} for the same, to compare with")
            found[name] = _other(folder, outcomes, rows)
    return found


def _other(folder: Path, outcomes: Outcomes, rows: HeldOut) -> Outcomes:
    """What another bundle answers to the same rows."""
    other = open_published(folder)
    if other.labels != outcomes.labels or other.kind.predicts is not outcomes.objective:
        told, ours = ", ".join(other.labels), ", ".join(outcomes.labels)
        raise UsageError(f"{folder} cannot be compared with: it predicts {told}, and this model {ours}")
    its_rows = labelled(read_rows(rows.path, other, count=_ALL_ROWS))
    if [row.place for row in its_rows] != [row.place for row in rows.labelled]:
        raise UsageError(f"{folder} cannot be compared with: it does not read the same rows of {rows.path}")
    return answered(other, its_rows)


def _robustness(
    standard: Standard, model: EvaluatedModel, outcomes: Outcomes, rows: Sequence[LabelledInput], say: Say
) -> dict[str, Floats]:
    """What becomes of disturbed inputs, for the disturbances that are needed."""
    names = _needed(standard, "disturbance")
    found = {}
    for name in disturbances_of(model) if WORST in names else names:
        say(f"asking the model for {len(rows):,} {model.kind.reads.plural} with {name}")
        found[name] = right_when_disturbed(model, outcomes, rows, name)
    return found


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


def count_use(rows_sha256: str, content_sha256: str) -> int:
    """Note that a model was judged on some rows; returns how many different ones were so far, this one counted.

    Each one that is chosen by its test rows makes them less of a test. Kept below XDG_CACHE_HOME or ~/.cache by the
    digests of rows and models; what was judged on another machine is not known.
    """
    path = partial_folder().with_name("test-rows") / f"{rows_sha256}.json"
    known = _models(path)
    if content_sha256 not in known and len(known) < _MOST_MODELS:
        known.append(content_sha256)
        with suppress(OSError):  # a home that cannot be written must not hold up a verdict
            _write(path, known)
    return len(known)


def _models(path: Path) -> list[str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(one) for one in known] if isinstance(known, list) else []


def _write(path: Path, known: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
        json.dump(known, file)
    Path(file.name).replace(path)
