"""Plain text tables, and texts made safe for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """`text` with what could command the terminal (escape sequences, bells) or break a line made visible."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, width: int) -> str:
    """`text` on one line of at most `width` columns, with an ellipsis where it was cut."""
    text = printable(text)
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def display_width(text: str) -> int:
    """Columns a terminal gives to `text`: two for wide characters, none for combining ones (Unicode TR 11)."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


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
