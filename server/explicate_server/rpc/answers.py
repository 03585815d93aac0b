"""Domain to answers: predictions, and what is known of a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2 as bundle_messages
from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import inference_service_pb2 as inference_messages
from explicate.v1 import model_service_pb2 as model_messages
from explicate.v1 import table_pb2 as table_messages
from explicate_bundle.inputs import CellValue
from explicate_server.explain.quality import Faithfulness, Quality
from explicate_server.inference.agreement import Comparison
from explicate_server.inference.explain_call import ExplainAnswer
from explicate_server.inference.explain_options import ClassName, ResolvedOptions, Target
from explicate_server.inference.predictor import PackedAnswer, PredictAnswer
from explicate_server.inference.timings import Timings
from explicate_server.modalities.modality import (
    ColumnPlayer,
    EncodedInput,
    ImageUsage,
    Player,
    SegmentPlayer,
    TextPlayer,
    TextUsage,
)
from explicate_server.registry.golden_check import Trial
from explicate_server.registry.label_store import Traffic
from explicate_server.registry.loading import graph_bytes
from explicate_server.registry.records import ModelEntry, ServedModel, VersionRecord
from explicate_server.rpc.enums import (
    GRANULARITIES,
    MASKINGS,
    OUTPUT_SPACES,
    QUALITY_LEVELS,
    STATES,
    STOP_REASONS,
    key_of,
)


def explanation(labels: Sequence[str], answer: ExplainAnswer) -> explanation_messages.Explanation:
    """An explanation; ``labels`` are those of the model's outputs."""
    estimate, reference = answer.attribution, answer.outputs.reference_index
    return explanation_messages.Explanation(
        features=[_feature(player) for player in answer.players],
        attributions=[
            explanation_messages.Attribution(
                class_index=index,
                class_label=labels[index],
                reference_index=reference,
                reference_label="" if reference is None else labels[reference],
                baseline_value=estimate.baseline[output],
                instance_value=answer.full[output],
                values=estimate.values[output],
                standard_errors=estimate.standard_errors[output],
                lower=estimate.lower[output],
                upper=estimate.upper[output],
            )
            for output, index in enumerate(answer.outputs.class_indices)
        ],
        quality=_quality(answer.quality),
        evaluations=answer.evaluations,
        rounds=answer.rounds,
        stop_reason=STOP_REASONS[answer.stop_reason],
        converged=answer.converged,
        method_version=answer.options.method.version,
        options=_resolved_options(answer.options),
        reused_evaluations=answer.reused_evaluations,
        segment_map=None if answer.segment_map is None else _segment_map(answer.segment_map),
    )


def _quality(quality: Quality) -> explanation_messages.Quality:
    return explanation_messages.Quality(
        additivity_gap=quality.additivity_gap,
        held_out_r_squared=quality.held_out_r_squared,
        split_half_spearman=quality.split_half_spearman,
        infidelity=quality.infidelity,
        largest_interval_ratio=quality.largest_interval_ratio,
        certain_top_k=quality.certain_top_k,
        comprehensiveness=_faithfulness(quality.comprehensiveness),
        sufficiency=_faithfulness(quality.sufficiency),
    )


def _faithfulness(figure: Faithfulness | None) -> explanation_messages.Faithfulness | None:
    return None if figure is None else explanation_messages.Faithfulness(value=figure.value, random=figure.random)


def _feature(player: Player) -> explanation_messages.Feature:
    match player:
        case TextPlayer(text, spans, in_pair):
            messages = [explanation_messages.TextSpan(start=start, end=end) for start, end in spans]
            feature = explanation_messages.TextFeature(text=text, spans=messages, in_pair=in_pair)
            return explanation_messages.Feature(text=feature)
        case ColumnPlayer(name, columns):
            values = [explanation_messages.ColumnValue(column=column, value=_cell(value)) for column, value in columns]
            return explanation_messages.Feature(column=explanation_messages.ColumnFeature(name=name, columns=values))
        case SegmentPlayer(number, pixels, (left, top, right, bottom)):
            segment = explanation_messages.SegmentFeature(
                id=number, pixels=pixels, left=left, top=top, right=right, bottom=bottom
            )
            return explanation_messages.Feature(segment=segment)


def _segment_map(segments: NDArray[np.intp]) -> explanation_messages.SegmentMap:
    height, width = segments.shape
    return explanation_messages.SegmentMap(width=width, height=height, ids=segments.ravel().tolist())


def _cell(value: CellValue) -> table_messages.Cell:
    if value is None:
        return table_messages.Cell(missing=True)
    return table_messages.Cell(category=value) if isinstance(value, str) else table_messages.Cell(number=value)


