"""When a requirement is met: by the bounds of what was measured.

A requirement is met if the bound of its figure that could be bad still clears the line, not met if even the other bound
does not, and else it cannot be told. All of them must be met, so no correction for many requirements is needed against
a false acceptance: it takes a false one for each that is not met. A false refusal does become likelier with each one.
"""

from dataclasses import dataclass
from enum import Enum
from math import isnan


class Verdict(Enum):
    """What became of a requirement."""

    MET = "met"
    NOT_MET = "not met"
    CANNOT_TELL = "cannot tell"
    WAIVED = "waived"
    """Not met, or cannot be told, and somebody answers for that: see `waivers`. No line gives it."""


@dataclass(frozen=True)
class Bounds:
    """A figure and where it may lie. `rows` is on how many it rests; NaN is a figure that is not defined."""

    value: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True)
class Line:
    """Where a figure must be."""

    value: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"

    def verdict(self, bounds: Bounds) -> Verdict:
        """By the bounds of a figure."""
        bad, good = (bounds.lower, bounds.upper) if self.at_least else (-bounds.upper, -bounds.lower)
        line = self.value if self.at_least else -self.value
        if isnan(bounds.value):
            return Verdict.CANNOT_TELL
        return Verdict.MET if bad >= line else Verdict.NOT_MET if good < line else Verdict.CANNOT_TELL
