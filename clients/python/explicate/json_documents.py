"""Answers as JSON, one document a line, and back; `json_reading` has the way back.

What only some kinds of models have is left out where it is empty: a text's answer has no columns. docs/api.md has the
shape; it is also what the command line prints.
"""

from __future__ import annotations

import json
import math
import numbers
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

from explicate.inputs import MAY_BE_ALL, ONLY_SOME_KINDS, UNLESS_NONE, File, category, kind_of
from explicate.json_reading import parsed, read_document

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class JsonAnswer:
    """What answers share: their JSON, the same that the command line prints, and themselves out of it.

    NaN is null, an infinity "Infinity" or "-Infinity", `ALL` is "all", a date is text, an image its name, or with
    `files` its name and its content in base64. What comes back is equal, but for these: a date is text, what was
    missing in a row is None, and an image told by its name has no content.
    """

    def to_dict(self, *, files: bool = False) -> dict[str, object]:
        """The document as plain dicts, lists, texts, numbers, truth values and None."""
        plain: dict[str, object] = _plain(self, files=files)
        return plain

    def to_json(self, *, files: bool = False) -> str:
        """The document on one line, in ASCII."""
        return json.dumps(self.to_dict(files=files), allow_nan=False)

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> Self:
        """What a document tells. Fields that this version does not know are passed over.

        Raises UsageError that names the field where something is missing, of another type or does not fit the rest.
        """
        return read_document(cls, document)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The same for one line of JSON, such as `to_json` gives and the command line prints."""
        return cls.from_dict(parsed(text, cls.__name__))


def dumps(value: object) -> str:
    """One line of valid JSON: dataclasses as objects, enums as their values, NaN as null, all in ASCII.

    ASCII, because a text that holds a lone surrogate could not be printed otherwise.
    """
    return json.dumps(_plain(value, files=False), allow_nan=False)


def document(value: DataclassInstance) -> dict[str, object]:
    """The fields of a dataclass with what they hold."""
    held = {field: getattr(value, field.name) for field in fields(value)}
    return {
        field.name: {"label": item} if field.metadata == MAY_BE_ALL and item == "all" else item
        for field, item in held.items()
        if _is_told(field.metadata, item)
    }


def _is_told(metadata: Mapping[str, bool], item: object) -> bool:
    if metadata == ONLY_SOME_KINDS:
        return item is not None and item is not False and item not in ((), "", {})
    return metadata != UNLESS_NONE or item is not None


def _plain(value: object, *, files: bool) -> Any:  # Any: what JSON knows, by the value
    if isinstance(value, File):  # by its name: the file itself is at hand
        return {"name": value.name, "content": b64encode(value.content).decode()} if files else value.name
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(held, files=files) for name, held in document(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, files=files) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, files=files) for item in value]
    if isinstance(value, Enum):
        return value.value
    return _scalar(value)


def _scalar(value: object) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, date):
        return value.isoformat()
    match kind_of(type(value)):  # also what other libraries have in the cells of a row
        case "number" if isinstance(value, numbers.Integral):
            return int(value)
        case "number" if isinstance(value, numbers.Real):
            return _number(float(value))
        case "category":
            return category(value) == "true"
        case "missing":
            return None
    return value


def _number(value: float) -> float | str | None:
    """JSON has no infinities and no NaN; the former are spelled as in the JSON of protobuf."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
