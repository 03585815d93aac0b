"""From protobuf answers to the dataclasses of `explicate.results` and `explicate.model_info`.

An enum value or a oneof that this client does not know, from a newer server, becomes its number as a string or an
empty field; it never raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import calcsize, unpack
from typing import Literal

from explicate import model_info, results
from explicate._wire import option_fields
from explicate._wire.change_fields import cell_value, found_change
from explicate._wire.option_fields import copied, name_of
from explicate.described import decisions, interaction, plots, standards, text_sections, usage
from explicate.described.compared_with import BaselineGroup, BaselineUsed
from explicate.described.trust import Faithfulness, Quality
from explicate.inputs import Image, Input
from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb
from explicate.v1 import text_section_pb2 as text_section_pb

# How struct reads the ids of a segment map.
_ID_FORMATS = {
    explanation_pb.SEGMENT_ID_ENCODING_UINT16_LITTLE_ENDIAN: "H",
    explanation_pb.SEGMENT_ID_ENCODING_UINT32_LITTLE_ENDIAN: "I",
}


def model_statuses(response: model_pb.ListModelsResponse) -> tuple[model_info.ModelStatus, ...]:
    """The answer of ListModels."""
    return tuple(model_status(status) for status in response.models)


def model_description(response: model_pb.GetModelResponse) -> model_info.ModelDescription:
    """The answer of GetModel."""
    bundle, limits = response.bundle, response.limits
    return model_info.ModelDescription(
        status=model_status(response.status),
        class_labels=tuple(bundle.class_labels),
        max_tokens=bundle.text.max_tokens,
        precision=bundle.precision,
        metrics=dict(bundle.metrics),
        methods=tuple(response.methods),
        granularities=tuple(name_of(explanation_pb.Granularity, value) for value in response.granularities),
        maskings=tuple(name_of(explanation_pb.Masking, value) for value in response.maskings),
        limits=copied(model_info.ServingLimits, limits, max_call_s=limits.max_call_seconds),
        base_model=bundle.provenance.base_model,
        baselines=tuple(copied(BaselineGroup, group) for group in bundle.tabular.baselines),
        model_card=response.model_card,
        runtimes=tuple(_runtime_trial(trial) for trial in response.runtimes),
        devices=tuple(copied(model_info.ModelDevice, device) for device in response.devices),
        device_reason=response.device_reason,
        columns=tuple(_columns(response)),
        background_rows=bundle.tabular.background_rows,
        target_name=bundle.target_name,
        pairs=bundle.text.pairs,
        image_width=bundle.image.width,
        image_height=bundle.image.height,
        patch_size=bundle.image.patch_size,
        labels=tuple(copied(model_info.ModelLabel, label) for label in response.labels),
        traffic=traffic(response.traffic),
        shadow=copied(model_info.ShadowReport, response.shadow) if response.HasField("shadow") else None,
        verdict=_verdict(bundle.verdict) if bundle.HasField("verdict") else None,
        metric_intervals={name: (ends.lower, ends.upper) for name, ends in bundle.metric_intervals.items()},
        logit_offsets=tuple(bundle.logit_offsets),
        variants=tuple(_variants(bundle)),
        interpretability=_interpretability(bundle.interpretability) if bundle.HasField("interpretability") else None,
        standard=_standard(bundle.standard) if bundle.HasField("standard") else None,
        required_standard=_required(response.required_standard) if response.HasField("required_standard") else None,
        decision=_decision(bundle.decision) if bundle.HasField("decision") else None,
        temperature=bundle.temperature if bundle.HasField("temperature") else None,
    )


def traffic(shares: model_pb.Traffic) -> model_info.Traffic:
    """What the canary gets."""
    return copied(model_info.Traffic, shares)


def switched(
    response: model_pb.ActivateVersionResponse | model_pb.RollbackModelResponse,
) -> model_info.Switched:
    """The answer of ActivateVersion or RollbackModel."""
    return model_info.Switched(model_status(response.status), response.previous_version or None)


def changes(response: model_pb.WatchModelsResponse) -> model_info.ModelChanges:
    """One answer of WatchModels."""
    return model_info.ModelChanges(tuple(map(model_status, response.models)), response.snapshot)


def _standard(verdict: bundle_pb.StandardVerdict) -> standards.StandardVerdict:
    return copied(standards.StandardVerdict, verdict, waivers=tuple(map(_waiver, verdict.waivers)))


def _waiver(waiver: bundle_pb.StandardWaiver) -> standards.StandardWaiver:
    return copied(standards.StandardWaiver, waiver)


def _required(required: model_pb.RequiredStandard) -> standards.RequiredStandard:
    unmet = tuple(
        copied(standards.UnmetRequirement, one, waiver=_waiver(one.waiver) if one.HasField("waiver") else None)
        for one in required.unmet
    )
    given, scored = required.HasField("override"), required.HasField("recheck")
    return copied(
        standards.RequiredStandard,
        required,
        unmet=unmet,
        override=copied(standards.StandardOverride, required.override) if given else None,
        recheck=copied(standards.StandardRecheck, required.recheck) if scored else None,
    )


def _decision(rule: bundle_pb.DecisionRule) -> decisions.DecisionRule:
    thresholds = tuple(copied(decisions.DecisionThreshold, one) for one in rule.thresholds)
    return decisions.DecisionRule(thresholds, tuple(rule.costs), rule.rows)


def _verdict(verdict: bundle_pb.Verdict) -> model_info.Verdict:
    rivals = tuple(
        copied(
            model_info.Rival,
            rival,
            interval=_ends(rival, "interval"),
            difference_interval=_ends(rival, "difference_interval"),
        )
        for rival in verdict.rivals
    )
    return copied(model_info.Verdict, verdict, rivals=rivals, interval=_ends(verdict, "interval"))


def _interpretability(measured: bundle_pb.Interpretability) -> model_info.Interpretability:
    return copied(model_info.Interpretability, measured, metrics=tuple(map(_interpretability_metric, measured.metrics)))


def _interpretability_metric(metric: bundle_pb.InterpretabilityMetric) -> model_info.InterpretabilityMetric:
    figures = tuple(
        copied(model_info.InterpretabilityFigure, one, interval=(one.interval.lower, one.interval.upper))
        for one in metric.figures
    )
    return copied(model_info.InterpretabilityMetric, metric, figures=figures, plots=tuple(map(_plot, metric.plots)))


def _plot(plot: bundle_pb.InterpretabilityPlot) -> plots.InterpretabilityPlot:
    return copied(
        plots.InterpretabilityPlot,
        plot,
        lines=tuple(copied(plots.PlotLine, one, points=tuple(map(_plot_point, one.points))) for one in plot.lines),
        bins=tuple(copied(plots.PlotBin, one) for one in plot.bins),
        marks=tuple(copied(plots.PlotMark, one) for one in plot.marks),
    )


def _plot_point(point: bundle_pb.PlotPoint) -> plots.PlotPoint:
    return copied(plots.PlotPoint, point, interval=(point.interval.lower, point.interval.upper))


def _ends(
    message: bundle_pb.Verdict | bundle_pb.Rival, name: Literal["interval", "difference_interval"]
) -> tuple[float, float] | None:
    ends: bundle_pb.Interval = getattr(message, name)
    return (ends.lower, ends.upper) if message.HasField(name) else None  # type: ignore[arg-type]  # a field's name


def _columns(response: model_pb.GetModelResponse) -> Iterable[model_info.Column]:
    schema, typical = response.bundle.tabular, response.typical_values
    for column in schema.columns:
        yield copied(
            model_info.Column,
            column,
            type=name_of(bundle_pb.ColumnType, column.type),
            written=_written(column),
            missing_words=(*schema.missing_words, *column.missing_words),
            typical=cell_value(typical[column.name]) if column.name in typical else None,
        )


_DATES = {
    bundle_pb.DATE_ORDER_YEAR_FIRST: "2020-12-31",
    bundle_pb.DATE_ORDER_DAY_FIRST: "31.12.2020",
    bundle_pb.DATE_ORDER_MONTH_FIRST: "12/31/2020",
}


def _written(column: bundle_pb.ColumnSchema) -> str:
    """How texts of a number or a date are read, by an example; empty for numbers as programs write them."""
    if column.HasField("date_notation"):
        return _DATES.get(column.date_notation.order, "") + (" 23:59" if column.date_notation.time else "")
    if not column.HasField("number_notation"):
        return ""
    notation = column.number_notation
    return f"1{notation.thousands}234{notation.decimal or '.'}5 {notation.unit}".strip()


def model_status(status: model_pb.ModelStatus) -> model_info.ModelStatus:
    """The state of a version."""
    kind = (name_of(bundle_pb.InputKind, status.input_kind), name_of(bundle_pb.Objective, status.objective))
    return copied(
        model_info.ModelStatus,
        status,
        state=name_of(model_pb.ModelState, status.state),
        kind="-".join(filter(None, kind)),
    )


def _variants(bundle: bundle_pb.Bundle) -> Iterable[model_info.ModelVariant]:
    sizes = {file.name: file.size_bytes for file in bundle.files}
    for variant in bundle.variants:
        yield copied(model_info.ModelVariant, variant, size_bytes=sizes.get(variant.file, 0))


def _runtime_trial(trial: model_pb.RuntimeTrial) -> model_info.RuntimeTrial:
    row_s = trial.seconds_per_row if trial.HasField("seconds_per_row") else None
    return copied(model_info.RuntimeTrial, trial, row_s=row_s)


def predict_result(response: inference_pb.PredictResponse) -> results.PredictResult:
    """The answer of Predict."""
    return results.PredictResult(
        predictions=tuple(_prediction(prediction) for prediction in response.predictions),
        model=model_version(response.model),
        timing=timing(response.timing),
    )


def packed_result(response: inference_pb.PredictResponse) -> results.PackedResult:
    """The answer of Predict for a table."""
    return packed_predictions(response.packed, response.model, response.timing)


def packed_predictions(
    packed: inference_pb.PackedPredictions, model: inference_pb.ModelVersion, times: inference_pb.Timing
) -> results.PackedResult:
    """Packed predictions, with what made them and the time of the call."""
    classes, scores = len(packed.class_labels), tuple(packed.scores)
    rows = range(0, len(scores), classes) if classes else ()
    return results.PackedResult(
        class_labels=tuple(packed.class_labels),
        probabilities=tuple(scores[start : start + classes] for start in rows),
        values=() if classes else scores,
        unknown_category_columns=tuple(packed.unknown_category_columns),
        model=model_version(model),
        timing=timing(times),
        predicted=tuple(packed.predicted_indices),
        thresholds=tuple(packed.thresholds),
    )


class ExplainAnswers:
    """The answer of Explain, or one after the other those of StreamExplain, for what was asked about.

    An answer of a stream leaves out the features and the segment map that the one before it had; here each has them.
    """

    def __init__(self, value: Input, baseline: Input | None = None) -> None:
        """For what was asked about, and the baseline that was asked for."""
        self._value = value
        self._baseline = baseline
        self._features: tuple[results.Feature, ...] = ()
        self._fixed: tuple[results.Feature, ...] = ()
        self._segment_map: results.SegmentMap | None = None

    def __call__(
        self, response: inference_pb.ExplainResponse | inference_pb.StreamExplainResponse
    ) -> results.ExplainResult:
        """The next answer."""
        value, result = self._value, response.result
        text, text_pair = value if isinstance(value, tuple) else (value, None)
        return results.ExplainResult(
            text=text if isinstance(text, str) else "",
            text_pair=text_pair,
            row=dict(value) if isinstance(value, Mapping) else None,
            image=value if isinstance(value, Image) else None,
            prediction=_prediction(result.prediction),
            explanation=self._explanation(result.explanation),
            model=model_version(result.model),
            timing=timing(result.timing),
            final=response.final if isinstance(response, inference_pb.StreamExplainResponse) else True,
        )

    def _explanation(self, message: explanation_pb.Explanation) -> results.Explanation:
        if message.features:
            self._features = tuple(map(_feature, message.features))
            self._fixed = tuple(map(_feature, message.fixed))
            self._segment_map = _segment_map(message.segment_map) if message.HasField("segment_map") else None
        return copied(
            results.Explanation,
            message,
            features=self._features,
            fixed=self._fixed,
            attributions=tuple(_attribution(each) for each in message.attributions),
            quality=_quality(message.quality),
            stop_reason=name_of(explanation_pb.StopReason, message.stop_reason),
            options=option_fields.from_message(message.options, self._baseline),
            baseline=copied(BaselineUsed, message.baseline) if message.HasField("baseline") else None,
            segment_map=self._segment_map,
            change=found_change(message),
            sections=tuple(_section(each) for each in message.sections),
        )


def _attribution(message: explanation_pb.Attribution) -> results.Attribution:
    pairs = tuple(copied(interaction.Interaction, pair) for pair in message.interactions)
    return copied(results.Attribution, message, interactions=pairs)


def _section(message: text_section_pb.TextSection) -> text_sections.TextSection:
    values = tuple(copied(text_sections.SectionValue, each) for each in message.values)
    return copied(text_sections.TextSection, message, values=values)


def model_version(version: inference_pb.ModelVersion) -> results.ModelVersion:
    """What answered."""
    return copied(results.ModelVersion, version)


def timing(timing: inference_pb.Timing) -> results.Timing:
    """Where the time of a call went."""
    return results.Timing(
        queue_s=timing.queue_seconds,
        preprocessing_s=timing.preprocessing_seconds,
        model_s=timing.model_seconds,
        solver_s=timing.solver_seconds,
        total_s=timing.total_seconds,
    )


def _prediction(prediction: inference_pb.Prediction) -> results.Prediction:
    outcome, several = prediction.classification, prediction.multi_label
    return results.Prediction(
        index=outcome.predicted_index if outcome.scores else None,
        label=outcome.predicted_label,
        scores=_scores(several.scores if prediction.HasField("multi_label") else outcome.scores),
        labels=tuple(several.predicted_labels) if prediction.HasField("multi_label") else None,
        text_usage=copied(usage.TextUsage, prediction.text_usage) if prediction.HasField("text_usage") else None,
        value=prediction.regression.value if prediction.HasField("regression") else None,
        unknown_category_columns=tuple(prediction.unknown_category_columns),
        image_usage=copied(usage.ImageUsage, prediction.image_usage) if prediction.HasField("image_usage") else None,
    )


def _scores(scores: Iterable[inference_pb.ClassScore]) -> tuple[results.ClassScore, ...]:
    return tuple(copied(results.ClassScore, score) for score in scores)


def _segment_map(message: explanation_pb.SegmentMap) -> results.SegmentMap:
    layout = f"<{message.width * message.height}{_ID_FORMATS.get(message.encoding, 'x')}"
    known = message.encoding in _ID_FORMATS and calcsize(layout) == len(message.ids)
    return results.SegmentMap(message.width, message.height, unpack(layout, message.ids) if known else ())


def _feature(feature: explanation_pb.Feature) -> results.Feature:
    spans = tuple(results.Span(span.start, span.end) for span in feature.text.spans)
    values = {column.column: cell_value(column.value) for column in feature.column.columns}
    return results.Feature(
        text=feature.text.text,
        spans=spans,
        column=feature.column.name,
        values=values,
        in_pair=feature.text.in_pair,
        instead=feature.text.instead if feature.text.HasField("instead") else None,
        segment=copied(results.ImageSegment, feature.segment) if feature.HasField("segment") else None,
        group=feature.group.name,
        members=tuple(map(_feature, feature.group.members)),
    )


def _quality(quality: explanation_pb.Quality) -> Quality:
    return copied(
        Quality,
        quality,
        comprehensiveness=_fall(quality.comprehensiveness) if quality.HasField("comprehensiveness") else None,
        sufficiency=_fall(quality.sufficiency) if quality.HasField("sufficiency") else None,
    )


def _fall(fall: explanation_pb.Faithfulness) -> Faithfulness:
    return copied(Faithfulness, fall)
