"""The options of an explanation, from what callers give to protobuf and back."""

from __future__ import annotations

from typing import Any  # an enum's stub is a type of its own

from explicate._wire.copying import copied
from explicate._wire.encoding import set_choice, set_field
from explicate._wire.enum_names import name_of, numbers_of
from explicate.errors import UsageError, invalid_argument
from explicate.options import ALL, AllClasses, ClassChoice, Contrast, ExplainOptions, Target
from explicate.results import ResolvedOptions
from explicate.v1 import explanation_pb2 as explanation_pb

_CHOICES: dict[str, Any] = {
    "output_space": explanation_pb.OutputSpace,
    "granularity": explanation_pb.Granularity,
    "masking": explanation_pb.Masking,
    "quality": explanation_pb.QualityLevel,
}
# The one field with another name than the option.
_RENAMED = {"time_limit_s": "time_limit_seconds"}


def to_message(options: ExplainOptions) -> explanation_pb.ExplainOptions:
    """What the caller gave and nothing else; raises InvalidArgument for a value that its field cannot hold."""
    unknown = sorted(options.keys() - ExplainOptions.__annotations__.keys())
    if unknown:
        raise UsageError(f"no such option of an explanation: {', '.join(unknown)}")
    message = explanation_pb.ExplainOptions()
    for name, value in options.items():
        field = _RENAMED.get(name, name)
        if value is None or name == "target":
            continue
        if name in _CHOICES:
            set_choice(message, field, numbers_of(_CHOICES[name]), value, f"options.{field}")
        else:
            set_field(message, field, value, f"options.{field}")
    if (target := options.get("target")) is not None:
        _set_target(message.target, target)
    return message


def from_message(message: explanation_pb.ExplainOptions) -> ResolvedOptions:
    """The options of an answer; None or an empty string where the server left one unset."""
    choices = {name: name_of(enum, getattr(message, name)) for name, enum in _CHOICES.items()}
    return copied(
        ResolvedOptions,
        message,
        **choices | {"granularity": choices["granularity"] or None},
        **{name: getattr(message, field) for name, field in _RENAMED.items()},
        target=_target(message.target),
    )


def _set_target(message: explanation_pb.Target, target: Target) -> None:
    if isinstance(target, AllClasses):
        message.all.SetInParent()
    elif isinstance(target, Contrast):
        _set_class(message.contrast.target, target.target, "options.target.contrast.target")
        _set_class(message.contrast.reference, target.reference, "options.target.contrast.reference")
    else:
        _set_class(message, target, "options.target")


def _set_class(
    message: explanation_pb.Target | explanation_pb.ClassSelector, chosen: ClassChoice | object, path: str
) -> None:
    if isinstance(chosen, str):
        set_field(message, "label", chosen, f"{path}.label")
    elif isinstance(chosen, int):
        set_field(message, "index", chosen, f"{path}.index")
    else:
        raise invalid_argument(path, f"must be the index or the label of a class, not {chosen!r}")


def _target(message: explanation_pb.Target) -> Target | None:
    match message.WhichOneof("selector"):
        case "all":
            return ALL
        case "contrast":
            target, reference = _class(message.contrast.target), _class(message.contrast.reference)
            return None if target is None or reference is None else Contrast(target, reference)
        case _:
            return _class(message)


def _class(message: explanation_pb.Target | explanation_pb.ClassSelector) -> ClassChoice | None:
    match message.WhichOneof("selector"):
        case "index":
            return message.index
        case "label":
            return message.label
        case _:
            return None
