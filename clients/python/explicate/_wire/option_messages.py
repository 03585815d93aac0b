"""The options of an explanation as a protobuf message: from what a caller gave, and to what the server resolved."""

from __future__ import annotations

from explicate._wire.enum_names import GRANULARITIES, MASKINGS, OUTPUT_SPACES, QUALITY_LEVELS, name_of
from explicate._wire.fields import set_choice, set_field
from explicate.errors import UsageError, invalid_argument
from explicate.explanation import ResolvedOptions
from explicate.options import ALL, AllClasses, ClassChoice, Contrast, ExplainOptions, Target
from explicate.v1 import explanation_pb2 as explanation_pb

# Options that are plain numbers or strings: ours, then the field's name.
_PLAIN_FIELDS = {
    "method": "method",
    "max_evaluations": "max_evaluations",
    "min_evaluations": "min_evaluations",
    "tolerance": "tolerance",
    "confidence": "confidence",
    "time_limit_s": "time_limit_seconds",
    "seed": "seed",
    "top_k": "top_k",
    "max_players": "max_players",
    "segments": "segments",
}
_CHOICES = {
    "output_space": OUTPUT_SPACES,
    "granularity": GRANULARITIES,
    "masking": MASKINGS,
    "quality": QUALITY_LEVELS,
}


def to_message(options: ExplainOptions) -> explanation_pb.ExplainOptions:
    """What the caller gave and nothing else; raises InvalidArgument for a value that its field cannot hold."""
    unknown = sorted(options.keys() - ExplainOptions.__annotations__.keys())
    if unknown:
        raise UsageError(f"no such option of an explanation: {', '.join(unknown)}")
    message = explanation_pb.ExplainOptions()
    for name, value in options.items():
        if value is None:
            continue
        if name in _CHOICES:
            set_choice(message, name, _CHOICES[name], value, f"options.{name}")
        elif name in _PLAIN_FIELDS:
            set_field(message, _PLAIN_FIELDS[name], value, f"options.{_PLAIN_FIELDS[name]}")
    if (target := options.get("target")) is not None:
        _set_target(message.target, target)
    return message


def from_message(message: explanation_pb.ExplainOptions) -> ResolvedOptions:
    """The options of an answer; None or an empty string where the server left one unset."""
    return ResolvedOptions(
        method=message.method,
        target=_target(message.target),
        output_space=name_of(OUTPUT_SPACES, message.output_space),
        granularity=name_of(GRANULARITIES, message.granularity) or None,
        masking=name_of(MASKINGS, message.masking),
        max_evaluations=message.max_evaluations,
        min_evaluations=message.min_evaluations,
        tolerance=message.tolerance,
        confidence=message.confidence,
        time_limit_s=message.time_limit_seconds,
        seed=message.seed,
        top_k=message.top_k if message.HasField("top_k") else None,
        quality=name_of(QUALITY_LEVELS, message.quality),
        max_players=message.max_players if message.HasField("max_players") else None,
        segments=message.segments if message.HasField("segments") else None,
    )


def _set_target(message: explanation_pb.Target, target: Target) -> None:
    if isinstance(target, AllClasses):
        message.all = True
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
