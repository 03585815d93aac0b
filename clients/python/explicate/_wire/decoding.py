"""From protobuf answers to the dataclasses of `explicate.results` and `explicate.explanation`.

An enum value or a oneof that this client does not know, from a newer server, becomes its number as a string or an
empty field; it never raises.

From the answers of ModelService to the dataclasses of `explicate.model_info`.

Like `explicate._wire.decoding`, it never raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from explicate import model_info, results
from explicate import results as explanation
from explicate._wire import encoding as option_messages
from explicate._wire.enum_names import (
    COLUMN_TYPES,
    GRANULARITIES,
    MASKINGS,
    MODEL_KINDS,
    MODEL_STATES,
    STOP_REASONS,
    name_of,
)
from explicate.inputs import CellValue, Image, Input
from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb
from explicate.v1 import table_pb2 as table_pb


def model_statuses(response: model_pb.ListModelsResponse) -> tuple[model_info.ModelStatus, ...]:
    """The answer of ListModels."""
    return tuple(model_status(status) for status in response.models)


def model_description(response: model_pb.GetModelResponse) -> model_info.ModelDescription:
    """The answer of GetModel."""
    limits = response.limits
    return model_info.ModelDescription(
        status=model_status(response.status),
        class_labels=tuple(response.bundle.class_labels),
        max_tokens=response.bundle.text.max_tokens,
        precision=response.bundle.precision,
        metrics=dict(response.bundle.metrics),
        methods=tuple(response.methods),
        granularities=tuple(name_of(GRANULARITIES, value) for value in response.granularities),
        maskings=tuple(name_of(MASKINGS, value) for value in response.maskings),
        limits=model_info.ServingLimits(
            max_inputs=limits.max_inputs,
            max_text_bytes=limits.max_text_bytes,
            max_evaluations=limits.max_evaluations,
            max_call_s=limits.max_call_seconds,
            max_evaluations_per_caller=limits.max_evaluations_per_caller,
            max_image_bytes=limits.max_image_bytes,
            max_image_pixels=limits.max_image_pixels,
        ),
        base_model=response.bundle.provenance.base_model,
        model_card=response.model_card,
        runtimes=tuple(_runtime_trial(trial) for trial in response.runtimes),
        columns=tuple(_column(column) for column in response.bundle.tabular.columns),
        background_rows=response.bundle.tabular.background_rows,
        target_name=response.bundle.target_name,
        pairs=response.bundle.text.pairs,
        image_width=response.bundle.image.width,
        image_height=response.bundle.image.height,
        patch_size=response.bundle.image.patch_size,
        labels=tuple(
            model_info.ModelLabel(label.label, label.version, label.previous_version or None)
            for label in response.labels
        ),
        traffic=traffic(response.traffic),
        shadow=_shadow_report(response.shadow) if response.HasField("shadow") else None,
    )


def traffic(shares: model_pb.Traffic) -> model_info.Traffic:
    """What the canary gets."""
    return model_info.Traffic(shares.canary_share, shares.shadow_share)


def switched(
    response: model_pb.ActivateVersionResponse | model_pb.RollbackModelResponse,
) -> model_info.Switched:
    """The answer of ActivateVersion or RollbackModel."""
    return model_info.Switched(model_status(response.status), response.previous_version or None)


def changes(response: model_pb.WatchModelsResponse) -> model_info.ModelChanges:
    """One answer of WatchModels."""
    return model_info.ModelChanges(tuple(map(model_status, response.models)), response.snapshot)


def _shadow_report(report: model_pb.ShadowReport) -> model_info.ShadowReport:
    return model_info.ShadowReport(
        live_version=report.live_version,
        canary_version=report.canary_version,
        predictions=report.predictions,
        same_outcome=report.same_outcome if report.HasField("same_outcome") else None,
        mean_absolute_difference=report.mean_absolute_difference
        if report.HasField("mean_absolute_difference")
        else None,
        attributions=report.attributions,
        mean_spearman=report.mean_spearman if report.HasField("mean_spearman") else None,
        dropped=report.dropped,
        failed=report.failed,
        last_failure=report.last_failure,
    )


def _column(column: bundle_pb.ColumnSchema) -> model_info.Column:
    return model_info.Column(
        name=column.name,
        type=name_of(COLUMN_TYPES, column.type),
        categories=tuple(column.categories),
        group=column.group,
        may_be_missing=column.may_be_missing,
    )


def model_status(status: model_pb.ModelStatus) -> model_info.ModelStatus:
    """The state of a version."""
    return model_info.ModelStatus(
        model=status.model,
        version=status.version,
        state=name_of(MODEL_STATES, status.state),
        labels=tuple(status.labels),
        reason=status.reason,
        kind=name_of(MODEL_KINDS, status.kind),
        bundle_digest=status.bundle_digest,
        runtime=status.runtime,
        precision=status.precision,
        leases=status.leases,
        graph_bytes=status.graph_bytes,
        previous_of=tuple(status.previous_of),
    )


def _runtime_trial(trial: model_pb.RuntimeTrial) -> model_info.RuntimeTrial:
    return model_info.RuntimeTrial(
        runtime=trial.runtime,
        precision=trial.precision,
        passed=trial.passed,
        reason=trial.reason,
        logit_difference=trial.logit_difference if trial.HasField("logit_difference") else None,
        attribution_difference=trial.attribution_difference if trial.HasField("attribution_difference") else None,
        row_s=trial.seconds_per_row if trial.HasField("seconds_per_row") else None,
    )


def predict_result(response: inference_pb.PredictResponse) -> results.PredictResult:
    """The answer of Predict."""
    return results.PredictResult(
        predictions=tuple(_prediction(prediction) for prediction in response.predictions),
        model=_model_version(response.model),
        timing=_timing(response.timing),
    )


def packed_result(response: inference_pb.PredictResponse) -> results.PackedResult:
    """The answer of Predict for a table."""
    packed = response.packed
    classes, scores = len(packed.class_labels), tuple(packed.scores)
    rows = range(0, len(scores), classes) if classes else ()
    return results.PackedResult(
        class_labels=tuple(packed.class_labels),
        probabilities=tuple(scores[start : start + classes] for start in rows),
        values=() if classes else scores,
        unknown_category_columns=tuple(packed.unknown_category_columns),
        model=_model_version(response.model),
        timing=_timing(response.timing),
    )


def explain_result(
    value: Input, response: inference_pb.ExplainResponse | inference_pb.StreamExplainResponse
) -> results.ExplainResult:
    """The answer of Explain, or one of those of StreamExplain, for what was asked about."""
    text, text_pair = value if isinstance(value, tuple) else (value, None)
    return results.ExplainResult(
        text=text if isinstance(text, str) else "",
        text_pair=text_pair,
        row=dict(value) if isinstance(value, Mapping) else None,
        image=value if isinstance(value, Image) else None,
        prediction=_prediction(response.prediction),
        explanation=_explanation(response.explanation),
        model=_model_version(response.model),
        timing=_timing(response.timing),
        final=response.final if isinstance(response, inference_pb.StreamExplainResponse) else True,
    )


def _model_version(version: inference_pb.ModelVersion) -> results.ModelVersion:
    return results.ModelVersion(
        version.model, version.version, version.bundle_digest, version.runtime, version.precision
    )


def _timing(timing: inference_pb.Timing) -> results.Timing:
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
        text_usage=_text_usage(prediction.text_usage) if prediction.HasField("text_usage") else None,
        value=prediction.regression.value if prediction.HasField("regression") else None,
        unknown_category_columns=tuple(prediction.unknown_category_columns),
        image_usage=_image_usage(prediction.image_usage) if prediction.HasField("image_usage") else None,
    )


def _scores(scores: Iterable[inference_pb.ClassScore]) -> tuple[results.ClassScore, ...]:
    return tuple(results.ClassScore(score.index, score.label, score.probability, score.logit) for score in scores)


def _text_usage(usage: inference_pb.TextUsage) -> results.TextUsage:
    return results.TextUsage(
        tokens=usage.tokens,
        tokens_used=usage.tokens_used,
        truncated=usage.truncated,
        characters_used=usage.characters_used,
        pair_characters_used=usage.pair_characters_used if usage.HasField("pair_characters_used") else None,
    )


def _image_usage(usage: inference_pb.ImageUsage) -> results.ImageUsage:
    return results.ImageUsage(
        width=usage.width,
        height=usage.height,
        left=usage.left,
        top=usage.top,
        right=usage.right,
        bottom=usage.bottom,
        frames=usage.frames,
    )


def _explanation(message: explanation_pb.Explanation) -> explanation.Explanation:
    return explanation.Explanation(
        features=tuple(_feature(feature) for feature in message.features),
        attributions=tuple(_attribution(attribution) for attribution in message.attributions),
        quality=_quality(message.quality),
        evaluations=message.evaluations,
        reused_evaluations=message.reused_evaluations,
        rounds=message.rounds,
        stop_reason=name_of(STOP_REASONS, message.stop_reason),
        converged=message.converged,
        method_version=message.method_version,
        options=option_messages.from_message(message.options),
        segment_map=_segment_map(message.segment_map) if message.HasField("segment_map") else None,
    )


def _segment_map(message: explanation_pb.SegmentMap) -> explanation.SegmentMap:
    return explanation.SegmentMap(message.width, message.height, tuple(message.ids))


def _feature(feature: explanation_pb.Feature) -> explanation.Feature:
    spans = tuple(explanation.Span(span.start, span.end) for span in feature.text.spans)
    values = {column.column: _cell_value(column.value) for column in feature.column.columns}
    return explanation.Feature(
        text=feature.text.text,
        spans=spans,
        column=feature.column.name,
        values=values,
        in_pair=feature.text.in_pair,
        segment=_segment(feature.segment) if feature.HasField("segment") else None,
    )


def _segment(segment: explanation_pb.SegmentFeature) -> explanation.ImageSegment:
    return explanation.ImageSegment(
        id=segment.id,
        pixels=segment.pixels,
        left=segment.left,
        top=segment.top,
        right=segment.right,
        bottom=segment.bottom,
    )


def _cell_value(cell: table_pb.Cell) -> CellValue:
    match cell.WhichOneof("kind"):
        case "number":
            return cell.number
        case "category":
            return cell.category
        case _:
            return None


def _attribution(attribution: explanation_pb.Attribution) -> explanation.Attribution:
    contrast = attribution.HasField("reference_index")
    return explanation.Attribution(
        class_index=attribution.class_index,
        class_label=attribution.class_label,
        baseline_value=attribution.baseline_value,
        instance_value=attribution.instance_value,
        values=tuple(attribution.values),
        standard_errors=tuple(attribution.standard_errors),
        lower=tuple(attribution.lower),
        upper=tuple(attribution.upper),
        reference_index=attribution.reference_index if contrast else None,
        reference_label=attribution.reference_label if contrast else None,
    )


def _quality(quality: explanation_pb.Quality) -> explanation.Quality:
    return explanation.Quality(
        additivity_gap=quality.additivity_gap if quality.HasField("additivity_gap") else None,
        held_out_r_squared=quality.held_out_r_squared if quality.HasField("held_out_r_squared") else None,
        split_half_spearman=quality.split_half_spearman if quality.HasField("split_half_spearman") else None,
        infidelity=quality.infidelity if quality.HasField("infidelity") else None,
        largest_interval_ratio=quality.largest_interval_ratio if quality.HasField("largest_interval_ratio") else None,
        certain_top_k=quality.certain_top_k if quality.HasField("certain_top_k") else None,
        comprehensiveness=_fall(quality.comprehensiveness) if quality.HasField("comprehensiveness") else None,
        sufficiency=_fall(quality.sufficiency) if quality.HasField("sufficiency") else None,
    )


def _fall(fall: explanation_pb.Faithfulness) -> explanation.Faithfulness:
    return explanation.Faithfulness(value=fall.value, random=fall.random)
