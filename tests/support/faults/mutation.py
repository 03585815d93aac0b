"""Requests turned to nonsense: bytes that are damaged, and messages whose fields hold what nobody expects."""

import random
from collections.abc import Mapping, Sequence
from typing import Any  # values of whatever type a field has

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_LONG = 10_000
_WORDS = ("", " ", "\0", "a", "live", "tiny", "../../etc/passwd", "a/b", "%s%n", "💥" * 50, "é" * 3, "x" * _LONG, "nan")
_INTS32 = (0, 1, -1, 2, 7, 49, 1024, 2**31 - 1, -(2**31))
_INTS64 = (*_INTS32, 2**63 - 1, -(2**63))
_DOUBLES = (0.0, -0.0, 1.0, 0.5, -1.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))
_VALUES: Mapping[int, Sequence[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: _INTS32,
    FieldDescriptor.CPPTYPE_INT64: _INTS64,
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**32, 2**64 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: _DOUBLES,
    FieldDescriptor.CPPTYPE_FLOAT: _DOUBLES[:8],
    FieldDescriptor.CPPTYPE_BOOL: (True, False),
    FieldDescriptor.CPPTYPE_ENUM: (0, 1, 2, 3, 4, 7, 99),
    FieldDescriptor.CPPTYPE_STRING: _WORDS,
}
_DEEPEST = 6


def damaged(stream: random.Random, content: bytes) -> bytes:
    """The bytes with one to four edits: flipped, cut, doubled, inserted, or ended early."""
    edited = bytearray(content)
    for _ in range(stream.randint(1, 4)):
        first = stream.randrange(len(edited) + 1)
        last = min(len(edited), first + stream.randint(1, 16))
        match stream.randrange(5):
            case 0 if first < len(edited):
                edited[first] ^= 1 << stream.randrange(8)
            case 1:
                del edited[first:last]
            case 2:
                edited[first:first] = edited[first:last] * stream.randint(1, 8)
            case 3:
                edited[first:first] = stream.randbytes(stream.randint(1, 8))
            case _:
                del edited[first:]
    return bytes(edited)


def flipped(stream: random.Random, content: bytes) -> bytes:
    """The bytes with one to eight bits flipped: what is wrong is in a value, the frame around it still fits."""
    edited = bytearray(content)
    for _ in range(stream.randint(1, 8)):
        edited[stream.randrange(len(edited))] ^= 1 << stream.randrange(8)
    return bytes(edited)


def disturbed(stream: random.Random, message: Message) -> bytes:
    """The message with one to three fields that hold something odd, serialised."""
    copy = type(message)()
    copy.CopyFrom(message)
    for _ in range(stream.randint(1, 3)):
        _disturb(stream, copy, _DEEPEST)
    return copy.SerializeToString()


def _disturb(stream: random.Random, message: Message, depth: int) -> None:
    if not message.DESCRIPTOR.fields:
        return
    field = stream.choice(message.DESCRIPTOR.fields)
    if field.is_repeated:
        _disturb_repeated(stream, message, field)
    elif field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE:
        setattr(message, field.name, _value(stream, field))
    elif stream.random() < 0.1:
        message.ClearField(field.name)
    else:
        part = getattr(message, field.name)
        part.SetInParent()
        if depth:
            _disturb(stream, part, depth - 1)


def _disturb_repeated(stream: random.Random, message: Message, field: FieldDescriptor) -> None:
    values = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _disturb_map(stream, values, field.message_type.fields_by_name["value"])
        return
    match stream.randrange(3):
        case 0 if len(values) < _LONG:
            values.extend(list(values))
        case 1:
            message.ClearField(field.name)
        case _:
            _change_one(stream, values, field)


def _change_one(stream: random.Random, values: Any, field: FieldDescriptor) -> None:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        part = stream.choice(values) if values else values.add()
        _disturb(stream, part, _DEEPEST - 2)
    elif values:
        values[stream.randrange(len(values))] = _value(stream, field)
    else:
        values.append(_value(stream, field))


def _disturb_map(stream: random.Random, values: Any, field: FieldDescriptor) -> None:
    key = stream.choice([*sorted(values), *_WORDS])
    if stream.random() < 0.3:
        values.pop(key, None)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        _disturb(stream, values[key], 1)
    else:
        values[key] = _value(stream, field)


def _value(stream: random.Random, field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return stream.choice((b"", b"\0", stream.randbytes(64), b"\x89PNG\r\n\x1a\n" + stream.randbytes(32)))
    return stream.choice(_VALUES[field.cpp_type])
