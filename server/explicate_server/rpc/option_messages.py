"""The options of an explanation between the wire and the domain, both ways, and the defaults that GetModel tells.

Options of the same name are copied by that name, so that a new one is added to one tuple.

Names of the values of the API's enums, as the rest of the server uses them: derived from their descriptors.

A name is the value's without the enum's prefix, in lower case, with dashes: MASKING_MASK_TOKEN is "mask-token". The
value 0 of every enum, such as MASKING_UNSPECIFIED, says nothing and has no name.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any  # fields have values of several types

from google.protobuf.descriptor import EnumDescriptor

from explicate.v1 import explanation_pb2 as messages
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.inference.asking.targets import ClassName, Contrast, Target
from explicate_server.inference.explain_options import ExplainOptions, ResolvedOptions, check_options
from explicate_server.registry.records import Choices
from explicate_server.rpc.asked.baseline_messages import baseline, baseline_message
from explicate_server.settings import Settings


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


@cache
def value_names(enum: EnumDescriptor) -> Mapping[int, str | None]:
    """The names of an enum's values by their numbers; None for the unspecified one."""
    prefix = _prefix(enum)
    return {
        number: value.name.removeprefix(prefix).lower().replace("_", "-") if number else None
        for number, value in enum.values_by_number.items()
    }


def is_known(enum: Any, number: int) -> bool:
    """Whether an enum has a value of this number; a field can hold any."""
    return number in value_names(enum.DESCRIPTOR)


def name_of(enum: Any, number: int) -> str | None:
    """The name of a value of an enum; None of the unspecified one.

    Raises:
        KeyError: the enum does not have it.
    """
    return value_names(enum.DESCRIPTOR)[number]


def number_of(enum: Any, name: str | None) -> Any:
    """The value of an enum by its name; None of None, which leaves a field unset.

    Raises:
        ValueError: the enum does not have it.
    """
    if name is None:
        return None
    prefix = _prefix(enum.DESCRIPTOR)
    return enum.Value(prefix + name.upper().replace("-", "_"))


_SAME_NAMES = (
    "max_evaluations",
    "min_evaluations",
    "tolerance",
    "confidence",
    "seed",
    "top_k",
    "max_players",
    "segments",
)
# Our name of each number, and its field's.
_NUMBERS = {"time_limit_s": "time_limit_seconds", **{name: name for name in _SAME_NAMES}}
_CHOICES: dict[str, Any] = {
    "output_space": messages.OutputSpace,
    "granularity": messages.Granularity,
    "masking": messages.Masking,
    "quality": messages.QualityLevel,
}
# What a default depends on the number of players for; whether that of a method does shows with two of them.
_BUDGETS = ("max_evaluations", "min_evaluations")
_FEW_PLAYERS = (1, 3)


def explain_options(message: messages.ExplainOptions) -> ExplainOptions:
    """The options as given; enum values this server does not know are refused, not ignored.

    Raises:
        InvalidRequest: an enum has a value without a meaning, or a baseline a cell without a value.
    """
    for name, enum in _CHOICES.items():
        number = getattr(message, name)
        if not is_known(enum, number):
            raise InvalidRequest([Violation(f"options.{name}", f"{number} is not a value of this enum")])
    numbers: dict[str, Any] = {
        ours: getattr(message, field)
        for ours, field in _NUMBERS.items()
        if message.HasField(field)  # type: ignore[arg-type]  # one of its names
    }
    choices: dict[str, Any] = {name: name_of(enum, getattr(message, name)) for name, enum in _CHOICES.items()}
    method = message.method if message.HasField("method") else None
    return ExplainOptions(
        method=method, target=_target(message.target), baseline=baseline(message), **numbers, **choices
    )


def resolved_options(options: ResolvedOptions) -> messages.ExplainOptions:
    """The options as resolved; those that do not apply stay unset."""
    return messages.ExplainOptions(
        method=options.method.name,
        target=_target_message(options.target),
        baseline=baseline_message(options.baseline),
        **{field: getattr(options, ours) for ours, field in _NUMBERS.items()},
        **{name: number_of(enum, getattr(options, name)) for name, enum in _CHOICES.items()},
    )


def default_options(method: str, *, choices: Choices, settings: Settings) -> messages.ExplainOptions:
    """What a request that names a method and nothing else resolves to, less what depends on the input."""
    checked = check_options(ExplainOptions(method=method), choices=choices, settings=settings)
    message, other = (resolved_options(checked.for_players(players)) for players in _FEW_PLAYERS)
    for name in _BUDGETS:
        if getattr(message, name) != getattr(other, name):
            message.ClearField(name)  # type: ignore[arg-type]  # one of its names
    message.ClearField("max_players")  # follows from the budget
    message.ClearField("target")  # the predicted class
    return message


def _target(message: messages.Target) -> Target:
    match message.WhichOneof("selector"):
        case "index":
            return Target(index=message.index)
        case "label":
            return Target(label=message.label)
        case "all":
            return Target(all=True)
        case "contrast":
            contrast = message.contrast
            return Target(contrast=Contrast(_class_name(contrast.target), _class_name(contrast.reference)))
        case _:
            return Target()


def _class_name(message: messages.ClassSelector) -> ClassName | None:
    selector = message.WhichOneof("selector")
    return getattr(message, selector) if selector else None


def _target_message(target: Target) -> messages.Target:
    if target.all:
        return messages.Target(all=messages.AllClasses())
    if target.contrast:
        sides = {"target": target.contrast.target, "reference": target.contrast.reference}
        selectors = {side: _class_selector(name) for side, name in sides.items()}
        return messages.Target(contrast=messages.Contrast(**selectors))
    if target.label is not None:
        return messages.Target(label=target.label)
    return messages.Target() if target.index is None else messages.Target(index=target.index)


def _class_selector(name: ClassName | None) -> messages.ClassSelector:
    if isinstance(name, str):
        return messages.ClassSelector(label=name)
    return messages.ClassSelector() if name is None else messages.ClassSelector(index=name)
