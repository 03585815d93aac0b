"""The verdict on a bundle: a table for people, JSON for programs, JUnit for what runs tests."""

from collections.abc import Iterator
from math import isfinite
from typing import Any  # JSON values
from xml.etree import ElementTree

import numpy as np

from explicate.v1 import bundle_pb2
from explicate.views import tables
from explicate_bundle.standard.gate import file_sha256
from explicate_bundle.standard.record import RecordedFigure, StandardRecord
from explicate_bundle.standard.verdicts import Verdict
from explicate_standards.metrics.interpretability import EVALUATOR_VERSION
from explicate_standards.outcomes.confusions import ALPHA, Confusion
from explicate_standards.standard.check import Checked
from explicate_standards.standard.requirement import Judgement

_HEADER = ("REQUIREMENT", "MEASURED", "VALUE", "BOUNDS", "LINE", "ROWS", "VERDICT")
_MOST_CLASSES = 12
_MARKS = {Verdict.MET: "met", Verdict.NOT_MET: "NOT MET", Verdict.CANNOT_TELL: "cannot tell", Verdict.WAIVED: "waived"}


def as_table(checked: Checked) -> str:
    """A line for each judgement, then what there is to say of some, then the verdict."""
    standard, manifest = checked.standard, checked.model.manifest
    what = checked.model.reads
    title = (
        f"{manifest.model} version {manifest.version} by {standard.name} {standard.version}, {checked.rows:,} {what}"
    )
    table = tables.table(_HEADER, [_line(judgement) for judgement in checked.judgements], right=(2, 5))
    notes = [
        f"{judgement.requirement}: {judgement.what}: {judgement.note}"
        for judgement in checked.judgements
        if judgement.note
    ]
    models = "1 model was" if checked.uses == 1 else f"{checked.uses:,} models were"
    used = f"{models} judged on these rows here; each one that is chosen by them makes them less of a test"
    return "\n".join([title, "", table, "", *notes, used, "", sentence(checked)])


def sentence(checked: Checked) -> str:
    """The verdict, for people."""
    name = f"{checked.standard.name} {checked.standard.version}"
    counted = {verdict: sum(one.verdict is verdict for one in checked.judgements) for verdict in Verdict}
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in counted.items() if count)
    bound = f"each bound holds with a confidence of {checked.standard.confidence:g}"
    match checked.verdict:
        case Verdict.MET:
            return f"MET: the model meets {name} ({told}; {bound})"
        case Verdict.NOT_MET:
            return f"NOT MET: the model does not meet {name} ({told}; {bound})"
        case Verdict.WAIVED:
            return f"WAIVED: the model meets {name} but for what is waived ({told}; {bound})"
        case Verdict.CANNOT_TELL:
            return f"CANNOT TELL: the rows are too few to say whether the model meets {name} ({told}; {bound})"


