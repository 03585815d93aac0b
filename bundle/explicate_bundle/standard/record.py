"""standard.json in a bundle: what was measured of a model for a standard, so that anybody can judge it anew.

It says the standard's text, on which rows and with what it was measured, and for each requirement the figure with its
bounds. `content_sha256` ties it to the files of its bundle; the manifest has its own digest as that of any file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import read_text
from explicate_bundle.standard.requirement_lines import Identity
from explicate_bundle.standard.verdicts import Bounds
from explicate_bundle.standard.waivers import Waiver, waivers_of
from explicate_bundle.writing import MODEL_CARD_NAME, STANDARD_RECORD_NAME, STANDARD_ROWS_NAME

_FORMAT = 1
_MOST_BYTES = 4 << 20
_TOLD_NAMES = frozenset({MODEL_CARD_NAME, STANDARD_RECORD_NAME, STANDARD_ROWS_NAME, "report.html"})


@dataclass(frozen=True)
class RecordedFigure:
    """What was measured for a requirement, or for one slice of it; see `Judgement` of the standards."""

    id: str
    measured: str
    bounds: Bounds
    verdict: str
    identity: Identity
    slice: str = ""
    rule: str = ""
    note: str = ""
    against: str = ""
    against_sha256: str = ""
    machine: str = ""


@dataclass(frozen=True)
class StandardRecord:
    """What a model was measured for.

    Attributes:
        name, version, sha256, text: of the standard.
        verdict: by that standard.
        confidence: of each bound.
        content_sha256: of the model's files, see `content_sha256`.
        rows, rows_sha256: how many test rows say what is right, and the digest of their file.
        uses: how many models were judged on these rows where this one was.
        suite_sha256: of the file with cases; empty without one.
        evaluator: version of the metrics, runtime and precision.
        waivers: of requirements that the model need not meet for some time.
        kept_rows_sha256: of standard_rows.npz, see `kept_rows`; empty if no test rows are kept.
    """

    name: str
    version: str
    sha256: str
    text: str
    verdict: str
    confidence: float
    content_sha256: str
    rows: int
    rows_sha256: str
    uses: int
    suite_sha256: str
    evaluator: str
    figures: tuple[RecordedFigure, ...] = field(default=())
    waivers: tuple[Waiver, ...] = field(default=())
    kept_rows_sha256: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON has it; a bound that there is not is null."""
        told = {name: value for name, value in asdict(self).items() if name not in ("figures", "waivers")}
        waivers = [waiver.document() for waiver in self.waivers]
        figures = [_figure_document(figure) for figure in self.figures]
        return {"format": _FORMAT, **told, "waivers": waivers, "figures": figures}

    def write(self, path: Path) -> None:
        """The same document always has the same bytes."""
        path.write_text(json.dumps(self.document(), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def content_sha256(manifest: bundle_pb2.Bundle) -> str:
    """SHA-256 of the names and digests of the files that make a model answer.

    That is all but the card, the report, and what is measured of it: the record and the test rows that are kept.
    """
    listed = sorted((file.name, file.sha256) for file in manifest.files if file.name not in _TOLD_NAMES)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def read_record(folder: Path, manifest: bundle_pb2.Bundle) -> StandardRecord | None:
    """The record of a verified bundle; None if it has none.

    Raises:
        BundleError: it is not in the format.
    """
    listed = {file.name: file.size_bytes for file in manifest.files}
    if STANDARD_RECORD_NAME not in listed:
        return None
    if listed[STANDARD_RECORD_NAME] > _MOST_BYTES:
        raise BundleError(f"{STANDARD_RECORD_NAME} has more than {_MOST_BYTES >> 20} MiB")
    try:
        return _record(json.loads(read_text(folder / STANDARD_RECORD_NAME)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{STANDARD_RECORD_NAME} is not in the format ({type(error).__name__})") from None


def _figure_document(figure: RecordedFigure) -> dict[str, Any]:
    bounds = {name: number if isfinite(number) else None for name, number in asdict(figure.bounds).items()}
    told = {name: value for name, value in asdict(figure).items() if name != "bounds"}
    if not figure.machine:
        del told["machine"]  # only what is timed depends on it
    return {**told, **bounds}


def _record(document: Mapping[str, Any]) -> StandardRecord:
    if document["format"] != _FORMAT:
        raise ValueError("format")
    texts = {name: _text(document[name]) for name in _TEXTS}
    confidence, rows, uses = document["confidence"], document["rows"], document["uses"]
    if not (isinstance(confidence, float) and 0 < confidence < 1):
        raise ValueError("confidence")
    if not all(isinstance(count, int) and count >= 0 for count in (rows, uses)):
        raise ValueError("rows or uses")
    return StandardRecord(
        **texts,
        confidence=confidence,
        rows=rows,
        uses=uses,
        figures=tuple(_figure(one) for one in document["figures"]),
        waivers=waivers_of(document.get("waivers", [])),  # not in older records, like the next
        kept_rows_sha256=_text(document.get("kept_rows_sha256", "")),
    )


_TEXTS = ("name", "version", "sha256", "text", "verdict", "content_sha256", "rows_sha256", "suite_sha256", "evaluator")


def _figure(document: Mapping[str, Any]) -> RecordedFigure:
    identity = document["identity"]
    if not isinstance(identity, dict):
        raise TypeError("identity")
    value, lower, upper = (_number(document[name]) for name in ("value", "lower", "upper"))
    bounds = Bounds(
        float("nan") if value is None else value,
        -float("inf") if lower is None else lower,
        float("inf") if upper is None else upper,
        int(document["rows"]),
    )
    if not bounds.lower <= bounds.upper or (value is not None and not isfinite(value)):
        raise ValueError("bounds")
    texts = {name: _text(document[name]) for name in _FIGURE_TEXTS}
    return RecordedFigure(bounds=bounds, identity=identity, machine=_text(document.get("machine", "")), **texts)


_FIGURE_TEXTS = ("id", "measured", "verdict", "slice", "rule", "note", "against", "against_sha256")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise TypeError("number")
    return float(value)
