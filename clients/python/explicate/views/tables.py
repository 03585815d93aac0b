"""Plain text tables, and texts made safe for a terminal."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from explicate.views.characters import characters

if TYPE_CHECKING:
    from explicate.results import Feature

# What joins letters and emoji, and the tags of a flag: not printable by itself, and harmless.
_JOINERS = frozenset(["\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))])


# What keeps a name of one direction of writing apart from text of the other.
_ISOLATES = frozenset("\u2068\u2069")


def printable(text: str) -> str:
    """`text` with what could command the terminal (escape sequences, bells) or break a line made visible."""
    return "".join(_printable(character) for character in text)


def printable_sentence(text: str) -> str:
    """The same of a text that holds names between isolates of its own, which stay."""
    return "".join(each if each in _ISOLATES else _printable(each) for each in text)


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


def names(features: Sequence[Feature], width: int) -> list[str]:
    """The features, cut to `width` columns; one that is listed twice with the place where it starts, "was @12"."""
    counts = Counter(feature.name for feature in features)
    marks = [f" @{each.spans[0].start}" if counts[each.name] > 1 and each.spans else "" for each in features]
    return [shortened(each.name, width - len(mark)) + mark for each, mark in zip(features, marks, strict=True)]


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
