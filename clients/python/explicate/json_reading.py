"""Dataclasses out of JSON documents, by the types of their fields.

A document may come from anywhere: of another version, cut off, of something else. What does not fit is a UsageError
that names the field, and nothing is guessed.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from explicate.errors import UsageError
from explicate.inputs import MAY_BE_ALL, ONLY_SOME_KINDS, UNLESS_NONE, File

_Kind = TypeVar("_Kind")
_NOT_A_NUMBER = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_TOLD = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def parsed(text: str | bytes, what: str) -> Mapping[str, object]:
    """The object that a JSON text holds; raises UsageError for a text that is not one, or is cut off or nested too far.

    what: it should tell, for the error.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise UsageError(f"this is not the JSON of {what}: it is nested too deeply") from None
    except (ValueError, TypeError) as error:
        raise UsageError(f"this is not the JSON of {what}: {error}") from None
    return _object(found, f"this is not the JSON of {what}: it")


def read_document(kind: type[_Kind], document: Mapping[str, object]) -> _Kind:
    """A dataclass out of its document; raises UsageError that names the field which does not fit."""
    try:
        read: _Kind = _dataclass(kind, document, "")
    except UsageError as error:
        raise UsageError(f"this does not tell {_article(kind.__name__)} {kind.__name__}: {error}") from None
    return read


def _dataclass(kind: Any, document: object, path: str) -> Any:
    """Any, here and below: a type by its annotation, and a value of it."""
    told = _object(document, path or "the document")
    hints, given = _hints(kind), {}
    for field in fields(kind):
        place = f"{path}.{field.name}".removeprefix(".")
        if field.name in told:
            given[field.name] = _field(field, hints[field.name], told[field.name], place)
        elif field.default is MISSING and field.default_factory is MISSING:
            given[field.name] = _left_out(field, hints[field.name], place)
    made = kind(**given)
    if problem := getattr(made, "misfit", ""):
        raise UsageError(f"{path or 'the document'} {problem}")
    return made


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _field(field: Field[Any], hint: Any, value: object, path: str) -> Any:
    if field.metadata == MAY_BE_ALL and isinstance(value, Mapping) and set(value) == {"label"}:
        return _read(str, value["label"], f"{path}.label")
    if value is None and field.metadata in (ONLY_SOME_KINDS, UNLESS_NONE) and float in get_args(hint):
        return math.nan  # None is left out there
    return _read(hint, value, path)


def _left_out(field: Field[Any], hint: Any, path: str) -> Any:
    """What a field holds that is left out where it is empty."""
    if field.metadata == ONLY_SOME_KINDS:
        if NoneType in get_args(hint):
            return None
        if hint is str or get_origin(hint) is tuple:
            return "" if hint is str else ()
    raise UsageError(f"{path} is missing")


def _read(hint: Any, value: object, path: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _one_of(get_args(hint), value, path)
    if origin is tuple:
        return _tuple(get_args(hint), value, path)
    if origin is not None and issubclass(origin, Mapping):
        of = get_args(hint)[1]
        return {key: _read(of, held, f"{path}[{key}]") for key, held in _object(value, path).items()}
    if origin is not None and issubclass(origin, Sequence):
        return list(_items(get_args(hint)[0], _list(value, path), path))
    if hint in _TOLD:
        return _scalar(hint, value, path)
    if issubclass(hint, File):
        return _file(hint, value, path)
    if issubclass(hint, Enum):
        return _member(hint, value, path)
    if is_dataclass(hint):
        return _dataclass(hint, value, path)
    raise UsageError(f"{path} cannot be {_shown(value)}")  # a date, which comes as a text


def _tuple(of: tuple[Any, ...], value: object, path: str) -> tuple[Any, ...]:
    items = _list(value, path)
    if of[-1] is Ellipsis:
        return _items(of[0], items, path)
    if len(items) != len(of):
        raise UsageError(f"{path} must have {len(of)} items, not {len(items)}")
    return tuple(_read(hint, item, f"{path}[{i}]") for i, (hint, item) in enumerate(zip(of, items, strict=True)))


def _items(hint: Any, items: list[Any], path: str) -> tuple[Any, ...]:
    if hint in _TOLD and set(map(type, items)) <= {hint}:  # the ids of a segment map are many
        return tuple(items)
    return tuple(_read(hint, item, f"{path}[{i}]") for i, item in enumerate(items))


def _one_of(hints: tuple[Any, ...], value: object, path: str) -> Any:
    """A value of the first of several types that it fits: enums go before texts, and what fits as it is before both."""
    for hint in hints:
        if isinstance(hint, type) and issubclass(hint, Enum) and value in [member.value for member in hint]:
            return hint(value)
    if type(value) in hints:
        return value
    refusal = UsageError(f"{path} must be {' or '.join(_name(hint) for hint in hints)}, not {_shown(value)}")
    for hint in hints:
        if hint is not NoneType and not (isinstance(hint, type) and issubclass(hint, Enum)):
            try:
                return _read(hint, value, path)
            except UsageError as error:
                # The error of the part that is wrong says more, where it can only have been meant for this type.
                refusal = error if isinstance(value, dict) and hint not in _TOLD else refusal
    raise refusal


def _scalar(hint: type, value: object, path: str) -> Any:
    if type(value) is hint:
        return value
    if hint is float:
        if value is None:
            return math.nan
        if isinstance(value, str) and value in _NOT_A_NUMBER:
            return _NOT_A_NUMBER[value]
        if type(value) is int and abs(value) < 1 << 1000:  # beyond is no number of ours
            return float(value)
    raise UsageError(f"{path} must be {_TOLD[hint]}, not {_shown(value)}")


def _member(hint: type[Enum], value: object, path: str) -> Enum:
    if value in (values := [member.value for member in hint]):
        return hint(value)
    raise UsageError(f"{path} must be one of {', '.join(map(str, values))}, not {_shown(value)}")


def _file(hint: type[File], value: object, path: str) -> File:
    if isinstance(value, str):
        return hint(b"", value)
    told = _object(value, path)
    name, content = (_read(str, told.get(key), f"{path}.{key}") for key in ("name", "content"))
    try:
        return hint(b64decode(content, validate=True), name)
    except ValueError:
        raise UsageError(f"{path}.content is not base64") from None


def _object(value: object, path: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise UsageError(f"{path} must be an object, not {_shown(value)}")


def _list(value: object, path: str) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    raise UsageError(f"{path} must be a list, not {_shown(value)}")


def _name(hint: Any) -> str:
    return _TOLD.get(hint) or getattr(hint, "__name__", None) or "an object"


def _shown(value: object) -> str:
    """A value in an error: short, whatever it is."""
    if isinstance(value, Mapping | list | tuple):
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a number that is far too large"
    told = json.dumps(value) if value is None or isinstance(value, str | bool | int | float) else type(value).__name__
    return told if len(told) <= 40 else f"{told[:39]}…"


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"
