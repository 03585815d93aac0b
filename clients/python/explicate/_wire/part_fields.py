"""Groups of parts of an input and fixed parts, as protobuf messages and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any  # what a caller gave

from explicate._wire.encoding import set_field, unicode_text
from explicate.errors import invalid_argument
from explicate.options import Part, PixelBox, PixelPolygon, Segment, TextRange
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import players_pb2 as players_pb

_GROUPS, _FIXED = "options.groups", "options.fixed"
_FORMS = "a name, an explicate.TextRange, Segment, PixelBox or PixelPolygon"
_MESSAGES: Mapping[type, str] = {TextRange: "range", Segment: "segment", PixelBox: "box", PixelPolygon: "polygon"}


def set_players(message: explanation_pb.ExplainOptions, groups: Any, fixed: Any) -> None:
    """Say which parts are one player and which are fixed; raises InvalidArgument for what cannot be sent."""
    if not isinstance(groups, Mapping | None):
        raise invalid_argument(_GROUPS, f"must be a mapping from names to parts, not {type(groups).__name__}")
    for name, parts in (groups or {}).items():
        told = message.groups.add(name=unicode_text(name, _GROUPS))
        told.parts.extend(_parts(parts, f"{_GROUPS}[{name}].parts"))
    if fixed is not None:
        message.fixed.extend(_parts(fixed, _FIXED))


def _parts(given: Any, path: str) -> list[players_pb.InputPart]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise invalid_argument(path, f"must be a list of parts, not {given!r}")
    return [_message(part, f"{path}[{index}]") for index, part in enumerate(given)]


def _message(part: Any, path: str) -> players_pb.InputPart:
    message = players_pb.InputPart()
    match part:
        case str():
            set_field(message, "name", part, path)
        case Segment(number):
            set_field(message, "segment", number, path)
        case TextRange() | PixelBox():
            told = getattr(message, _MESSAGES[type(part)])
            told.SetInParent()
            for name, value in vars(part).items():
                set_field(told, name, value, f"{path}.{name}")
        case PixelPolygon(points):
            message.polygon.SetInParent()
            for index, (x, y) in enumerate(points):
                corner = message.polygon.points.add()
                set_field(corner, "x", x, f"{path}.points[{index}]")
                set_field(corner, "y", y, f"{path}.points[{index}]")
        case _:
            raise invalid_argument(path, f"must be {_FORMS}, not {part!r}")
    return message


def groups(message: explanation_pb.ExplainOptions) -> dict[str, tuple[Part, ...]]:
    """The groups of an answer's options."""
    return {group.name: tuple(map(_part, group.parts)) for group in message.groups}


def fixed(message: explanation_pb.ExplainOptions) -> tuple[Part, ...]:
    """The fixed parts of an answer's options."""
    return tuple(map(_part, message.fixed))


def _part(message: players_pb.InputPart) -> Part:
    match message.WhichOneof("kind"):
        case "range":
            return TextRange(message.range.start, message.range.end, message.range.in_pair)
        case "segment":
            return Segment(message.segment)
        case "box":
            return PixelBox(message.box.left, message.box.top, message.box.right, message.box.bottom)
        case "polygon":
            return PixelPolygon(tuple((point.x, point.y) for point in message.polygon.points))
        case _:
            return message.name
