"""Domain to answers: predictions and explanations; what is known of a model is in ``model_answers``."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate.sentences import told_figures
from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import inference_service_pb2 as inference_messages
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_bundle.objective import Answer
from explicate_bundle.outcomes.decision_rule import Decision
from explicate_server.explain.quality import Faithfulness, Quality
from explicate_server.inference.asking.told_in_words import told_in_words
from explicate_server.inference.evaluations import Timings
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.inference.predictor import PredictAnswer
from explicate_server.modalities.modality import (
    ColumnPlayer,
    EncodedInput,
    GroupPlayer,
    ImageUsage,
    Player,
    SegmentPlayer,
    TextPlayer,
    TextUsage,
)
from explicate_server.registry.records import ServedModel
from explicate_server.rpc.asked.baseline_messages import baseline_used, cell_message
from explicate_server.rpc.asked.beside_values import pair_interactions, section_messages
from explicate_server.rpc.asked.change_messages import change_message
from explicate_server.rpc.message_bytes import SLICE_NUMBERS, in_slices
from explicate_server.rpc.option_messages import number_of, resolved_options

# The last character that UTF-16 holds in one code unit: https://www.rfc-editor.org/rfc/rfc2781#section-2.1
_LAST_OF_ONE_UNIT = "\uffff"
# Segments whose ids are sent in two bytes each.
_MOST_NARROW_SEGMENTS = 65_535


def explanation(
    labels: Sequence[str], value: ModelInput, answer: ExplainAnswer, *, with_features: bool = True
) -> explanation_messages.Explanation:
    """An explanation of a value; ``labels`` are those of the model's outputs.

    Without features it leaves the fixed ones and the segment map out as well: the answer before it in a stream had the
    same ones.
    """
    message = explanation_messages.Explanation(
        attributions=_attributions(labels, answer),
        quality=_quality(answer.quality),
        evaluations=answer.evaluations,
        rounds=answer.rounds,
        stop_reason=number_of(explanation_messages.StopReason, answer.stop_reason.value),
        converged=answer.converged,
        method_version=answer.options.method.version,
        options=resolved_options(answer.options),
        reused_evaluations=answer.reused_evaluations,
        unspaced_scripts=answer.unspaced_scripts,
        preview=answer.preview,
        change=change_message(answer.additions.change, value, labels),
        baseline=baseline_used(answer.options.baseline),
        sections=section_messages(value, answer.players, answer.attribution.sections),
    )
    if with_features:
        message.features.extend(_features(value, answer.players))
        message.fixed.extend(_features(value, answer.fixed))
        if answer.segment_map is not None:
            message.segment_map.CopyFrom(segment_map(answer.segment_map))
    return message


def _attributions(labels: Sequence[str], answer: ExplainAnswer) -> list[explanation_messages.Attribution]:
    estimate, reference = answer.attribution, answer.outputs.reference_index
    return [
        explanation_messages.Attribution(
            class_index=index,
            class_label=labels[index],
            reference_index=reference,
            reference_label=None if reference is None else labels[reference],
            baseline_value=estimate.baseline[output],
            instance_value=answer.full[output],
            values=estimate.values[output],
            standard_errors=estimate.standard_errors[output],
            lower=estimate.lower[output],
            upper=estimate.upper[output],
            interactions=pair_interactions(answer.additions.interactions, output),
        )
        for output, index in enumerate(answer.outputs.class_indices)
    ]


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


def _features(value: ModelInput, players: Sequence[Player]) -> list[explanation_messages.Feature]:
    offsets = [utf16_offsets(text) for text in value.texts] if isinstance(value, TextInput) else []
    return [_feature(player, offsets) for player in players]


def utf16_offsets(text: str) -> Sequence[int]:
    """Where each code point of a text begins in UTF-16 code units, and where the last one ends: one number more."""
    if text.isascii() or max(text) <= _LAST_OF_ONE_UNIT:
        return range(len(text) + 1)
    return [0, *accumulate(1 if character <= _LAST_OF_ONE_UNIT else 2 for character in text)]


def utf16_length(text: str) -> int:
    """How many UTF-16 code units a text has."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _feature(player: Player, offsets: Sequence[Sequence[int]]) -> explanation_messages.Feature:
    """A player as a feature; ``offsets`` are those of each text."""
    match player:
        case TextPlayer(text, spans, in_pair, instead):
            units = offsets[in_pair]
            messages = [
                explanation_messages.TextSpan(start=start, end=end, utf16_start=units[start], utf16_end=units[end])
                for start, end in spans
            ]
            feature = explanation_messages.TextFeature(text=text, spans=messages, in_pair=in_pair, instead=instead)
            return explanation_messages.Feature(text=feature)
        case ColumnPlayer(name, columns):
            values = [
                explanation_messages.ColumnValue(column=column, value=cell_message(value)) for column, value in columns
            ]
            return explanation_messages.Feature(column=explanation_messages.ColumnFeature(name=name, columns=values))
        case SegmentPlayer(number, pixels, (left, top, right, bottom)):
            segment = explanation_messages.SegmentFeature(
                id=number, pixels=pixels, left=left, top=top, right=right, bottom=bottom
            )
            return explanation_messages.Feature(segment=segment)
        case GroupPlayer(name, members):
            parts = [_feature(member, offsets) for member in members]
            return explanation_messages.Feature(group=explanation_messages.GroupFeature(name=name, members=parts))


