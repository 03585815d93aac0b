"""Protobuf to domain and back; no other module of the server builds or reads a request or answer message."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from explicate.v1 import bundle_pb2 as bundle_messages
from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import inference_service_pb2 as inference_messages
from explicate.v1 import model_service_pb2 as model_messages
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.explain.faithfulness import Faithfulness
from explicate_server.explain.loop import StopReason
from explicate_server.explain.quality import Quality
from explicate_server.explanations import ExplainAnswer
from explicate_server.modalities.base import ModelInput, Player, TextInput, TextUsage
from explicate_server.options import ClassName, Contrast, ExplainOptions, ResolvedOptions, Target
from explicate_server.outputs import softmax
from explicate_server.predictions import PredictAnswer
from explicate_server.registry.models import ServedModel, State, VersionRecord
from explicate_server.registry.trial import Trial
from explicate_server.runtime.batcher import Priority
from explicate_server.timings import Timings

_Number = TypeVar("_Number")

_OUTPUT_SPACES = {
    explanation_messages.OUTPUT_SPACE_UNSPECIFIED: None,
    explanation_messages.OUTPUT_SPACE_PROBABILITY: "probability",
    explanation_messages.OUTPUT_SPACE_LOGIT: "logit",
}
_MASKINGS = {
    explanation_messages.MASKING_UNSPECIFIED: None,
    explanation_messages.MASKING_ATTENTION: "attention",
    explanation_messages.MASKING_MASK_TOKEN: "mask-token",
    explanation_messages.MASKING_DELETE: "delete",
}
_GRANULARITIES = {
    explanation_messages.GRANULARITY_UNSPECIFIED: None,
    explanation_messages.GRANULARITY_WORD: "word",
    explanation_messages.GRANULARITY_TOKEN: "token",
    explanation_messages.GRANULARITY_SENTENCE: "sentence",
}
_QUALITY_LEVELS = {
    explanation_messages.QUALITY_LEVEL_UNSPECIFIED: None,
    explanation_messages.QUALITY_LEVEL_BASIC: "basic",
    explanation_messages.QUALITY_LEVEL_FULL: "full",
}
_ENUM_OPTIONS: Mapping[str, Mapping[Any, str | None]] = {
    "output_space": _OUTPUT_SPACES,
    "granularity": _GRANULARITIES,
    "masking": _MASKINGS,
    "quality": _QUALITY_LEVELS,
}
_BULK = inference_messages.PRIORITY_BULK
_STOP_REASONS = {
    StopReason.TOLERANCE: explanation_messages.STOP_REASON_TOLERANCE,
    StopReason.TOP_K: explanation_messages.STOP_REASON_TOP_K,
    StopReason.BUDGET: explanation_messages.STOP_REASON_BUDGET,
    StopReason.DEADLINE: explanation_messages.STOP_REASON_DEADLINE,
    StopReason.EXACT: explanation_messages.STOP_REASON_EXACT,
    StopReason.RUNNING: explanation_messages.STOP_REASON_RUNNING,
}
_STATES = {
    State.AVAILABLE: model_messages.MODEL_STATE_AVAILABLE,
    State.LOADING: model_messages.MODEL_STATE_LOADING,
    State.READY: model_messages.MODEL_STATE_READY,
    State.FAILED: model_messages.MODEL_STATE_FAILED,
}


def model_input(message: inference_messages.Input, field_path: str) -> ModelInput:
    """An input.

    Raises:
        InvalidRequest: it is empty.
    """
    if message.WhichOneof("kind") != "text":
        raise InvalidRequest([Violation(field_path, "has no content; set text")])
    return TextInput(message.text.text)


def predict_priority(request: inference_messages.PredictRequest) -> Priority:
    """The class of a prediction."""
    return Priority.BULK if _checked_priority(request.priority) == _BULK else Priority.PREDICT


def explain_priority(request: inference_messages.ExplainRequest | inference_messages.StreamExplainRequest) -> Priority:
    """The class of an explanation."""
    return Priority.BULK if _checked_priority(request.priority) == _BULK else Priority.EXPLAIN


def _checked_priority(priority: Any) -> Any:
    if priority not in inference_messages.Priority.values():
        raise InvalidRequest([Violation("priority", f"{priority} is no value of this enum")])
    return priority


def explain_options(message: explanation_messages.ExplainOptions) -> ExplainOptions:
    """The options as given; enum values this server does not know are refused, not ignored.

    Raises:
        InvalidRequest: an enum has a value without a meaning, or ``target.all`` is false.
    """

    def given(name: Any) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    for name, known in _ENUM_OPTIONS.items():
        if getattr(message, name) not in known:
            raise InvalidRequest([Violation(f"options.{name}", f"{getattr(message, name)} is no value of this enum")])
    return ExplainOptions(
        method=given("method"),
        target=_target(message.target),
        output_space=_OUTPUT_SPACES[message.output_space],
        granularity=_GRANULARITIES[message.granularity],
        masking=_MASKINGS[message.masking],
        max_evaluations=given("max_evaluations"),
        min_evaluations=given("min_evaluations"),
        tolerance=given("tolerance"),
        confidence=given("confidence"),
        time_limit_s=given("time_limit_seconds"),
        seed=given("seed"),
        top_k=given("top_k"),
        quality=_QUALITY_LEVELS[message.quality],
        max_players=given("max_players"),
    )


def _target(message: explanation_messages.Target) -> Target:
    match message.WhichOneof("selector"):
        case "index":
            return Target(index=message.index)
        case "label":
            return Target(label=message.label)
        case "all" if not message.all:
            raise InvalidRequest([Violation("options.target.all", "is false; leave it out for the predicted class")])
        case "all":
            return Target(all=True)
        case "contrast":
            contrast = message.contrast
            return Target(contrast=Contrast(_class_name(contrast.target), _class_name(contrast.reference)))
        case _:
            return Target()


def _class_name(message: explanation_messages.ClassSelector) -> ClassName | None:
    selector = message.WhichOneof("selector")
    return getattr(message, selector) if selector else None


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
    """The answer to a Predict."""
    probabilities = softmax(answer.logits)
    return inference_messages.PredictResponse(
        model=model_version(served),
        predictions=[
            _prediction(served.labels, logits, row, usage)
            for logits, row, usage in zip(answer.logits.tolist(), probabilities.tolist(), answer.usages, strict=True)
        ],
        timing=_timing(answer.timings),
    )


def explain_response(served: ServedModel, answer: ExplainAnswer) -> inference_messages.ExplainResponse:
    """The answer to an Explain."""
    return inference_messages.ExplainResponse(
        model=model_version(served),
        prediction=_prediction_of(served, answer),
        explanation=_explanation(served.labels, answer),
        timing=_timing(answer.timings),
    )


def stream_explain_response(served: ServedModel, answer: ExplainAnswer) -> inference_messages.StreamExplainResponse:
    """One answer of a StreamExplain."""
    return inference_messages.StreamExplainResponse(
        model=model_version(served),
        prediction=_prediction_of(served, answer),
        explanation=_explanation(served.labels, answer),
        timing=_timing(answer.timings),
        final=answer.final,
    )


def model_status(record: VersionRecord) -> model_messages.ModelStatus:
    """The state of a version."""
    return model_messages.ModelStatus(
        model=record.place.model,
        version=record.place.version,
        state=_STATES[record.state],
        labels=record.labels,
        reason=record.reason,
        kind=record.bundle.manifest.kind if record.bundle else bundle_messages.MODEL_KIND_UNSPECIFIED,
        bundle_digest=record.bundle.digest if record.bundle else "",
        runtime=record.served.runtime.name if record.served else "",
        precision=record.served.runtime.precision if record.served else "",
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
    probabilities = softmax(answer.logits[np.newaxis])[0]
    return _prediction(served.labels, answer.logits.tolist(), probabilities.tolist(), answer.usage)


def _prediction(
    labels: Sequence[str], logits: Sequence[float], probabilities: Sequence[float], usage: TextUsage | None
) -> inference_messages.Prediction:
    best = max(range(len(labels)), key=logits.__getitem__)
    scores = [
        inference_messages.ClassScore(index=index, label=label, probability=probability, logit=logit)
        for index, (label, logit, probability) in enumerate(zip(labels, logits, probabilities, strict=True))
    ]
    return inference_messages.Prediction(
        classification=inference_messages.Classification(
            predicted_index=best, predicted_label=labels[best], scores=scores
        ),
        text_usage=None if usage is None else _text_usage(usage),
    )


def _text_usage(usage: TextUsage) -> inference_messages.TextUsage:
    return inference_messages.TextUsage(
        tokens=usage.tokens,
        tokens_used=usage.tokens_used,
        truncated=usage.truncated,
        characters_used=usage.characters_used,
    )


def _explanation(labels: Sequence[str], answer: ExplainAnswer) -> explanation_messages.Explanation:
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
        stop_reason=_STOP_REASONS[answer.stop_reason],
        converged=answer.converged,
        method_version=answer.options.method.version,
        options=_resolved_options(answer.options),
        reused_evaluations=answer.reused_evaluations,
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
    spans = [explanation_messages.TextSpan(start=start, end=end) for start, end in player.spans]
    return explanation_messages.Feature(text=explanation_messages.TextFeature(text=player.text, spans=spans))


def _resolved_options(options: ResolvedOptions) -> explanation_messages.ExplainOptions:
    return explanation_messages.ExplainOptions(
        method=options.method.name,
        target=_target_message(options.target),
        output_space=_key(_OUTPUT_SPACES, options.output_space),
        granularity=_key(_GRANULARITIES, options.granularity),
        masking=_key(_MASKINGS, options.masking),
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
        confidence=options.confidence,
        time_limit_seconds=options.time_limit_s,
        seed=options.seed,
        top_k=options.top_k,
        quality=_key(_QUALITY_LEVELS, options.quality),
        max_players=options.max_players,
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


def _key(table: Mapping[_Number, str | None], value: str) -> _Number:
    return next(number for number, name in table.items() if name == value)


def _timing(timings: Timings) -> inference_messages.Timing:
    return inference_messages.Timing(
        queue_seconds=timings.queue_s,
        preprocessing_seconds=timings.preprocessing_s,
        model_seconds=timings.model_s,
        solver_seconds=timings.solver_s,
        total_seconds=timings.total_s,
    )
