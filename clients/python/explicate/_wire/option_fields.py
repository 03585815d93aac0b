"""The options of an explanation, from what callers give to protobuf and back.

The names that callers use for the values of the contract's enums, derived from the descriptors.

A name is the value's without the enum's prefix, in lower case, with dashes: MASKING_MASK_TOKEN is "mask-token".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import (
    Any,  # an enum's stub is a type of its own
    TypeVar,
)

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from explicate._wire.encoding import check_names, set_baseline, set_choice, set_field
from explicate.errors import invalid_argument
from explicate.inputs import CellValue, Input, TextPair
from explicate.options import ALL, AllClasses, ClassChoice, Contrast, ExplainOptions, Target
from explicate.results import ResolvedOptions
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import table_pb2 as table_pb
from explicate.v1.baseline_pb2 import Baseline

_Result = TypeVar("_Result")


def copied(kind: Callable[..., _Result], message: Message, /, **others: object) -> _Result:
    """A `kind`, a dataclass, with what `message` holds in the fields of the same names, and `others` as given.

    Repeated fields become tuples. A field that is unset becomes None where the dataclass takes that, else its empty
    value.
    """
    values = {name: _value(message, name, declared) for name, declared in _declared(kind).items() if name not in others}
    return kind(**values, **others)


def _value(message: Message, name: str, declared: str) -> Any:
    if declared.endswith("| None") and not message.HasField(name):
        return None
    value = getattr(message, name)
    return tuple(value) if declared.startswith("tuple") else value


@cache
def _declared(kind: Any) -> Mapping[str, str]:
    """The types of a dataclass's fields, as they are written."""
    return {field.name: str(field.type) for field in dataclasses.fields(kind)}


# Of grpc.health.v1, which the client speaks without its package.


def numbers_of(enum: Any) -> Mapping[str, int]:
    """The numbers of an enum's values by their names; 0, which is unspecified, has none."""
    return _numbers(enum.DESCRIPTOR)


def name_of(enum: Any, number: int) -> str:
    """The name of `number`; empty for 0, which is unspecified, and the number itself when this client has no name."""
    return _names(enum.DESCRIPTOR).get(number, str(number))


@cache
def _names(enum: EnumDescriptor) -> Mapping[int, str]:
    return {0: "", **{number: name for name, number in _numbers(enum).items()}}


@cache
def _numbers(enum: EnumDescriptor) -> Mapping[str, int]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower().replace("_", "-"): value.number for value in enum.values[1:]}


_CHOICES: dict[str, Any] = {
    "output_space": explanation_pb.OutputSpace,
    "granularity": explanation_pb.Granularity,
    "masking": explanation_pb.Masking,
    "quality": explanation_pb.QualityLevel,
}
# The one field with another name than the option.
_RENAMED = {"time_limit_s": "time_limit_seconds"}


def to_message(options: ExplainOptions, explained: str) -> explanation_pb.ExplainOptions:
    """What the caller gave and nothing else; raises InvalidArgument for a value that its field cannot hold.

    explained: the kind of input that is explained, a field of `Input`.
    """
    check_names(options, ExplainOptions.__annotations__, "an explanation")
    message = explanation_pb.ExplainOptions()
    for name, value in options.items():
        field = _RENAMED.get(name, name)
        if value is None or name in ("target", "baseline"):
            continue
        if name in _CHOICES:
            set_choice(message, field, numbers_of(_CHOICES[name]), value, f"options.{field}")
        else:
            set_field(message, field, value, f"options.{field}")
    if (target := options.get("target")) is not None:
        _set_target(message.target, target)
    if (baseline := options.get("baseline")) is not None:
        set_baseline(message.baseline, baseline, explained)
    return message


def from_message(message: explanation_pb.ExplainOptions, baseline: Input | None = None) -> ResolvedOptions:
    """The options of an answer; None or an empty string where the server left one unset.

    baseline: what was asked for, of which the server says a file's digest only.
    """
    choices = {name: name_of(enum, getattr(message, name)) for name, enum in _CHOICES.items()}
    return copied(
        ResolvedOptions,
        message,
        **choices | {"granularity": choices["granularity"] or None},
        **{name: getattr(message, field) for name, field in _RENAMED.items()},
        target=_target(message.target),
        baseline=_baseline(message.baseline, baseline),
    )


def _baseline(message: Baseline, asked: Input | None) -> Input | None:
    match message.WhichOneof("kind"):
        case "text":
            text = message.text
            return TextPair(text.text, text.text_pair) if text.HasField("text_pair") else text.text
        case "tabular":
            return {name: cell_value(cell) for name, cell in message.tabular.cells.items()}
        case None:
            return None
        case _:
            return message.name or message.colour or asked


def cell_value(cell: table_pb.Cell) -> CellValue:
    """The value of a column."""
    match cell.WhichOneof("kind"):
        case "number":
            return cell.number
        case "category":
            return cell.category
        case _:
            return None


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