def segment_map(segments: NDArray[np.intp]) -> explanation_messages.SegmentMap:
    """A map intp[height, width] of ids from 0, packed in two bytes each, or in four where there are too many."""
    height, width = segments.shape
    narrow = segments.max() < _MOST_NARROW_SEGMENTS
    return explanation_messages.SegmentMap(
        width=width,
        height=height,
        encoding=explanation_messages.SEGMENT_ID_ENCODING_UINT16_LITTLE_ENDIAN
        if narrow
        else explanation_messages.SEGMENT_ID_ENCODING_UINT32_LITTLE_ENDIAN,
        ids=segments.astype("<u2" if narrow else "<u4").tobytes(),
    )


def model_version(served: ServedModel) -> inference_messages.ModelVersion:
    """What answers."""
    runtime = served.runtime
    return inference_messages.ModelVersion(
        model=served.name,
        version=served.version,
        bundle_digest=served.bundle.digest,
        runtime=runtime.name,
        precision=runtime.precision,
    )


def predict_response(served: ServedModel, answer: PredictAnswer) -> inference_messages.PredictResponse | bytes:
    """The answer to a Predict of inputs; the bytes of a large one, made in slices: whole it would be one long step."""
    scores = served.scales.scores(answer.answers)

    def predictions(rows: slice) -> list[inference_messages.Prediction]:
        raw, encoded = answer.answers[rows].tolist(), answer.encoded[rows]
        return [_prediction(served, *of_row) for of_row in zip(raw, scores[rows].tolist(), encoded, strict=True)]

    version, timing = model_version(served), timing_message(answer.timings)
    most = SLICE_NUMBERS // scores.shape[1]
    if len(scores) <= most:
        return inference_messages.PredictResponse(model=version, predictions=predictions(slice(None)), timing=timing)
    return in_slices(
        len(scores),
        most,
        lambda rows: inference_messages.PredictResponse(predictions=predictions(rows)),
        inference_messages.PredictResponse(model=version, timing=timing),
    )


def size(answer: ExplainAnswer) -> int:
    """About how many steps the answer to an explanation takes to convert: its numbers, features and pixels."""
    pixels = 0 if answer.segment_map is None else answer.segment_map.size
    return answer.attribution.values.size + 2 * len(answer.players) + answer.prediction.size + pixels // 256


def explain_response(
    served: ServedModel, value: ModelInput, answer: ExplainAnswer
) -> inference_messages.ExplainResponse:
    """The answer to an Explain of a value."""
    return inference_messages.ExplainResponse(result=_explain_result(served, value, answer))


def stream_explain_response(
    served: ServedModel, value: ModelInput, answer: ExplainAnswer, *, with_features: bool
) -> inference_messages.StreamExplainResponse:
    """One answer of a StreamExplain, without features if those of the answer before it were the same."""
    result = _explain_result(served, value, answer, with_features=with_features)
    return inference_messages.StreamExplainResponse(result=result, final=answer.final)


def _explain_result(
    served: ServedModel, value: ModelInput, answer: ExplainAnswer, *, with_features: bool = True
) -> inference_messages.ExplainResult:
    prediction = _prediction_of(served, answer)
    explained = explanation(served.labels, value, answer, with_features=with_features)
    explained.sentences.extend(told_in_words(served, value, answer, _answered(served, prediction)))
    return inference_messages.ExplainResult(
        model=model_version(served),
        prediction=prediction,
        explanation=explained,
        timing=timing_message(answer.timings, solver_s=answer.timings.solver_s),
    )


def _answered(served: ServedModel, prediction: inference_messages.Prediction) -> told_figures.Answer:
    """What a prediction answers, as sentences take it."""
    if prediction.HasField("regression"):
        return told_figures.Answer(target=served.labels[0], value=prediction.regression.value)
    several, one = prediction.multi_label, prediction.classification
    scores = {score.label: score.probability for score in (*several.scores, *one.scores)}
    if prediction.HasField("multi_label"):
        return told_figures.Answer(scores=scores, labels=tuple(several.predicted_labels))
    best = one.scores[one.predicted_index]
    threshold = best.threshold if best.HasField("threshold") else None
    return told_figures.Answer(scores=scores, label=one.predicted_label, threshold=threshold)


