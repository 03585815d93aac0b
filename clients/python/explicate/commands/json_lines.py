"""Answers as JSON, one document a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

from explicate.commands.texts import Row, why
from explicate.errors import ServerError


def dumps(value: object) -> str:
    """One line of valid JSON: dataclasses as objects, enums as their values, NaN and infinities as null, all in ASCII.

    ASCII, because a text that holds a lone surrogate could not be printed otherwise.
    """
    return json.dumps(_plain(value), allow_nan=False)


def failure(row: Row, error: ServerError) -> str:
    """The line of a text that has no answer."""
    cause = {"code": error.code, "reason": error.reason, "message": why(error)}
    return dumps({"input": row.number, "text": row.text, "error": cause})


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Enum):
        return value.value
    return value
