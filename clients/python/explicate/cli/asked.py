"""What a command is asked about: texts, pairs of texts, rows of a table or images, each with its place among them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from explicate.errors import InvalidArgument, ServerError
from explicate.inputs import Image, Input
from explicate.views import words as wording


@dataclass(frozen=True)
class Asked:
    """One input, and its number among those given, from 1; of one in a file, its line.

    refusal: why it cannot be sent at all, such as a word where the column has numbers.
    """

    number: int
    value: Input
    refusal: InvalidArgument | None = None

    @property
    def noun(self) -> str:
        """What it is."""
        if isinstance(self.value, Image):
            return "image"
        return "text" if isinstance(self.value, str) else "pair" if isinstance(self.value, tuple) else "row"

    @property
    def place(self) -> str:
        """Which one it is, such as "text 3" or "image 3 (cat.png)"."""
        name = f" ({self.value.name})" if isinstance(self.value, Image) else ""
        return f"{self.noun} {self.number}{name}"

    @property
    def given(self) -> dict[str, object]:
        """It by the names that JSON lines have for it; an image is its file's name."""
        match self.value:
            case str():
                return {"text": self.value}
            case (text, text_pair):
                return {"text": text, "text_pair": text_pair}
            case Image():
                return {"image": self.value.name}
            case row:
                return {"row": row}

    @property
    def shown(self) -> str:
        """It on one line."""
        match self.value:
            case str():
                return self.value
            case (text, text_pair):
                return f"{text} | {text_pair}"
            case Image():
                return self.value.name
            case row:
                return wording.row(row)


def report(asked: Asked, error: ServerError) -> None:
    """Say on stderr why one input has no answer."""
    print(f"explicate: {asked.place}: {why(error)}", file=sys.stderr)


def why(error: ServerError) -> str:
    """The cause, without the field path, which speaks of a request that the user has not seen."""
    return "; ".join(_with_part(path, description) for path, description in error.violations) or error.message


def _with_part(path: str, description: str) -> str:
    """The description with the column or text that the path names, unless it names it itself."""
    if path.endswith(".text_pair"):
        return f"the second text {description}"
    place = re.search(r"\.cells\[(.+)\]$", path)
    if place is None or description.startswith("column "):
        return description
    return f"column {place[1]}: {description}"
