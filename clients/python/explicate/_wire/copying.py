"""Dataclasses made from protobuf messages: fields of the same name are copied in this one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from google.protobuf.message import Message

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
