"""Each call of the API in one place: the method, its request, and how its response becomes the client's answer.

Both clients only differ in how they send a `Call`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.wrappers_pb2 import StringValue

from explicate._wire import decoding, option_fields
from explicate._wire.encoding import TableColumns, input_message, set_choice, set_field, table_message, unicode_text
from explicate._wire.health_check import STATES, service_of
from explicate._wire.option_fields import numbers_of
from explicate.errors import UsageError, invalid_argument
from explicate.inputs import File, Input, TextPair, noun_of, plain_input
from explicate.model_info import ModelChanges, ModelDescription, ModelStatus, Switched, Traffic
from explicate.options import ExplainOptions, Priority
from explicate.results import ExplainResult, PackedResult, PredictResult
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb

_Answer = TypeVar("_Answer")
# As the server's call_record.py has it.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
Metadata = tuple[tuple[str, str | bytes], ...]
AFFINITY_KEY = "x-explicate-affinity"  # as deploy/envoy has it


@dataclass(frozen=True)
class Call(Generic[_Answer]):
    """One call. `answer` takes a response of the method, or each of a stream's; `request_id` names it in logs."""

    method: str
    request: Message
    answer: Callable[[Any], _Answer]  # Any: the method's own response message
    request_id: str | None = None

    def __post_init__(self) -> None:
        # The server replaces one that it does not like; here it is a mistake of the program.
        if self.request_id is not None and not _REQUEST_ID.fullmatch(self.request_id):
            raise invalid_argument("request_id", "give 1 to 64 letters, digits, '.', '_', ':' or '-'")

    def metadata(self, given: Metadata | None, *, affinity: bool = False) -> Metadata | None:
        """What goes along with the request: what the client gives, such as a token, and the request id if there is one.

        affinity: also a digest of what is explained, by which a balancer brings calls for one input to one server.
        """
        own: Metadata = (("x-request-id", self.request_id),) if self.request_id is not None else ()
        if affinity and isinstance(self.request, inference_pb.ExplainRequest | inference_pb.StreamExplainRequest):
            spec = self.request.spec
            explained = spec.model.model.encode() + b"\0" + spec.input.SerializeToString(deterministic=True)
            own = (*own, (AFFINITY_KEY, blake2b(explained, digest_size=16).hexdigest()))
        return (*(given or ()), *own) or None


def predict(
    model: str,
    inputs: Sequence[Input],
    *,
    version: int | None,
    label: str | None,
    priority: Priority | None,
    request_id: str | None = None,
) -> Call[PredictResult]:
    """Score `inputs`; raises InvalidArgument for a text, a cell or a file that cannot be sent."""
    if isinstance(inputs, str | Mapping | File | TextPair):
        one = noun_of(inputs)
        raise UsageError(f"inputs must be a list of {one}s; for one {one} write predict(model, [{one}])")
    if hasattr(inputs, "columns"):
        raise UsageError("inputs must be a list of rows; for a whole table write predict_table(model, table)")
    request = inference_pb.PredictRequest(
        model=_model_ref(model, version, label),
        inputs=[input_message(plain_input(value), f"inputs[{i}]") for i, value in enumerate(inputs)],
    )
    _set_priority(request, priority)
    return Call("Predict", request, decoding.predict_result, request_id)


def predict_table(
    model: str,
    columns: TableColumns,
    *,
    version: int | None,
    label: str | None,
    priority: Priority | None,
    request_id: str | None = None,
) -> Call[PackedResult]:
    """Score the rows of a table; raises InvalidArgument for a column that cannot be sent."""
    request = inference_pb.PredictRequest(model=_model_ref(model, version, label), table=table_message(columns))
    _set_priority(request, priority)
    return Call("Predict", request, decoding.packed_result, request_id)


def explain(
    model: str,
    value: Input,
    options: ExplainOptions,
    *,
    version: int | None,
    label: str | None,
    priority: Priority | None,
    request_id: str | None = None,
    stream: bool = False,
) -> Call[ExplainResult]:
    """Explain one input, with a `stream` of answers or one; raises InvalidArgument for what cannot be sent."""
    value = plain_input(value)
    message = input_message(value, "input")
    spec = inference_pb.ExplainSpec(
        model=_model_ref(model, version, label),
        input=message,
        options=option_fields.to_message(options, str(message.WhichOneof("kind"))),
    )
    _set_priority(spec, priority)
    request = inference_pb.StreamExplainRequest if stream else inference_pb.ExplainRequest
    method = "StreamExplain" if stream else "Explain"
    answers = decoding.ExplainAnswers(value, plain_input(options.get("baseline")))
    return Call(method, request(spec=spec), answers, request_id)


def check_many(inputs: Input | Iterable[Input] | AsyncIterable[Input]) -> None:
    """Raise UsageError for one input in place of many."""
    if isinstance(inputs, str | Mapping | File | TextPair):
        one = noun_of(inputs)
        raise UsageError(f"inputs must be an iterable of {one}s; for one {one} write explain(model, {one})")
    if hasattr(inputs, "columns"):
        raise UsageError("inputs must be an iterable of rows; for a table write table.to_dict('records')")


