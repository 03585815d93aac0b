"""An evaluation for people, for programs, and for the bundle: a table with a sentence a metric, JSON, and a message."""

from collections.abc import Iterator
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate.views import tables
from explicate_standards.evaluation import Evaluation, MetricResult, described
from explicate_standards.metric import Figure
from explicate_standards.plots.evaluation_plots import Plot, plots

_HEADER = ("METRIC", "VALUE", "95 % INTERVAL", "INPUTS")


def as_table(evaluation: Evaluation) -> str:
    """The figures with their intervals, and under them what each metric says."""
    lines = [line for result in evaluation.results for line in _lines(result)]
    said = [f"{result.metric.id}: {result.sentence}" for result in evaluation.results]
    manifest, what = evaluation.model.bundle.manifest, evaluation.model.kind.reads.plural
    title = f"{manifest.model} version {manifest.version}, {len(evaluation.rows.inputs):,} held-out {what}"
    return "\n".join([title, "", tables.table(_HEADER, lines, right=(1, 3)), "", *said])


def _lines(result: MetricResult) -> Iterator[tuple[str, str, str, str]]:
    if result.missing:
        yield result.metric.id, "–", "not measured", ""
    for figure in result.figures.values():
        ends = f"[{_number(figure.lower)}, {_number(figure.upper)}]"
        yield figure.name, _number(figure.value), ends, str(figure.inputs)


def _number(value: float) -> str:
    return f"{value:.3f}"


def as_document(evaluation: Evaluation) -> dict[str, Any]:
    """All of it as JSON has it; without times, so that the same evaluation gives the same bytes."""
    manifest, key = evaluation.model.bundle.manifest, described(evaluation.model, evaluation.rows)
    return {
        "model": manifest.model,
        "version": manifest.version,
        **key,
        "inputs": len(evaluation.rows.inputs),
        "confidence": evaluation.confidence,
        "metrics": [_metric(result) for result in evaluation.results],
        "measured": [
            {"line": row.place, **of_input}
            for row, of_input in zip(evaluation.rows.inputs, evaluation.measured, strict=True)
        ],
    }


def _metric(result: MetricResult) -> dict[str, Any]:
    told: dict[str, Any] = {"id": result.metric.id, "title": result.metric.title}
    if result.missing:
        return {**told, "missing": result.missing}
    return {**told, "sentence": result.sentence, "figures": {one.name: _figure(one) for one in result.figures.values()}}


def _figure(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "lower": figure.lower, "upper": figure.upper, "inputs": figure.inputs}


def as_message(evaluation: Evaluation) -> bundle_pb2.Interpretability:
    """What a manifest says of it."""
    key, plotted = described(evaluation.model, evaluation.rows), plots(evaluation)
    return bundle_pb2.Interpretability(
        metrics=[_metric_message(result, plotted.get(result.metric.id, [])) for result in evaluation.results],
        inputs=len(evaluation.rows.inputs),
        rows_sha256=key["rows_sha256"],
        seed=key["seed"],
        confidence=evaluation.confidence,
        evaluator_version=key["evaluator_version"],
        runtime=f"{key['runtime']} {key['precision']}",
    )


def _metric_message(result: MetricResult, plotted: list[Plot]) -> bundle_pb2.InterpretabilityMetric:
    return bundle_pb2.InterpretabilityMetric(
        id=result.metric.id,
        title=result.metric.title,
        sentence="" if result.missing else result.sentence,
        missing=result.missing,
        figures=[
            bundle_pb2.InterpretabilityFigure(
                name=figure.name,
                value=figure.value,
                interval=bundle_pb2.Interval(lower=figure.lower, upper=figure.upper),
                inputs=figure.inputs,
            )
            for figure in result.figures.values()
        ],
        plots=[] if result.missing else plotted,
    )