def _prediction_of(served: ServedModel, answer: ExplainAnswer) -> inference_messages.Prediction:
    raw = answer.prediction
    return _prediction(served, raw.tolist(), served.scales.scores(raw).tolist(), answer.encoded)


def _prediction(
    served: ServedModel, raw: Sequence[float], scores: Sequence[float], encoded: EncodedInput
) -> inference_messages.Prediction:
    """A prediction from the graph's own answer and its values or probabilities."""
    # The one field of the outcome that the kind of model has.
    objective = served.scales.objective
    told = _OUTCOMES[objective.answer](served.labels, raw, scores, objective.rule)
    usage = encoded.usage
    if isinstance(usage, TextUsage):
        told["text_usage"] = _text_usage(usage)
    elif isinstance(usage, ImageUsage):
        told["image_usage"] = _image_usage(usage)
    return inference_messages.Prediction(**told, unknown_category_columns=encoded.unknown_category_columns)


def _classification(
    labels: Sequence[str], logits: Sequence[float], scores: Sequence[float], rule: Decision | None
) -> dict[str, Any]:
    best = max(range(len(labels)), key=logits.__getitem__) if rule is None else int(rule.decide(np.array([scores]))[0])
    return {
        "classification": inference_messages.Classification(
            predicted_index=best, predicted_label=labels[best], scores=_class_scores(labels, logits, scores, rule)
        )
    }


def _multi_label(
    labels: Sequence[str], logits: Sequence[float], scores: Sequence[float], rule: Decision | None
) -> dict[str, Any]:
    # A logit of 0 or more is a probability of one half or more, without rounding.
    given = [logit >= 0 for logit in logits] if rule is None else rule.decide(np.array([scores]))[0].tolist()
    predicted = sorted((index for index, flag in enumerate(given) if flag), key=lambda index: -logits[index])
    return {
        "multi_label": inference_messages.MultiLabel(
            predicted_indices=predicted,
            predicted_labels=[labels[index] for index in predicted],
            scores=_class_scores(labels, logits, scores, rule),
        )
    }


def _regression(
    _labels: Sequence[str], _values: Sequence[float], scores: Sequence[float], _rule: Decision | None
) -> dict[str, Any]:
    return {"regression": inference_messages.Regression(value=scores[0])}


_Outcome = Callable[[Sequence[str], Sequence[float], Sequence[float], Decision | None], dict[str, Any]]
_OUTCOMES: Mapping[Answer, _Outcome] = {
    "class": _classification,
    "labels": _multi_label,
    "value": _regression,
}


def _class_scores(
    labels: Sequence[str], logits: Sequence[float], probabilities: Sequence[float], rule: Decision | None
) -> list[inference_messages.ClassScore]:
    costs = [None] * len(labels) if rule is None or rule.costs is None else rule.expected_costs(np.array(probabilities))
    return [
        inference_messages.ClassScore(
            index=index,
            label=label,
            probability=probability,
            logit=logit,
            threshold=None if rule is None else rule.threshold_of(index),
            expected_cost=costs[index],
        )
        for index, (label, logit, probability) in enumerate(zip(labels, logits, probabilities, strict=True))
    ]


def _text_usage(usage: TextUsage) -> inference_messages.TextUsage:
    units = [utf16_length(text) for text in usage.seen]
    return inference_messages.TextUsage(
        tokens=usage.tokens,
        tokens_used=usage.tokens_used,
        truncated=usage.truncated,
        characters_used=usage.characters_used,
        pair_characters_used=usage.pair_characters_used,
        utf16_used=units[0],
        pair_utf16_used=units[1] if len(units) == 2 else None,
    )


def _image_usage(usage: ImageUsage) -> inference_messages.ImageUsage:
    (width, height), (left, top, right, bottom) = usage.size, usage.box
    return inference_messages.ImageUsage(
        width=width, height=height, left=left, top=top, right=right, bottom=bottom, frames=usage.frames
    )


def timing_message(timings: Timings, *, solver_s: float | None = None) -> inference_messages.Timing:
    """Where the time went."""
    return inference_messages.Timing(
        queue_seconds=timings.queue_s,
        preprocessing_seconds=timings.preprocessing_s,
        model_seconds=timings.model_s,
        solver_seconds=solver_s,
        total_seconds=timings.total_s,
    )
