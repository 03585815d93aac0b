"""What stands in for what is left out: what a model offers, and what an explanation was made with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BaselineGroup:
    """A group of rows that explanations may be set against, by its name.

    of: which rows of the training data it summarises, such as "outcome=yes"; summarised_rows: how many there were.
    rows: of the summary.
    """

    name: str
    of: str
    summarised_rows: int
    rows: int


@dataclass(frozen=True)
class BaselineUsed:
    """What stood in for what was left out, where that was asked for.

    name: of a group of rows, a colour, or "another text" and the like; options.baseline has it. rows: of a group, else
    1. sha256: the digest of the rows or the input, in hexadecimal; None of a colour.
    """

    name: str
    rows: int
    sha256: str | None
