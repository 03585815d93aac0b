"""From predictions and explanations to the tensors of a ModelInferResponse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToJson
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.objective import Answer, Objective
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.inference.table_answer import TableAnswer
from explicate_server.modalities.modality import ColumnPlayer, GroupPlayer, Player, TextPlayer
from explicate_server.registry.records import ServedModel
from explicate_server.rpc import answers
from explicate_server.rpc.open_inference import infer_asked as asked
from explicate_server.rpc.open_inference.protocol import ModelInferResponse
from explicate_server.rpc.open_inference.tensors import Outputs

Floats = NDArray[np.float64]
_OF_CLASSES = (asked.LABEL, asked.PROBABILITIES)
# What a prediction has, by what the model answers.
PREDICTED: Mapping[Answer, Sequence[str]] = {"class": _OF_CLASSES, "labels": _OF_CLASSES, "value": (asked.VALUE,)}


@dataclass(frozen=True)
class Explained:
    """Explanations of N inputs, side by side: of fewer features than the most are padded, with NaN and "".

    Attributes:
        answers: the graph's own, float64[N, outputs].
        features: their names, N lists.
        values, lower, upper: float64[N, explained, features].
        baseline: float64[N, explained].
        documents: of each input in JSON; none unless asked for.
        parameters: of the answer.
    """

    answers: Floats
    features: Sequence[Sequence[str]]
    values: Floats
    lower: Floats
    upper: Floats
    baseline: Floats
    documents: Sequence[str] = ()
    parameters: Mapping[str, Any] | None = None


def check_outputs(served: ServedModel, wanted: Sequence[str]) -> Sequence[str]:
    """The outputs to give: those that were named, or what a prediction has.

    Raises:
        InvalidRequest: the model does not have one.
    """
    own = PREDICTED[served.scales.objective.answer]
    known = (*own, *((asked.CLASSES,) if asked.LABEL in own else ()), *asked.EXPLAINED)
    bad = [Violation(f"outputs[{name}]", f"is not of this model; it has {', '.join(known)}") for name in wanted]
    bad = [violation for violation, name in zip(bad, wanted, strict=True) if name not in known]
    if bad:
        raise InvalidRequest(bad)
    return wanted or own


def response(request: Any, served: ServedModel, **parameters: Any) -> tuple[Any, Outputs]:
    """An answer without tensors, and where they are added."""
    message = ModelInferResponse(model_name=served.name, model_version=str(served.version), id=request.id)
    message.parameters["bundle_digest"].string_param = served.bundle.digest
    for name, value in parameters.items():
        _set_parameter(message.parameters[name], value)
    return message, Outputs(message, raw=bool(request.raw_input_contents))


def _set_parameter(parameter: Any, value: bool | int | str) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    else:
        parameter.string_param = value


def add_prediction(outputs: Outputs, names: Sequence[str], served: ServedModel, raw: Floats) -> None:
    """Add what is asked of predictions; ``raw`` are the graph's own answers, float64[N, outputs]."""
    scores = served.scales.scores(raw)
    for name in names:
        if name == asked.LABEL:
            shape, chosen = _LABELS[served.scales.objective.answer](served.scales.objective, raw)
            outputs.add_chosen(name, shape, (*served.labels, ""), chosen)
        elif name in (asked.PROBABILITIES, asked.VALUE):
            outputs.add_numbers(name, scores)
        elif name == asked.CLASSES:
            outputs.add_texts(name, [len(served.labels)], served.labels)


def _one_label(objective: Objective, raw: Floats) -> tuple[Sequence[int], Sequence[int]]:
    return [len(raw), 1], objective.leading(raw).tolist()


def _some_labels(objective: Objective, raw: Floats) -> tuple[Sequence[int], Sequence[int]]:
    """Those that are predicted, and "", the last one, for the others. A logit of 0 is a probability of one half."""
    labels = raw.shape[1]
    given = raw >= 0 if objective.rule is None else objective.rule.decide(objective.scores(raw))
    return raw.shape, np.where(given, np.arange(labels), labels).ravel().tolist()


_LABELS: Mapping[Answer, Callable[[Objective, Floats], tuple[Sequence[int], Sequence[int]]]] = {
    "class": _one_label,
    "labels": _some_labels,
}
"""The shape of the labels that are told, and the place of each among the model's."""


def add_explanation(
    outputs: Outputs, names: Sequence[str], served: ServedModel, explained: Explained, *, all_classes: bool
) -> None:
    """Add what is asked of explanations and predictions: [N, features]; of ``all_classes`` [N, classes, features]."""
    arrays = {asked.ATTRIBUTIONS: explained.values, asked.LOWER: explained.lower, asked.UPPER: explained.upper}
    rows, _, width = explained.values.shape
    for name in names:
        if name in arrays:
            outputs.add_numbers(name, arrays[name] if all_classes else arrays[name][:, 0])
        elif name == asked.BASELINE:
            outputs.add_numbers(name, explained.baseline)
        elif name == asked.FEATURES:
            padded = [feature for each in explained.features for feature in (*each, *[""] * (width - len(each)))]
            outputs.add_texts(name, [rows, width], padded)
        elif name == asked.EXPLANATION:
            outputs.add_texts(name, [rows, 1], explained.documents)
        else:
            add_prediction(outputs, [name], served, explained.answers)


def of_answers(
    served: ServedModel, values: Sequence[ModelInput], told: Sequence[ExplainAnswer], documents: bool
) -> Explained:
    """Explanations that were made one by one."""
    width = max(len(answer.players) for answer in told)

    def padded(name: str) -> Floats:
        whole = np.full((len(told), len(told[0].outputs.class_indices), width), np.nan)
        for place, answer in enumerate(told):
            whole[place, :, : len(answer.players)] = getattr(answer.attribution, name)
        return whole

    return Explained(
        answers=np.array([answer.prediction for answer in told]),
        features=[[_name(player) for player in answer.players] for answer in told],
        values=padded("values"),
        lower=padded("lower"),
        upper=padded("upper"),
        baseline=np.array([answer.attribution.baseline for answer in told]),
        documents=[_document(served, *each) for each in zip(values, told, strict=True)] if documents else (),
        parameters=_told(told[0]) if len(told) == 1 else None,
    )


def of_table(answer: TableAnswer) -> Explained:
    """The explanations of a table's rows."""
    names = [player.name for player in answer.players]
    values, lower, upper = (np.swapaxes(each, 0, 1) for each in (answer.values, answer.lower, answer.upper))
    return Explained(answer.predictions, [names] * answer.rows, values, lower, upper, answer.baseline.T)


def _document(served: ServedModel, value: ModelInput, answer: ExplainAnswer) -> str:
    """What our own Explain answers, in JSON."""
    return MessageToJson(answers.explain_response(served, value, answer).result, indent=None)


def _told(answer: ExplainAnswer) -> dict[str, Any]:
    return {
        "method": answer.options.method.name,
        "seed": answer.options.seed,
        "evaluations": answer.evaluations,
        "stop_reason": answer.stop_reason.value,
        "converged": bool(answer.converged),
    }


def _name(player: Player) -> str:
    match player:
        case TextPlayer(text):
            return text
        case ColumnPlayer(name) | GroupPlayer(name):
            return name
        case _:
            return str(player.id)