def _resolved_options(options: ResolvedOptions) -> explanation_messages.ExplainOptions:
    return explanation_messages.ExplainOptions(
        method=options.method.name,
        target=_target_message(options.target),
        output_space=key_of(OUTPUT_SPACES, options.output_space),
        granularity=key_of(GRANULARITIES, options.granularity),
        masking=key_of(MASKINGS, options.masking),
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
        confidence=options.confidence,
        time_limit_seconds=options.time_limit_s,
        seed=options.seed,
        top_k=options.top_k,
        quality=key_of(QUALITY_LEVELS, options.quality),
        max_players=options.max_players,
        segments=options.segments,
    )


def _target_message(target: Target) -> explanation_messages.Target:
    if target.all:
        return explanation_messages.Target(all=True)
    if target.contrast:
        sides = {"target": target.contrast.target, "reference": target.contrast.reference}
        selectors = {side: _class_selector(name) for side, name in sides.items()}
        return explanation_messages.Target(contrast=explanation_messages.Contrast(**selectors))
    if target.label is not None:
        return explanation_messages.Target(label=target.label)
    return explanation_messages.Target() if target.index is None else explanation_messages.Target(index=target.index)


def _class_selector(name: ClassName | None) -> explanation_messages.ClassSelector:
    if isinstance(name, str):
        return explanation_messages.ClassSelector(label=name)
    return explanation_messages.ClassSelector() if name is None else explanation_messages.ClassSelector(index=name)


def model_version(served: ServedModel) -> inference_messages.ModelVersion:
    """What answers."""
    manifest = served.bundle.manifest
    return inference_messages.ModelVersion(
        model=manifest.model,
        version=manifest.version,
        bundle_digest=served.bundle.digest,
        runtime=served.runtime.name,
        precision=served.runtime.precision,
    )


def predict_response(served: ServedModel, answer: PredictAnswer) -> inference_messages.PredictResponse:
    """The answer to a Predict of inputs."""
    scores = served.scales.scores(answer.answers)
    return inference_messages.PredictResponse(
        model=model_version(served),
        predictions=[
            _prediction(served, raw, row, encoded)
            for raw, row, encoded in zip(answer.answers.tolist(), scores.tolist(), answer.encoded, strict=True)
        ],
        timing=_timing(answer.timings),
    )


def packed_response(served: ServedModel, answer: PackedAnswer) -> inference_messages.PredictResponse:
    """The answer to a Predict of a table."""
    scores = served.scales.scores(answer.answers)
    return inference_messages.PredictResponse(
        model=model_version(served),
        packed=inference_messages.PackedPredictions(
            class_labels=served.bundle.manifest.class_labels,
            scores=scores.ravel().tolist(),
            unknown_category_columns=answer.unknown_category_columns,
        ),
        timing=_timing(answer.timings),
    )


def explain_response(served: ServedModel, answer: ExplainAnswer) -> inference_messages.ExplainResponse:
    """The answer to an Explain."""
    return inference_messages.ExplainResponse(**_explained(served, answer))


def stream_explain_response(served: ServedModel, answer: ExplainAnswer) -> inference_messages.StreamExplainResponse:
    """One answer of a StreamExplain."""
    return inference_messages.StreamExplainResponse(**_explained(served, answer), final=answer.final)


def _explained(served: ServedModel, answer: ExplainAnswer) -> dict[str, Any]:
    """The fields that both answers have."""
    return {
        "model": model_version(served),
        "prediction": _prediction_of(served, answer),
        "explanation": explanation(served.labels, answer),
        "timing": _timing(answer.timings),
    }


def model_status(record: VersionRecord) -> model_messages.ModelStatus:
    """The state of a version."""
    return model_messages.ModelStatus(
        model=record.place.model,
        version=record.place.version,
        state=STATES[record.state],
        labels=record.labels,
        reason=record.reason,
        kind=record.bundle.manifest.kind if record.bundle else bundle_messages.MODEL_KIND_UNSPECIFIED,
        bundle_digest=record.bundle.digest if record.bundle else "",
        runtime=record.served.runtime.name if record.served else "",
        precision=record.served.runtime.precision if record.served else "",
        leases=record.leases,
        graph_bytes=graph_bytes(record.bundle) if record.bundle else 0,
        previous_of=record.previous_of,
    )


def model_labels(entry: ModelEntry) -> list[model_messages.ModelLabel]:
    """The labels of a model, by name."""
    return [
        model_messages.ModelLabel(label=label, version=target.version, previous_version=target.previous)
        for label, target in sorted(entry.targets.items())
    ]


