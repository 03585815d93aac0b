"""Judging what a bundle has on record by a standard, as a server does it, without asking the model for anything."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.errors import BundleError, StandardError
from explicate_bundle.standard.gate import LIVE, StandardGate
from explicate_bundle.standard.record import RecordedFigure, StandardRecord, content_sha256, read_record
from explicate_bundle.standard.requirement_lines import RequiredLine
from explicate_bundle.standard.verdicts import Bounds, Verdict
from explicate_standards.evaluated_model import verified
from explicate_standards.outcomes.costs import this_machine
from explicate_standards.standard.check import Checked, JudgedModel, live_of
from explicate_standards.standard.requirement import Judgement
from explicate_standards.standard.standard import Standard
from explicate_standards.standard.test_set_uses import uses_of
from explicate_standards.standard.waiving import excused

_MEASURE = "give the run with --run to measure it"


def check_recorded(standard: Standard, folder: Path, *, against: Path | None = None) -> Checked:
    """Judge the figures that a published bundle has on record; its waivers count if the standard takes them.

    Raises:
        UsageError: it has none, or they are of other files.
    """
    bundle = verified(folder)
    try:
        gate, record = StandardGate.read(standard.path), read_record(bundle.folder, bundle.manifest)
    except (BundleError, StandardError) as error:
        raise UsageError(str(error)) from None
    if record is None or record.content_sha256 != content_sha256(bundle.manifest):
        why = "has nothing on record" if record is None else "has a record of other files"
        raise UsageError(f"{folder} {why}: {_MEASURE}, or rows with --rows FILE")
    live = against or live_of(folder.resolve().parent, folder.resolve().name)
    live_manifest = None if live is None else verified(live).manifest
    judgements = tuple(
        judgement for wanted in gate.standard.requirements for judgement in _judged(gate, wanted, record, live_manifest)
    )
    runtime, _, precision = record.evaluator.partition(" ")[2].rpartition(" ")
    checked = Checked(
        standard,
        JudgedModel(bundle.manifest, record.content_sha256, bundle.kind.reads.plural, runtime, precision),
        record.rows,
        record.rows_sha256,
        judgements,
        max(record.uses, uses_of(record.rows_sha256)),
    )
    checked = excused(checked, record.waivers) if standard.takes_waivers else checked
    refused = any(one.waiver is None for one in gate.unmet(bundle, live_manifest))
    return replace(checked, refused=refused)


def _judged(
    gate: StandardGate, wanted: RequiredLine, record: StandardRecord, live: bundle_pb2.Bundle | None
) -> Iterator[Judgement]:
    for rule_of, figures in gate.figures(wanted, record):
        if not figures:
            bounds = Bounds(float("nan"), -float("inf"), float("inf"), 0)
            what, note = f"not on record{rule_of}", _MEASURE
            yield Judgement(wanted.id, what, bounds, wanted.line, Verdict.CANNOT_TELL, note, identity=wanted.identity)
        for figure in figures:
            yield _of_figure(gate, wanted, figure, record, live)


def _of_figure(
    gate: StandardGate,
    wanted: RequiredLine,
    figure: RecordedFigure,
    record: StandardRecord,
    live: bundle_pb2.Bundle | None,
) -> Judgement:
    judged = Judgement(
        wanted.id,
        figure.measured,
        figure.bounds,
        wanted.line,
        wanted.line.verdict(figure.bounds),
        figure.note,
        figure.against,
        figure.against_sha256,
        wanted.identity,
        figure.slice,
        figure.rule,
        figure.machine,
    )
    beside_live = wanted.identity.get("against") == LIVE
    if beside_live and not figure.against and live is None:
        return replace(judged, verdict=Verdict.MET)
    if beside_live and live is not None and figure.against_sha256 != content_sha256(live):
        stale = f"it was compared with another model than version {live.version}, which is live: {_MEASURE}"
        return replace(judged, verdict=Verdict.CANNOT_TELL, note=stale)
    if why := _doubt(gate, wanted, figure, record):
        return replace(judged, verdict=Verdict.CANNOT_TELL, note=why)
    if figure.machine and figure.machine != this_machine():
        return replace(judged, note=f"measured on {figure.machine}, not here; {figure.note}".rstrip("; "))
    return judged


def _doubt(gate: StandardGate, wanted: RequiredLine, figure: RecordedFigure, record: StandardRecord) -> str:
    """Why a figure that may be good tells nothing; empty if it does."""
    standard = gate.standard
    if record.confidence < standard.confidence:
        return f"it was judged with a confidence of {record.confidence:g}, and {standard.confidence:g} is wanted"
    if "suite" in wanted.identity:
        others = record.suite_sha256 != gate.suite_sha256
        return "its cases were others than those beside the standard" if others else ""
    if figure.bounds.rows < standard.minimum_rows:
        return f"{figure.bounds.rows:,} rows; the standard wants {standard.minimum_rows:,}"
    return ""