def _line(judgement: Judgement) -> tuple[str, ...]:
    bounds = judgement.bounds
    return (
        judgement.requirement,
        judgement.what,
        _number(bounds.value),
        f"[{_number(bounds.lower)}, {_number(bounds.upper)}]",
        str(judgement.line),
        f"{bounds.rows:,}",
        _MARKS[judgement.verdict],
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if isfinite(value) else "–"


def as_document(checked: Checked) -> dict[str, Any]:
    """All of it as JSON has it; without times, so that the same check gives the same bytes."""
    manifest, standard = checked.model.manifest, checked.standard
    return {
        "verdict": checked.verdict.value,
        "standard": {"name": standard.name, "version": standard.version, "sha256": standard.sha256},
        "confidence": standard.confidence,
        "model": manifest.model,
        "version": manifest.version,
        "content_sha256": checked.model.content_sha256,
        "runtime": checked.model.runtime,
        "precision": checked.model.precision,
        "rows": checked.rows,
        "rows_sha256": checked.rows_sha256,
        "requirements": [_judgement(judgement) for judgement in checked.judgements],
        "confusions": [_confusion(one) for one in checked.confusions],
        **({"waivers": [waiver.document() for waiver in checked.waivers]} if checked.waivers else {}),
    }


def as_record(checked: Checked) -> StandardRecord:
    """What a bundle has on record, so that a server can judge it anew."""
    standard, model = checked.standard, checked.model
    return StandardRecord(
        name=standard.name,
        version=standard.version,
        sha256=standard.sha256,
        text=standard.text,
        verdict=checked.verdict.value,
        confidence=standard.confidence,
        content_sha256=model.content_sha256,
        rows=checked.rows,
        rows_sha256=checked.rows_sha256,
        uses=checked.uses,
        suite_sha256="" if standard.suite is None else file_sha256(standard.suite),
        evaluator=f"{EVALUATOR_VERSION} {model.runtime} {model.precision}",
        figures=tuple(_recorded(judgement) for judgement in checked.judgements),
        waivers=checked.waivers,
        kept_rows_sha256=checked.kept_rows_sha256,
    )


def as_message(checked: Checked) -> bundle_pb2.StandardVerdict:
    """What a manifest says of it."""
    return bundle_pb2.StandardVerdict(
        name=checked.standard.name,
        version=checked.standard.version,
        sha256=checked.standard.sha256,
        verdict=checked.verdict.value,
        rows=checked.rows,
        rows_sha256=checked.rows_sha256,
        met=sum(judgement.verdict is Verdict.MET for judgement in checked.judgements),
        judged=len(checked.judgements),
        waivers=[bundle_pb2.StandardWaiver(**waiver.document()) for waiver in checked.waivers],
    )


def _recorded(judgement: Judgement) -> RecordedFigure:
    return RecordedFigure(
        id=judgement.requirement,
        measured=judgement.what,
        bounds=judgement.bounds,
        verdict=judgement.verdict.value,
        identity=dict(judgement.identity),
        slice=judgement.slice,
        rule=judgement.rule,
        note=judgement.note,
        against=judgement.against,
        against_sha256=judgement.against_sha256,
        machine=judgement.machine,
    )


def _judgement(judgement: Judgement) -> dict[str, Any]:
    bounds, line = judgement.bounds, judgement.line
    numbers = {"value": bounds.value, "lower": bounds.lower, "upper": bounds.upper}
    return {
        "id": judgement.requirement,
        "measured": judgement.what,
        **{name: number if isfinite(number) else None for name, number in numbers.items()},
        "rows": bounds.rows,
        "at_least" if line.at_least else "at_most": line.value,
        "verdict": judgement.verdict.value,
        **({"note": judgement.note} if judgement.note else {}),
        **({"against": judgement.against} if judgement.against else {}),
        **({"against_sha256": judgement.against_sha256} if judgement.against_sha256 else {}),
        **({"slice": judgement.slice} if judgement.slice else {}),
        **({"machine": judgement.machine} if judgement.machine else {}),
    }


def _confusion(one: Confusion) -> dict[str, Any]:
    """Rows by what is right and what is answered; without `slice` of all rows."""
    return {
        **({"slice": one.slice} if one.slice else {}),
        **({"label": one.about} if one.about else {}),
        "rows": one.rows,
        "wrong": one.wrong,
        "names": list(one.names),
        "counts": one.counts.tolist(),
        **({"p": one.p, "p_adjusted": one.adjusted, "differs": one.differs} if one.p is not None else {}),
        **({"note": one.note} if one.note else {}),
    }


def confusion_tables(checked: Checked) -> str:
    """A table for all rows and each slice, then which slices are unlike the rest; for people."""
    if not checked.confusions:
        return "a model that predicts a number takes nothing for something else, so there are no confusions"
    tested = [one for one in checked.confusions if one.p is not None]
    several = f", adjusted for {len(tested):,} comparisons (Holm)" if len(tested) > 1 else ""
    lines = [
        f"which slices are answered unlike the rest beyond chance, of what is right in them (p < {ALPHA}{several}):"
    ]
    differ = [one for one in tested if one.differs]
    lines += [f"  {_named(one)}: {one.note} (p {one.adjusted:.2g})" for one in differ] or ["  none"]
    return "\n\n".join([*map(_confusion_table, checked.confusions), "\n".join(lines)])


def _confusion_table(one: Confusion) -> str:
    columns = len(one.names)
    shown = list(range(columns))
    title = f"{_named(one)}: {one.rows:,} rows, {one.wrong:,} wrong"
    if columns > _MOST_CLASSES:
        wrong = one.counts - np.diag(np.diag(one.counts))
        shown = sorted(np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:_MOST_CLASSES].tolist())
        title += f" (the {_MOST_CLASSES} classes with most errors of {columns}; --json has all)"
    lines = [(one.names[row], *(f"{one.counts[row, answer]:,}" for answer in shown)) for row in shown]
    header = ("RIGHT \\ ANSWERED", *(one.names[answer] for answer in shown))
    return title + "\n" + tables.table(header, lines, right=tuple(range(1, len(shown) + 1)))


def _named(one: Confusion) -> str:
    return (one.slice or "all rows") + (f", {one.about}" if one.about else "")


def as_junit(checked: Checked) -> str:
    """One test case for each judgement: it fails if it is not met, or cannot be told and the standard minds that."""
    standard, manifest = checked.standard, checked.model.manifest
    failures = [one for one in checked.judgements if _fails(one, checked)]
    suite = ElementTree.Element(
        "testsuite",
        name=f"{standard.name} {standard.version}",
        tests=str(len(checked.judgements)),
        failures=str(len(failures)),
        skipped=str(sum(not _fails(one, checked) and one.verdict is not Verdict.MET for one in checked.judgements)),
    )
    for judgement in checked.judgements:
        name = f"{judgement.requirement}: {judgement.what}"
        case = ElementTree.SubElement(suite, "testcase", classname=f"{manifest.model}.{manifest.version}", name=name)
        if judgement.verdict is not Verdict.MET:
            kind = "failure" if _fails(judgement, checked) else "skipped"
            ElementTree.SubElement(case, kind, message=" ".join(_told(judgement)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _fails(judgement: Judgement, checked: Checked) -> bool:
    if judgement.verdict is Verdict.CANNOT_TELL:
        return checked.standard.refuses_unknown
    return judgement.verdict is Verdict.NOT_MET


def _told(judgement: Judgement) -> Iterator[str]:
    bounds = judgement.bounds
    yield f"{judgement.verdict.value}: {_number(bounds.value)} [{_number(bounds.lower)}, {_number(bounds.upper)}]"
    yield f"of {bounds.rows:,} rows, {judgement.line} wanted"
    if judgement.note:
        yield f"({judgement.note})"
