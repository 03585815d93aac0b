"""What a command is asked about: texts or rows of a table, each with its place among them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from explicate import wording
from explicate.errors import InvalidArgument, ServerError
from explicate.inputs import Input


@dataclass(frozen=True)
class Asked:
    """A text or a row, and its number among those given, from 1; of a text in a file, its line.

    refusal: why it cannot be sent at all, such as a word where the column has numbers.
    """

    number: int
    value: Input
    refusal: InvalidArgument | None = None

    @property
    def noun(self) -> str:
        """What it is."""
        return "text" if isinstance(self.value, str) else "row"

    @property
    def shown(self) -> str:
        """It on one line."""
        return self.value if isinstance(self.value, str) else wording.row(self.value)


def report(asked: Asked, error: ServerError) -> None:
    """Say on stderr why one text or row has no answer."""
    print(f"explicate: {asked.noun} {asked.number}: {why(error)}", file=sys.stderr)


def why(error: ServerError) -> str:
    """The cause, without the field path, which speaks of a request that the user has not seen."""
    return "; ".join(_in_columns(path, description) for path, description in error.violations) or error.message


def _in_columns(path: str, description: str) -> str:
    """The description with the column that the path names, unless it names it itself."""
    place = re.search(r"\.cells\[(.+)\]$", path)
    if place is None or description.startswith("column "):
        return description
    return f"column {place[1]}: {description}"
