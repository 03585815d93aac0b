"""Plain text tables, and texts made safe for a terminal.

Answers as JSON, one document a line.

What only some kinds of models have is left out where it is empty: a text's answer has no columns.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING

from explicate.inputs import ONLY_SOME_KINDS, UNLESS_NONE, File
from explicate.views.characters import characters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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
    if isinstance(value, Enum):
        return value.value
    return value


# What joins letters and emoji, and the tags of a flag: not printable by itself, and harmless.
_JOINERS = frozenset(["\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))])


def printable(text: str) -> str:
    """`text` with what could command the terminal (escape sequences, bells) or break a line made visible."""
    return "".join(_printable(character) for character in text)


def _printable(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


def shortened(text: str, width: int) -> str:
    """`text` on one line of at most `width` columns, with an ellipsis where it was cut."""
    text = printable(text)
    if display_width(text) <= width:
        return text
    room, kept = width - 1, ""
    for character in characters(text):
        room -= display_width(character)
        if room < 0:
            break
        kept += character
    return f"{kept}…"


def display_width(text: str) -> int:
    """Columns a terminal gives to `text`: two for wide characters, none for combining ones (Unicode TR 11)."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def table(header: Sequence[str], body: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Lines with aligned columns; those in `right` are flush right."""
    lines = [tuple(header), *(tuple(map(printable, line)) for line in body)]
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(_pad(cell, widths[i], flush_right=i in right) for i, cell in enumerate(line)).rstrip()
        for line in lines
    )


def _pad(cell: str, width: int, *, flush_right: bool) -> str:
    space = " " * (width - display_width(cell))
    return space + cell if flush_right else cell + space