def traffic(shares: Traffic) -> model_messages.Traffic:
    """What the canary gets."""
    return model_messages.Traffic(canary_share=shares.canary_share, shadow_share=shares.shadow_share)


def shadow_report(found: Comparison | None) -> model_messages.ShadowReport | None:
    """How the canary agrees."""
    if found is None:
        return None
    return model_messages.ShadowReport(
        live_version=found.live_version,
        canary_version=found.canary_version,
        predictions=found.predictions,
        same_outcome=found.same_outcome,
        mean_absolute_difference=found.mean_absolute_difference,
        attributions=found.attributions,
        mean_spearman=found.mean_spearman,
        dropped=found.dropped,
        failed=found.failed,
        last_failure=found.last_failure,
    )


def runtime_trial(trial: Trial) -> model_messages.RuntimeTrial:
    """How a runtime did."""
    return model_messages.RuntimeTrial(
        runtime=trial.runtime,
        precision=trial.precision,
        passed=trial.passed,
        reason=trial.reason,
        logit_difference=trial.logit_difference,
        attribution_difference=trial.attribution_difference,
        seconds_per_row=trial.seconds_per_row,
    )


def _prediction_of(served: ServedModel, answer: ExplainAnswer) -> inference_messages.Prediction:
    raw = answer.prediction
    return _prediction(served, raw.tolist(), served.scales.scores(raw).tolist(), answer.encoded)


def _prediction(
    served: ServedModel, raw: Sequence[float], scores: Sequence[float], encoded: EncodedInput
) -> inference_messages.Prediction:
    """A prediction from the graph's own answer and its values or probabilities."""
    usage = encoded.usage
    return inference_messages.Prediction(
        **_outcome(served, raw, scores),
        text_usage=_text_usage(usage) if isinstance(usage, TextUsage) else None,
        image_usage=_image_usage(usage) if isinstance(usage, ImageUsage) else None,
        unknown_category_columns=encoded.unknown_category_columns,
    )


def _outcome(served: ServedModel, raw: Sequence[float], scores: Sequence[float]) -> dict[str, Any]:
    """The one field of the outcome that the kind of model has."""
    predicts, labels = served.bundle.kind.predicts.answer, served.labels
    if predicts == "value":
        return {"regression": inference_messages.Regression(value=scores[0])}
    class_scores = _class_scores(labels, raw, scores)
    if predicts == "labels":
        return {"multi_label": _multi_label(labels, raw, class_scores)}
    best = max(range(len(labels)), key=raw.__getitem__)
    classification = inference_messages.Classification(
        predicted_index=best, predicted_label=labels[best], scores=class_scores
    )
    return {"classification": classification}


def _multi_label(
    labels: Sequence[str], logits: Sequence[float], scores: Sequence[inference_messages.ClassScore]
) -> inference_messages.MultiLabel:
    # A logit of 0 or more is a probability of one half or more, without rounding.
    predicted = sorted((index for index, logit in enumerate(logits) if logit >= 0), key=lambda index: -logits[index])
    return inference_messages.MultiLabel(
        predicted_indices=predicted, predicted_labels=[labels[index] for index in predicted], scores=scores
    )


def _class_scores(
    labels: Sequence[str], logits: Sequence[float], probabilities: Sequence[float]
) -> list[inference_messages.ClassScore]:
    return [
        inference_messages.ClassScore(index=index, label=label, probability=probability, logit=logit)
        for index, (label, logit, probability) in enumerate(zip(labels, logits, probabilities, strict=True))
    ]


def _text_usage(usage: TextUsage) -> inference_messages.TextUsage:
    return inference_messages.TextUsage(
        tokens=usage.tokens,
        tokens_used=usage.tokens_used,
        truncated=usage.truncated,
        characters_used=usage.characters_used,
        pair_characters_used=usage.pair_characters_used,
    )


def _image_usage(usage: ImageUsage) -> inference_messages.ImageUsage:
    (width, height), (left, top, right, bottom) = usage.size, usage.box
    return inference_messages.ImageUsage(
        width=width, height=height, left=left, top=top, right=right, bottom=bottom, frames=usage.frames
    )


def _timing(timings: Timings) -> inference_messages.Timing:
    return inference_messages.Timing(
        queue_seconds=timings.queue_s,
        preprocessing_seconds=timings.preprocessing_s,
        model_seconds=timings.model_s,
        solver_seconds=timings.solver_s,
        total_seconds=timings.total_s,
    )
