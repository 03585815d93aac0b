"""From protobuf answers to the dataclasses of `explicate.results`.

An enum value or a oneof that this client does not know, from a newer server, becomes its number as a string or an
empty field; it never raises.
"""

from __future__ import annotations

from explicate import results
from explicate.requests import MASKINGS, OUTPUT_SPACES
from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb

_STOP_REASONS: dict[int, str] = {
    explanation_pb.STOP_REASON_TOLERANCE: "tolerance",
    explanation_pb.STOP_REASON_BUDGET: "budget",
    explanation_pb.STOP_REASON_DEADLINE: "deadline",
    explanation_pb.STOP_REASON_EXACT: "exact",
    explanation_pb.STOP_REASON_RUNNING: "running",
}
_STATES: dict[int, str] = {
    model_pb.MODEL_STATE_AVAILABLE: "available",
    model_pb.MODEL_STATE_LOADING: "loading",
    model_pb.MODEL_STATE_READY: "ready",
    model_pb.MODEL_STATE_FAILED: "failed",
}
_KINDS: dict[int, str] = {
    bundle_pb.MODEL_KIND_UNSPECIFIED: "",
    bundle_pb.MODEL_KIND_TEXT_CLASSIFICATION: "text-classification",
}
_SPACE_NAMES: dict[int, str] = {number: name for name, number in OUTPUT_SPACES.items()}
_MASKING_NAMES: dict[int, str] = {number: name for name, number in MASKINGS.items()}


def predict_result(response: inference_pb.PredictResponse) -> results.PredictResult:
    """The answer of Predict."""
    return results.PredictResult(
        predictions=tuple(_prediction(prediction) for prediction in response.predictions),
        model=_model_version(response.model),
        timing=_timing(response.timing),
    )


def explain_result(
    text: str, response: inference_pb.ExplainResponse | inference_pb.StreamExplainResponse
) -> results.ExplainResult:
    """The answer of Explain, or one of those of StreamExplain, for `text`."""
    return results.ExplainResult(
        text=text,
        prediction=_prediction(response.prediction),
        explanation=_explanation(response.explanation),
        model=_model_version(response.model),
        timing=_timing(response.timing),
        final=response.final if isinstance(response, inference_pb.StreamExplainResponse) else True,
    )


def model_status(status: model_pb.ModelStatus) -> results.ModelStatus:
    """One entry of ListModels."""
    return results.ModelStatus(
        model=status.model,
        version=status.version,
        state=_name(_STATES, status.state),
        labels=tuple(status.labels),
        reason=status.reason,
        kind=_name(_KINDS, status.kind),
        bundle_digest=status.bundle_digest,
        runtime=status.runtime,
    )


def model_description(response: model_pb.GetModelResponse) -> results.ModelDescription:
    """The answer of GetModel."""
    limits = response.limits
    return results.ModelDescription(
        status=model_status(response.status),
        class_labels=tuple(response.bundle.class_labels),
        max_tokens=response.bundle.text.max_tokens,
        precision=response.bundle.precision,
        metrics=dict(response.bundle.metrics),
        methods=tuple(response.methods),
        limits=results.ServingLimits(
            limits.max_inputs, limits.max_text_bytes, limits.max_evaluations, limits.max_call_seconds
        ),
        base_model=response.bundle.provenance.base_model,
        model_card=response.model_card,
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
    outcome, usage = prediction.classification, prediction.text_usage
    return results.Prediction(
        index=outcome.predicted_index,
        label=outcome.predicted_label,
        scores=tuple(results.ClassScore(s.index, s.label, s.probability, s.logit) for s in outcome.scores),
        text_usage=(
            results.TextUsage(usage.tokens, usage.tokens_used, usage.truncated, usage.characters_used)
            if prediction.HasField("text_usage")
            else None
        ),
    )


def _explanation(explanation: explanation_pb.Explanation) -> results.Explanation:
    return results.Explanation(
        features=tuple(_feature(feature) for feature in explanation.features),
        attributions=tuple(_attribution(attribution) for attribution in explanation.attributions),
        quality=_quality(explanation.quality),
        evaluations=explanation.evaluations,
        rounds=explanation.rounds,
        stop_reason=_name(_STOP_REASONS, explanation.stop_reason),
        converged=explanation.converged,
        method_version=explanation.method_version,
        options=_options(explanation.options),
    )


def _feature(feature: explanation_pb.Feature) -> results.Feature:
    return results.Feature(
        text=feature.text.text, spans=tuple(results.Span(span.start, span.end) for span in feature.text.spans)
    )


def _attribution(attribution: explanation_pb.Attribution) -> results.Attribution:
    return results.Attribution(
        class_index=attribution.class_index,
        class_label=attribution.class_label,
        baseline_value=attribution.baseline_value,
        instance_value=attribution.instance_value,
        values=tuple(attribution.values),
        standard_errors=tuple(attribution.standard_errors),
        lower=tuple(attribution.lower),
        upper=tuple(attribution.upper),
    )


def _quality(quality: explanation_pb.Quality) -> results.Quality:
    return results.Quality(
        additivity_gap=quality.additivity_gap if quality.HasField("additivity_gap") else None,
        held_out_r_squared=quality.held_out_r_squared if quality.HasField("held_out_r_squared") else None,
    )


def _options(options: explanation_pb.ExplainOptions) -> results.ResolvedOptions:
    return results.ResolvedOptions(
        method=options.method,
        target=_target(options.target),
        output_space=_name(_SPACE_NAMES, options.output_space),
        masking=_name(_MASKING_NAMES, options.masking),
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
        confidence=options.confidence,
        time_limit_s=options.time_limit_seconds,
        seed=options.seed,
    )


def _target(target: explanation_pb.Target) -> int | str | None:
    match target.WhichOneof("selector"):
        case "index":
            return target.index
        case "label":
            return target.label
        case "all":
            return "all"
        case _:
            return None


def _name(names: dict[int, str], number: int) -> str:
    return names.get(number, str(number))
