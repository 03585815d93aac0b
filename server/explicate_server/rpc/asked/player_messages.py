"""Groups of parts of an input and fixed parts, between the wire and the domain."""

from collections.abc import Iterable
from typing import Any  # messages of several types

from explicate.options import PixelBox, PixelPolygon, Segment, TextRange
from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import players_pb2 as messages
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.inference.asking.player_groups import FIXED, GROUPS, PlayerGroup
from explicate_server.modalities.parts import Named, Part

_OPTIONS = explanation_messages.ExplainOptions


def groups(message: _OPTIONS) -> tuple[PlayerGroup, ...]:
    """The groups as given; raises InvalidRequest for a part without a kind."""
    return tuple(
        PlayerGroup(group.name, _parts(group.parts, f"{GROUPS}[{group.name}].parts")) for group in message.groups
    )


def fixed(message: _OPTIONS) -> tuple[Part, ...]:
    """The fixed parts, likewise."""
    return _parts(message.fixed, FIXED)


def group_messages(resolved: Iterable[PlayerGroup]) -> list[messages.PlayerGroup]:
    """The groups of an answer's options."""
    return [messages.PlayerGroup(name=group.name, parts=part_messages(group.parts)) for group in resolved]


def part_messages(parts: Iterable[Part]) -> list[messages.InputPart]:
    """Parts as they were asked for."""
    return [_part_message(part) for part in parts]


def _parts(given: Iterable[messages.InputPart], path: str) -> tuple[Part, ...]:
    return tuple(_part(message, f"{path}[{index}]") for index, message in enumerate(given))


def _part(message: messages.InputPart, path: str) -> Part:
    match message.WhichOneof("kind"):
        case "name":
            return Named(message.name)
        case "range":
            return TextRange(message.range.start, message.range.end, message.range.in_pair)
        case "segment":
            return Segment(message.segment)
        case "box":
            return PixelBox(message.box.left, message.box.top, message.box.right, message.box.bottom)
        case "polygon":
            return PixelPolygon(tuple((point.x, point.y) for point in message.polygon.points))
        case _:
            raise InvalidRequest([Violation(path, "has no kind; set name, range, segment, box or polygon")])


def _part_message(part: Part) -> messages.InputPart:
    fields: dict[str, Any]
    match part:
        case Named(name):
            fields = {"name": name}
        case TextRange(start, end, in_pair):
            fields = {"range": messages.TextRange(start=start, end=end, in_pair=in_pair)}
        case Segment(number):
            fields = {"segment": number}
        case PixelBox(left, top, right, bottom):
            fields = {"box": messages.PixelBox(left=left, top=top, right=right, bottom=bottom)}
        case PixelPolygon(points):
            corners = [messages.PixelPoint(x=x, y=y) for x, y in points]
            fields = {"polygon": messages.PixelPolygon(points=corners)}
    return messages.InputPart(**fields)
