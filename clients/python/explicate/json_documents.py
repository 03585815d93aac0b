"""Answers as JSON, one document a line.

What only some kinds of models have is left out where it is empty: a text's answer has no columns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

from explicate.inputs import ONLY_SOME_KINDS, UNLESS_NONE, File

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class JsonAnswer:
    """What answers share: their JSON, the same that the command line prints."""

    def to_json(self) -> str:
        """One line of JSON in ASCII, with NaN and infinities as null, `ALL` as "all", and an image as its name."""
        return dumps(self)


def dumps(value: object) -> str:
    """One line of valid JSON: dataclasses as objects, enums as their values, NaN and infinities as null, all in ASCII.

    ASCII, because a text that holds a lone surrogate could not be printed otherwise.
    """
    return json.dumps(_plain(value), allow_nan=False)


def document(value: DataclassInstance) -> dict[str, object]:
    """The fields of a dataclass with what they hold."""
    held = {field: getattr(value, field.name) for field in fields(value)}
    return {field.name: item for field, item in held.items() if _is_told(field.metadata, item)}


def _is_told(metadata: Mapping[str, bool], item: object) -> bool:
    if metadata == ONLY_SOME_KINDS:
        return item is not None and item is not False and item not in ((), "", {})
    return metadata != UNLESS_NONE or item is not None


def _plain(value: object) -> object:
    if isinstance(value, File):  # by its name: the file itself is at hand
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(held) for name, held in document(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return value