def explain_table(
    model: str,
    columns: TableColumns,
    options: ExplainOptions,
    answer: Callable[[inference_pb.ExplainTableResponse], _Answer],
    *,
    version: int | None,
    label: str | None,
    priority: Priority | None,
    request_id: str | None = None,
) -> Call[_Answer]:
    """Explain the rows of a table; raises InvalidArgument for a column that cannot be sent."""
    request = inference_pb.ExplainTableRequest(
        model=_model_ref(model, version, label),
        table=table_message(columns),
        options=option_fields.to_message(options, "tabular"),
    )
    _set_priority(request, priority)
    return Call("ExplainTable", request, answer, request_id)


def list_models() -> Call[tuple[ModelStatus, ...]]:
    """Every version the server knows."""
    return Call("ListModels", model_pb.ListModelsRequest(), decoding.model_statuses)


def list_page(page_size: int, page_token: str) -> Call[tuple[tuple[ModelStatus, ...], str]]:
    """Some versions, and the token that asks for those after them; empty on the last page."""
    request = model_pb.ListModelsRequest()
    if page_token:
        set_field(request, "page_token", page_token, "page_token")
    if page_size:
        set_field(request, "page_size", page_size, "page_size")
    return Call("ListModels", request, lambda page: (decoding.model_statuses(page), page.next_page_token))


def get_model(name: str, *, version: int | None, label: str | None = None) -> Call[ModelDescription]:
    """One version, or the one with a label, by default the live one."""
    if version is not None and label is not None:
        raise UsageError("give a version or a label, not both")
    request = model_pb.GetModelRequest(model=unicode_text(name, "model"))
    _set(request, version=version, label=label)
    return Call("GetModel", request, decoding.model_description)


def health(model: str | None, *, alive: bool) -> Call[str]:
    """Whether the server, or one model of it, is ready, or the server `alive`.

    The messages of grpc.health.v1 are those of wrappers.proto to the byte, one field with the number 1 each, so that
    the thin client needs no package for them: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
    """
    service = service_of(model if model is None else unicode_text(model, "model"), alive=alive)
    return Call("Check", StringValue(value=service), lambda answer: STATES.get(answer.value, str(answer.value)))


def _model_ref(model: str, version: int | None, label: str | None) -> inference_pb.ModelRef:
    if version is not None and label is not None:
        raise UsageError("give a version or a label, not both")
    reference = inference_pb.ModelRef(model=unicode_text(model, "model.model"))
    if version is not None:
        set_field(reference, "version", version, "model.version")
    if label is not None:
        reference.label = unicode_text(label, "model.label")
    return reference


def _set_priority(request: Message, priority: Priority | None) -> None:
    if priority is not None:
        set_choice(request, "priority", numbers_of(inference_pb.Priority), priority, "priority")


def load(model: str, *, version: int | None, override_standard: str | None = None) -> Call[ModelStatus]:
    """Load a version, or the newest."""
    request = model_pb.LoadModelRequest(model=_name(model))
    _set(request, version=version, override_standard=override_standard)
    return Call("LoadModel", request, _status)


def unload(model: str, version: int) -> Call[ModelStatus]:
    """Take a version out of memory."""
    request = model_pb.UnloadModelRequest(model=_name(model))
    _set(request, version=version)
    return Call("UnloadModel", request, _status)


def activate(
    model: str, version: int, *, label: str, expected_version: int | None, override_standard: str | None = None
) -> Call[Switched]:
    """Point a label at a version."""
    request = model_pb.ActivateVersionRequest(model=_name(model), label=_label(label))
    _set(request, version=version, expected_version=expected_version or None, override_standard=override_standard)
    if expected_version == 0:
        request.expected_none = NULL_VALUE
    return Call("ActivateVersion", request, decoding.switched)


def roll_back(model: str, *, label: str, expected_version: int | None) -> Call[Switched]:
    """Point a label where it pointed before."""
    request = model_pb.RollbackModelRequest(model=_name(model), label=_label(label))
    _set(request, expected_version=expected_version)
    return Call("RollbackModel", request, decoding.switched)


def remove_label(model: str, label: str, *, expected_version: int | None) -> Call[ModelStatus]:
    """Remove a label."""
    request = model_pb.RemoveLabelRequest(model=_name(model), label=_label(label))
    _set(request, expected_version=expected_version)
    return Call("RemoveLabel", request, _status)


def set_traffic(model: str, *, canary_share: float, shadow_share: float) -> Call[Traffic]:
    """Give the canary its shares."""
    request = model_pb.SetTrafficRequest(model=_name(model))
    set_field(request.traffic, "canary_share", canary_share, "traffic.canary_share")
    set_field(request.traffic, "shadow_share", shadow_share, "traffic.shadow_share")
    return Call("SetTraffic", request, lambda response: decoding.traffic(response.traffic))


def watch(model: str | None) -> Call[ModelChanges]:
    """Every state, then every change."""
    request = model_pb.WatchModelsRequest(model=_name(model) if model else None)
    return Call("WatchModels", request, decoding.changes)


def _status(
    response: model_pb.LoadModelResponse | model_pb.UnloadModelResponse | model_pb.RemoveLabelResponse,
) -> ModelStatus:
    return decoding.model_status(response.status)


def _name(model: str) -> str:
    return unicode_text(model, "model")


def _label(label: str) -> str:
    return unicode_text(label, "label")


def _set(request: Message, **fields: int | str | None) -> None:
    for field, value in fields.items():
        if value is not None:
            set_field(request, field, value, field)
