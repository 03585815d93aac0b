"""Bundles as a leaderboard reads them: by what they have on record, for what they answered to test rows is not in them.

They have no rank, which takes answers to the same rows drawn anew, and their interval is that of the manifest.
"""

import hashlib
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import check_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.input_kind import kind_of
from explicate_bundle.standard.record import RecordedFigure, StandardRecord, content_sha256, read_record
from explicate_bundle.writing import GRAPH_NAME, MANIFEST_NAME, MODEL_CARD_NAME
from explicate_standards.leaderboard.runs import (
    CALIBRATION,
    CALIBRATION_ERROR,
    LATENCY,
    ROBUSTNESS,
    Run,
    SliceFigure,
    read_run,
)
from explicate_standards.outcomes.measures import MEASURES

_LEAST_ROWS = 20  # of a slice, as of those that training tells
_PREFIX = f"{ROBUSTNESS}."


def read_entry(directory: Path) -> Run:
    """A run, or a bundle.

    Raises:
        UsageError: it is neither; it names the file.
    """
    return read_bundle(directory) if (directory / MANIFEST_NAME).is_file() else read_run(directory)


def read_bundle(directory: Path) -> Run:
    """What a bundle has on record.

    Raises:
        UsageError: it is no whole bundle.
    """
    manifest, record = _read(directory)
    kind = kind_of(manifest)
    assert kind is not None, "a checked manifest is of a known kind"
    labels = tuple(manifest.class_labels) or (manifest.target_name,)
    data = manifest.test_rows_sha256 or f"data {manifest.provenance.data_sha256 or content_sha256(manifest)}"
    figures = [figure for figure in record.figures if isfinite(figure.bounds.value)] if record is not None else []
    files = {file.name: file.size_bytes for file in manifest.files}
    return Run(
        directory=directory,
        name=f"{manifest.model}/{manifest.version}",
        recipe=hashlib.sha256(content_sha256(manifest).encode()).hexdigest(),
        outcomes=None,
        group=(data, kind.predicts.name, labels, manifest.standard.sha256),
        rows=_rows(manifest, kind.reads.plural),
        explained={one.name: one.value for metric in manifest.interpretability.metrics for one in metric.figures},
        train_s=None,
        size_bytes=files.get(GRAPH_NAME, 0),
        objective=kind.predicts,
        labels=labels,
        reports=tuple(directory / name for name in ("report.html", MODEL_CARD_NAME) if name in files),
        recorded=dict(_recorded(manifest)),
        slices=tuple(_slices(figures)),
        figures=dict(_figures(figures, manifest)),
        verdict=manifest.standard.verdict,
    )


def whole_bundle(directory: Path) -> bundle_pb2.Bundle:
    """The manifest of a version's folder in a repository, its files checked by their digests.

    Raises:
        UsageError: it is not the folder of a version, or not whole.
    """
    try:
        version = int(directory.name)
    except ValueError:
        raise UsageError(f"{directory} is not the folder of a version, such as repository/credit/2") from None
    try:
        return check_bundle(directory, model=directory.parent.name, version=version).manifest
    except BundleError as error:
        raise UsageError(f"{directory} is not a whole bundle: {error}") from None


def _read(directory: Path) -> tuple[bundle_pb2.Bundle, StandardRecord | None]:
    manifest = whole_bundle(directory)
    try:
        return manifest, read_record(directory, manifest)
    except BundleError as error:
        raise UsageError(f"{directory} is not a whole bundle: {error}") from None


def _rows(manifest: bundle_pb2.Bundle, plural: str) -> int:
    """How many test rows its metrics are of; 0 where it does not say."""
    known = (manifest.metrics.get(plural), manifest.metrics.get("rows"), manifest.verdict.rows, manifest.standard.rows)
    return int(next((rows for rows in known if rows), 0))


def _recorded(manifest: bundle_pb2.Bundle) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """The metrics that are measured here by the same definition."""
    for name, ends in manifest.metric_intervals.items():
        if name in MEASURES and name != CALIBRATION_ERROR and name in manifest.metrics:
            yield name, (manifest.metrics[name], ends.lower, ends.upper)


def _slices(figures: list[RecordedFigure]) -> Iterator[SliceFigure]:
    for figure in figures:
        if figure.slice and set(figure.identity) == {"metric"} and figure.bounds.rows >= _LEAST_ROWS:
            yield SliceFigure(str(figure.identity["metric"]), figure.slice, figure.bounds.value)


def _figures(figures: list[RecordedFigure], manifest: bundle_pb2.Bundle) -> Iterator[tuple[str, float]]:
    whole = [figure for figure in figures if not figure.slice]
    for figure in whole:
        if figure.identity == {"metric": CALIBRATION_ERROR}:
            yield CALIBRATION, figure.bounds.value
        if str(figure.identity.get("metric", "")) == LATENCY:
            yield LATENCY, figure.bounds.value
    if shares := [share for figure in whole if (share := _right_when_disturbed(figure, manifest)) is not None]:
        yield ROBUSTNESS, min(shares)


def _right_when_disturbed(figure: RecordedFigure, manifest: bundle_pb2.Bundle) -> float | None:
    """The share of right answers to disturbed inputs; a figure with a ratio is what it is above that of whole ones."""
    if not str(figure.identity.get("metric", "")).startswith(_PREFIX):
        return None
    ratio = figure.identity.get("ratio")
    if ratio is None:
        return figure.bounds.value
    accuracy = manifest.metrics.get("accuracy")
    return None if accuracy is None else figure.bounds.value + float(ratio) * accuracy
