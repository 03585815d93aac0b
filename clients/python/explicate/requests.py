"""From the client's arguments to protobuf requests.

What protobuf itself would refuse with an error of its own kind (a lone surrogate, a number beyond its field) is
refused here with the field's path, in the form in which the server refuses everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from explicate.errors import UsageError, invalid_argument
from explicate.options import AllClasses, ExplainOptions, Target
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb

_Enum = TypeVar("_Enum")

OUTPUT_SPACES = {
    "probability": explanation_pb.OUTPUT_SPACE_PROBABILITY,
    "logit": explanation_pb.OUTPUT_SPACE_LOGIT,
}
MASKINGS = {
    "attention": explanation_pb.MASKING_ATTENTION,
    "mask-token": explanation_pb.MASKING_MASK_TOKEN,
    "delete": explanation_pb.MASKING_DELETE,
}

# Options that are plain protobuf numbers or strings: ours, then the field's name.
_PLAIN_FIELDS = {
    "method": "method",
    "max_evaluations": "max_evaluations",
    "min_evaluations": "min_evaluations",
    "tolerance": "tolerance",
    "confidence": "confidence",
    "time_limit_s": "time_limit_seconds",
    "seed": "seed",
}


def predict_request(
    model: str, inputs: Sequence[str], *, version: int | None, label: str | None
) -> inference_pb.PredictRequest:
    """The request for `inputs`; raises InvalidArgument for a text that is not valid Unicode."""
    if isinstance(inputs, str):
        raise UsageError("inputs must be a list of texts; for one text write predict(model, [text])")
    texts = [_unicode(text, f"inputs[{i}].text") for i, text in enumerate(inputs)]
    return inference_pb.PredictRequest(
        model=_model_ref(model, version, label),
        inputs=[inference_pb.Input(text=inference_pb.TextInput(text=text)) for text in texts],
    )


def explain_request(
    model: str, text: str, *, version: int | None, label: str | None, options: ExplainOptions
) -> inference_pb.ExplainRequest:
    """The request for one text; raises InvalidArgument for a value that its field cannot hold."""
    return inference_pb.ExplainRequest(
        model=_model_ref(model, version, label),
        input=inference_pb.Input(text=inference_pb.TextInput(text=_unicode(text, "input.text"))),
        options=_explain_options(options),
    )


def stream_explain_request(request: inference_pb.ExplainRequest) -> inference_pb.StreamExplainRequest:
    """The same request for the streaming call."""
    return inference_pb.StreamExplainRequest(model=request.model, input=request.input, options=request.options)


def get_model_request(name: str, version: int | None) -> model_pb.GetModelRequest:
    """The request for one version, or for the live one."""
    request = model_pb.GetModelRequest(model=_unicode(name, "model"))
    if version is not None:
        _set(request, "version", version, "version")
    return request


def _model_ref(model: str, version: int | None, label: str | None) -> inference_pb.ModelRef:
    if version is not None and label is not None:
        raise UsageError("give a version or a label, not both")
    reference = inference_pb.ModelRef(model=_unicode(model, "model.model"))
    if version is not None:
        _set(reference, "version", version, "model.version")
    if label is not None:
        reference.label = _unicode(label, "model.label")
    return reference


def _explain_options(options: ExplainOptions) -> explanation_pb.ExplainOptions:
    unknown = sorted(options.keys() - ExplainOptions.__annotations__.keys())
    if unknown:
        raise UsageError(f"no such option of an explanation: {', '.join(unknown)}")
    message = explanation_pb.ExplainOptions()
    for name, field in _PLAIN_FIELDS.items():
        value = options.get(name)
        if value is not None:
            _set(message, field, value, f"options.{field}")
    if (target := options.get("target")) is not None:
        _set_target(message.target, target)
    if (space := options.get("output_space")) is not None:
        message.output_space = _choice(OUTPUT_SPACES, space, "options.output_space")
    if (masking := options.get("masking")) is not None:
        message.masking = _choice(MASKINGS, masking, "options.masking")
    return message


def _set_target(message: explanation_pb.Target, target: Target) -> None:
    if isinstance(target, AllClasses):
        message.all = True
    elif isinstance(target, str):
        message.label = _unicode(target, "options.target.label")
    else:
        _set(message, "index", target, "options.target.index")


def _set(message: object, field: str, value: object, path: str) -> None:
    """Set one protobuf field, which refuses what does not fit with ValueError or TypeError."""
    if isinstance(value, str):
        value = _unicode(value, path)
    try:
        setattr(message, field, value)
    except (ValueError, TypeError) as error:
        raise invalid_argument(path, f"cannot be {value!r}") from error


def _choice(choices: dict[str, _Enum], value: str, path: str) -> _Enum:
    if value not in choices:
        raise invalid_argument(path, f"must be one of {', '.join(choices)}, not {value!r}")
    return choices[value]


def _unicode(text: str, path: str) -> str:
    if not isinstance(text, str):
        raise invalid_argument(path, f"must be a string, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise invalid_argument(
            path, f"has a lone surrogate at character {error.start}, which is not valid Unicode"
        ) from error
    return text
