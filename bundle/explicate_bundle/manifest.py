"""What a manifest must say, as a list of checks: of a bundle that is loaded, and of one that is to be published."""

import re
from collections.abc import Iterator
from math import isfinite

from explicate.v1 import bundle_pb2
from explicate_bundle.input_kind import INPUT_KINDS, ModelKind, kind_of
from explicate_bundle.kinds.kind import Check
from explicate_bundle.outcomes.decision_rule import decision_checks
from explicate_bundle.writing import FORMAT_VERSION, GOLDEN_NAME, GRAPH_NAME, VARIANT_PRECISIONS, variant_name

MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""The rule that bundle.proto states for Bundle.model."""
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_CLASSES = 10_000
_MAX_EVALUATIONS_PER_PLAYER = 1024
_MAX_SEGMENTS = 1024
_MAX_PLOTS = 8  # of a metric, and lines and marks of a plot
_MAX_POINTS = 100  # of a line, and bins of a histogram


def checks(manifest: bundle_pb2.Bundle, *, model: str, version: int) -> Iterator[Check]:
    """All that must hold, in an order in which each may rely on those before it."""
    yield (
        manifest.format_version == FORMAT_VERSION,
        f"format_version is {manifest.format_version}, not {FORMAT_VERSION}",
    )
    yield manifest.model == model, f"model is {manifest.model!r}, its folder says {model!r}"
    yield manifest.version == version, f"version is {manifest.version}, its folder says {version}"
    kind = kind_of(manifest)
    yield kind is not None, f"input_kind {manifest.input_kind} with objective {manifest.objective} is not known"
    assert kind is not None
    yield from _output_checks(manifest, kind)
    yield from _decision_checks(manifest, kind)
    for other in INPUT_KINDS.values():
        fits = other is kind.reads or not manifest.HasField(other.field)  # type: ignore[arg-type]  # a field's name
        yield fits, f"{other.field} is set, but the model reads {kind.reads.plural}"
    yield manifest.golden_tolerance > 0, "golden_tolerance is not above 0"
    yield manifest.golden_reduced_tolerance >= 0, "golden_reduced_tolerance is below 0"
    yield from _attribution_checks(manifest, kind)
    yield from _interpretability_checks(manifest)
    yield from kind.reads.checks(manifest)
    yield from _file_checks(manifest, GRAPH_NAME, GOLDEN_NAME, *kind.reads.files(manifest))
    yield from _variant_checks(manifest)


def _output_checks(manifest: bundle_pb2.Bundle, kind: ModelKind) -> Iterator[Check]:
    labels, least = manifest.class_labels, kind.predicts.least_labels
    if not least:
        yield not labels, f"{len(labels)} class_labels of a {kind.predicts.name}"
        yield bool(manifest.target_name), "target_name is empty"
        return
    yield not manifest.target_name, "target_name is set, but the model predicts no number"
    yield least <= len(labels) <= _MAX_CLASSES, f"{len(labels)} class_labels"
    yield len(set(labels)) == len(labels), "class_labels repeat"


def _decision_checks(manifest: bundle_pb2.Bundle, kind: ModelKind) -> Iterator[Check]:
    if manifest.HasField("decision"):
        several = kind.predicts.answer == "labels"
        yield from decision_checks(manifest.decision, manifest.class_labels, several=several)
    if manifest.HasField("temperature"):
        scales = isfinite(manifest.temperature) and manifest.temperature > 0
        yield scales, f"temperature is {manifest.temperature}, not a number above 0"
        yield kind.predicts.answer != "value", "temperature is set, but the model predicts a number"


def _attribution_checks(manifest: bundle_pb2.Bundle, kind: ModelKind) -> Iterator[Check]:
    if manifest.HasField("golden_attributions"):
        recipe = manifest.golden_attributions
        yield recipe.tolerance > 0, "golden_attributions.tolerance is not above 0"
        rows = recipe.evaluations_per_player
        yield 1 <= rows <= _MAX_EVALUATIONS_PER_PLAYER, f"golden_attributions.evaluations_per_player is {rows}"
        fits = 2 <= recipe.segments <= _MAX_SEGMENTS if kind.reads.has_segments else not recipe.segments
        yield fits, f"golden_attributions.segments is {recipe.segments}"


def _interpretability_checks(manifest: bundle_pb2.Bundle) -> Iterator[Check]:
    for metric in manifest.interpretability.metrics:
        yield (
            bool(metric.figures) != bool(metric.missing),
            f"interpretability {metric.id!r} has neither figures nor why",
        )
        for figure in metric.figures:
            ends = figure.interval.lower, figure.interval.upper
            finite = all(map(isfinite, (figure.value, *ends))) and ends[0] <= ends[1]
            yield finite, f"interpretability {figure.name!r} is not a finite number in an interval"
        yield len(metric.plots) <= _MAX_PLOTS, f"interpretability {metric.id!r} has {len(metric.plots)} plots"
        for plot in metric.plots:
            yield from _plot_checks(plot)


def _plot_checks(plot: bundle_pb2.InterpretabilityPlot) -> Iterator[Check]:
    where = f"interpretability plot {plot.title[:100]!r}"
    yield bool(plot.lines) != bool(plot.bins), f"{where} has neither lines nor bins, or both"
    few = max(len(plot.lines), len(plot.marks)) <= _MAX_PLOTS and len(plot.bins) <= _MAX_POINTS
    yield few and all(0 < len(line.points) <= _MAX_POINTS for line in plot.lines), f"{where} has too much, or no points"
    points = [point for line in plot.lines for point in line.points]
    numbers = [number for point in points for number in (point.x, point.y, point.interval.lower, point.interval.upper)]
    numbers += [number for step in plot.bins for number in (step.lower, step.upper, step.count)]
    yield all(map(isfinite, [*numbers, *(mark.value for mark in plot.marks)])), f"{where} is not of finite numbers"
    ordered = all(point.interval.lower <= point.interval.upper for point in points)
    steps = all(step.lower < step.upper and step.count >= 0 for step in plot.bins)
    yield ordered and steps, f"{where} has an interval or a bin that is none"


def _file_checks(manifest: bundle_pb2.Bundle, *required: str) -> Iterator[Check]:
    names = [file.name for file in manifest.files]
    yield len(set(names)) == len(names), "files repeat"
    for name in required:
        yield name in names, f"files do not list {name}"
    for name in names:
        yield _FILE_NAME.fullmatch(name) is not None, f"files name {name!r}, which is not a plain file name"


def _variant_checks(manifest: bundle_pb2.Bundle) -> Iterator[Check]:
    """What must hold of the variants."""
    names = [file.name for file in manifest.files]
    precisions = [variant.precision for variant in manifest.variants]
    yield len(set(precisions)) == len(precisions), "precisions in variants repeat"
    golden = manifest.HasField("golden_attributions")
    yield golden or not manifest.variants, "variants are listed without golden_attributions to hold them to"
    for variant in manifest.variants:
        path = f"variants[{variant.precision}]"
        known = variant.precision in VARIANT_PRECISIONS and variant.precision != manifest.precision
        yield known, f"precision {variant.precision!r} in variants is not known, or is model.onnx's own"
        name = variant_name(variant.precision)
        yield variant.file == name, f"{path}.file is {variant.file!r}, not {name!r}"
        yield name in names, f"files do not list {name}, which variants do"
        for what in ("output", "attribution"):
            allowed, found = (getattr(variant, f"{what}_{part}") for part in ("tolerance", "difference"))
            yield isfinite(allowed) and allowed > 0, f"{path}.{what}_tolerance is {allowed}, not a number above 0"
            yield 0 <= found <= allowed, f"{path}.{what}_difference is {found}, and {allowed} is allowed"
        yield variant.ordered_pairs >= 0, f"{path}.ordered_pairs is {variant.ordered_pairs}"
