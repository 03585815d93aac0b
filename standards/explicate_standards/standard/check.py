"""Judging a bundle by a standard: what the requirements need is measured, then each is judged.

All that can be wrong is found before the model is asked: a requirement that does not go with it, a slice of a column
that the rows do not have, another model that reads something else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.standard.gate import file_sha256
from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.standard.waivers import Waiver
from explicate_server.registry.label_store import LIVE, LabelFileError, LabelStore
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.held_out_rows import is_of_other_data, read_rows
from explicate_standards.metrics.interpretability import EVALUATOR_VERSION
from explicate_standards.outcomes.confusions import Confusion, confusions
from explicate_standards.outcomes.questions import kept
from explicate_standards.outcomes.rivals import ALL_ROWS, JudgedRows, judged_rows
from explicate_standards.partial_file import PartialFile
from explicate_standards.standard.evidence import measured, prepared
from explicate_standards.standard.group_tables import GroupTable, group_tables
from explicate_standards.standard.requirement import Judgement
from explicate_standards.standard.standard import Standard
from explicate_standards.standard.test_set_uses import count_use

_PRECISION = 0  # place in a partial file
Say = Callable[[str], None]


@dataclass(frozen=True)
class JudgedModel:
    """What was judged: its manifest, the digest of its files, what it reads, and in which runtime and precision."""

    manifest: bundle_pb2.Bundle
    content_sha256: str
    reads: str
    runtime: str
    precision: str


@dataclass(frozen=True)
class Checked:
    """A bundle that was judged.

    Attributes:
        rows: how many test rows say what is right.
        rows_sha256: of their file.
        judgements: in the standard's order.
        uses: how many models were judged on these rows here, this one counted.
        confusions: what is taken for what, of all rows and of each slice; none of numbers.
        waivers: of requirements that it need not meet; see `waiving`.
        kept_rows_sha256: of the file with test rows that the bundle keeps; empty if it keeps none.
        groups: of rows side by side, where the standard compares them.
        refused: whether a server refuses what is on record, whatever can be waived or passed over: nothing that is
            missing, stale or about something else can.
    """

    standard: Standard
    model: JudgedModel
    rows: int
    rows_sha256: str
    judgements: tuple[Judgement, ...]
    uses: int
    confusions: tuple[Confusion, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    kept_rows_sha256: str = ""
    groups: tuple[GroupTable, ...] = ()
    refused: bool = False

    @property
    def verdict(self) -> Verdict:
        """Of all: not met if one is not, else cannot tell if one cannot be told and the standard minds, else waived."""
        found = {judgement.verdict for judgement in self.judgements}
        if Verdict.NOT_MET in found:
            return Verdict.NOT_MET
        if self.refused or (self.standard.refuses_unknown and Verdict.CANNOT_TELL in found):
            return Verdict.CANNOT_TELL
        return Verdict.WAIVED if Verdict.WAIVED in found else Verdict.MET


def check(
    standard: Standard,
    bundle: Path,
    rows: Path,
    *,
    against: Path | None = None,
    of_run: bool = False,
    seeds: Sequence[Path] = (),
    precision: str = "",
    say: Say,
) -> Checked:
    """Judge a published bundle on the rows of a file.

    Args:
        standard: what it must reach.
        bundle: the folder of a version.
        rows: JSON lines as in held_out.jsonl.
        against: the bundle that "live" means; None: what `live_of` finds.
        of_run: whether they are to be the very rows that the bundle's run held out.
        seeds: runs that differ in the seed alone.
        precision: of the bundle's graphs, which is judged; empty for the one that a server here would take.
        say: gets lines of progress.

    Raises:
        UsageError: the bundle, the rows, another model or a requirement does not fit.
    """
    say(f"loading {bundle}")
    folder = bundle.resolve()
    model = open_published(bundle)
    if of_run:
        _check_run(rows, model)
    live = against or live_of(folder.parent, folder.name)
    return judge(standard, model, rows, live=live, seeds=seeds, precision=precision, say=say)


def judge(
    standard: Standard,
    model: EvaluatedModel,
    rows: Path,
    *,
    live: Path | None,
    seeds: Sequence[Path] = (),
    precision: str = "",
    say: Say,
) -> Checked:
    """Judge a model, published or staged; `live` is the bundle that serves, None if none does. See `check`."""
    if standard.suite is not None and not standard.suite.is_file():
        raise UsageError(f"{standard.path}: suite: there is no file {standard.suite}: write it, or leave suite out")
    given = read_rows(rows, model, count=ALL_ROWS)
    if given.unusable:
        say(f"{given.unusable:,} rows are passed over, for a server would refuse them")
    tested = judged_rows(rows, given)
    with kept(_depends_on(standard, model, tested, live, precision), say) as partial:
        model = _as_before(model, precision, partial)
        evidence = measured(prepared(standard, model, tested, live, seeds), partial, say)
        judgements = tuple(judgement for one in standard.requirements for judgement in one.judge(evidence))
        partial.finish()
    runtime = model.runtime
    judged = JudgedModel(
        model.bundle.manifest, model.content_sha256, model.kind.reads.plural, runtime.name, runtime.precision
    )
    return Checked(
        standard,
        judged,
        len(tested.labelled),
        given.sha256,
        judgements,
        count_use(given.sha256, model.content_sha256),
        confusions=tuple(confusions(evidence.outcomes, evidence.slices, standard.minimum_rows)),
        groups=group_tables(standard.requirements, evidence),
    )


def _check_run(rows: Path, model: EvaluatedModel) -> None:
    """Raises UsageError if a run's held-out rows are not those that the bundle names, or not of its data."""
    named = model.bundle.manifest.interpretability.rows_sha256
    other = is_of_other_data(rows.parent, model)
    if other or (named and named != file_sha256(rows)):
        why = "was trained on other data than" if other else f"has another {rows.name} than the run of"
        raise UsageError(f"{rows.parent} {why} {model.name}: give that run, or judge on any rows with --rows FILE")


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


def _depends_on(
    standard: Standard, model: EvaluatedModel, rows: JudgedRows, live: Path | None, precision: str
) -> dict[str, object]:
    """All that answers depend on: what was kept of another check is not taken over."""
    return {
        "check": 2,
        "evaluator_version": EVALUATOR_VERSION,
        "content_sha256": model.content_sha256,
        "rows_sha256": rows.sha256,
        "standard_sha256": standard.sha256,
        "suite_sha256": "" if standard.suite is None else file_sha256(standard.suite),
        "live": "" if live is None else str(live.resolve()),
        "precision": precision,
    }


def _as_before(model: EvaluatedModel, precision: str, partial: PartialFile) -> EvaluatedModel:
    """In the precision asked for, or in that of the check that was broken off: which is faster may change meanwhile."""
    known = partial.known.get(_PRECISION, {}).get("precision")
    chosen = known if isinstance(known, str) else precision or model.runtime.precision
    model = model.in_precision(chosen)
    if known is None:
        partial.add(_PRECISION, {"precision": chosen})
    return model
