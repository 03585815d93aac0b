"""The calls that change what a server serves, as `explicate._wire.calls` has those that ask."""

from __future__ import annotations

from google.protobuf.message import Message

from explicate._wire import model_answers
from explicate._wire.calls import Call
from explicate._wire.fields import set_field, unicode_text
from explicate.model_info import ModelChanges, ModelStatus, Switched, Traffic
from explicate.v1 import model_service_pb2 as model_pb


def load(model: str, *, version: int | None) -> Call[ModelStatus]:
    """Load a version, or the newest."""
    request = model_pb.LoadModelRequest(model=_name(model))
    _set(request, version=version)
    return Call("LoadModel", request, _status)


def unload(model: str, version: int) -> Call[ModelStatus]:
    """Take a version out of memory."""
    request = model_pb.UnloadModelRequest(model=_name(model))
    _set(request, version=version)
    return Call("UnloadModel", request, _status)


def activate(model: str, version: int, *, label: str, expected_version: int | None) -> Call[Switched]:
    """Point a label at a version."""
    request = model_pb.ActivateVersionRequest(model=_name(model), label=_label(label))
    _set(request, version=version, expected_version=expected_version)
    return Call("ActivateVersion", request, model_answers.switched)


def roll_back(model: str, *, label: str, expected_version: int | None) -> Call[Switched]:
    """Point a label where it pointed before."""
    request = model_pb.RollbackModelRequest(model=_name(model), label=_label(label))
    _set(request, expected_version=expected_version)
    return Call("RollbackModel", request, model_answers.switched)


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
    return Call("SetTraffic", request, lambda response: model_answers.traffic(response.traffic))


def watch(model: str | None) -> Call[ModelChanges]:
    """Every state, then every change."""
    return Call("WatchModels", model_pb.WatchModelsRequest(model=_name(model or "")), model_answers.changes)


def _status(
    response: model_pb.LoadModelResponse | model_pb.UnloadModelResponse | model_pb.RemoveLabelResponse,
) -> ModelStatus:
    return model_answers.model_status(response.status)


def _name(model: str) -> str:
    return unicode_text(model, "model")


def _label(label: str) -> str:
    return unicode_text(label, "label")


def _set(request: Message, **versions: int | None) -> None:
    for field, version in versions.items():
        if version is not None:
            set_field(request, field, version, field)
