"""Domain to answers of packed tables: predictions and explanations, arrays written as the bytes they have on the wire.

A packed field of doubles is its numbers in eight bytes each, the lowest byte first, which numpy writes at once; a
message of them would be made number by number. A message that comes in several parts is all of them merged:
https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from google.protobuf.descriptor import Descriptor
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import inference_service_pb2 as inference_messages
from explicate_server.explain.quality import QualityFigures
from explicate_server.inference.predictor import PackedAnswer
from explicate_server.inference.table_answer import TableAnswer
from explicate_server.registry.records import ServedModel
from explicate_server.rpc.answers import model_version, timing_message
from explicate_server.rpc.message_bytes import length_field
from explicate_server.rpc.option_messages import number_of, resolved_options

_PREDICT, _EXPLAIN_TABLE = (
    each.DESCRIPTOR for each in (inference_messages.PredictResponse, inference_messages.ExplainTableResponse)
)
_PREDICTIONS = inference_messages.PackedPredictions.DESCRIPTOR
_EXPLANATION = explanation_messages.PackedExplanation.DESCRIPTOR
_ATTRIBUTION = explanation_messages.PackedAttribution.DESCRIPTOR
_QUALITY = explanation_messages.PackedQuality.DESCRIPTOR
_FAITHFULNESS = explanation_messages.PackedFaithfulness.DESCRIPTOR


def packed_response(served: ServedModel, answer: PackedAnswer) -> bytes:
    """The answer to a Predict of a table."""
    rest = inference_messages.PredictResponse(
        model=model_version(served),
        packed=_packed_predictions(served, answer.answers, answer.unknown_category_columns),
        timing=timing_message(answer.timings),
    )
    scores = served.scales.scores(answer.answers)
    return rest.SerializeToString() + _field(_PREDICT, "packed", _field(_PREDICTIONS, "scores", _doubles(scores)))


def explain_table_response(served: ServedModel, answer: TableAnswer) -> bytes:
    """The answer to an ExplainTable."""
    rest = inference_messages.ExplainTableResponse(
        model=model_version(served),
        predictions=_packed_predictions(served, answer.predictions, answer.unknown_category_columns),
        explanation=_explanation(served, answer),
        timing=timing_message(answer.timings, solver_s=answer.timings.solver_s),
    )
    scores = served.scales.scores(answer.predictions)
    arrays = [
        _field(_EXPLANATION, "attributions", _attribution(answer, output)) for output in range(len(answer.values))
    ]
    arrays.append(_field(_EXPLANATION, "quality", _quality(answer)))
    return (
        rest.SerializeToString()
        + _field(_EXPLAIN_TABLE, "predictions", _field(_PREDICTIONS, "scores", _doubles(scores)))
        + _field(_EXPLAIN_TABLE, "explanation", b"".join(arrays))
    )


def _packed_predictions(
    served: ServedModel, answers: NDArray[np.float64], unknown: Sequence[str]
) -> inference_messages.PackedPredictions:
    """Without the scores."""
    labels = served.bundle.manifest.class_labels
    message = inference_messages.PackedPredictions(class_labels=labels, unknown_category_columns=unknown)
    rule = served.scales.objective.rule
    if rule is not None and rule.several:
        message.thresholds.extend(rule.thresholds.tolist())
    elif rule is not None:
        message.predicted_indices.extend(served.scales.objective.leading(answers).tolist())
    return message


def _explanation(served: ServedModel, answer: TableAnswer) -> explanation_messages.PackedExplanation:
    """Without the arrays of numbers."""
    return explanation_messages.PackedExplanation(
        features=[
            explanation_messages.PackedFeature(name=player.name, columns=player.columns) for player in answer.players
        ],
        evaluations=answer.evaluations.tolist(),
        rounds=answer.rounds.tolist(),
        stop_reasons=[number_of(explanation_messages.StopReason, reason.value) for reason in answer.stop_reasons],
        converged=answer.converged.tolist(),
        method_version=answer.options.method.version,
        options=resolved_options(answer.options),
        class_labels=served.labels,
    )


def _attribution(answer: TableAnswer, output: int) -> bytes:
    """The attributions of one explained output."""
    rest = explanation_messages.PackedAttribution(
        class_indices=answer.outputs.class_indices[:, output].tolist(), reference_index=answer.outputs.reference_index
    )
    arrays = {
        "baseline_values": answer.baseline,
        "instance_values": answer.full,
        "values": answer.values,
        "standard_errors": answer.standard_errors,
        "lower": answer.lower,
        "upper": answer.upper,
    }
    parts = [_field(_ATTRIBUTION, name, _doubles(array[output])) for name, array in arrays.items()]
    return b"".join([rest.SerializeToString(), *parts])


def _quality(answer: TableAnswer) -> bytes:
    """The figures of all rows."""
    parts = [
        _field(_QUALITY, item.name, _doubles(getattr(answer.figures, item.name))) for item in fields(QualityFigures)
    ]
    for name, figures in (
        ("comprehensiveness", answer.comprehensiveness),
        ("sufficiency", answer.sufficiency),
    ):
        if figures is not None:
            both = [
                _field(_FAITHFULNESS, of, _doubles(column))
                for of, column in zip(("value", "random"), figures.T, strict=True)
            ]
            parts.append(_field(_QUALITY, name, b"".join(both)))
    return b"".join(parts)


def _doubles(numbers: NDArray[np.float64]) -> bytes:
    """The value of a packed field of doubles."""
    return np.ascontiguousarray(numbers, dtype="<f8").tobytes()


def _field(message: Descriptor, name: str, value: bytes) -> bytes:
    """A field of a message that is told by its length."""
    return length_field(message.fields_by_name[name].number, value)
