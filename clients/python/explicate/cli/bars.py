"""A signed bar around a centre line, with its interval as whiskers, in characters: `░░├──●──┤` and its mirror."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from explicate.explanation import Contribution

_FILL, _CENTRE, _VALUE, _WHISKER, _LOW, _HIGH = "█", "│", "●", "─", "├", "┤"


@dataclass(frozen=True)
class Cell:
    """One character of a bar; `filled` between the centre line and the value, where a terminal may colour it."""

    character: str
    filled: bool


def scale(contributions: Sequence[Contribution]) -> float:
    """The largest distance from 0 that must fit on a bar: of any value or end of an interval; 1 when all are 0."""
    ends = [abs(end) for c in contributions for end in (c.value, c.lower, c.upper) if math.isfinite(end)]
    return max(ends, default=0.0) or 1.0


def bar(contribution: Contribution, full_scale: float, half: int) -> list[Cell]:
    """`2 * half + 1` cells for a scale from -`full_scale` to `full_scale`."""
    centre = half
    value = _place(contribution.value, full_scale, half)
    characters = [" "] * (2 * half + 1)
    filled = range(min(centre, value), max(centre, value) + 1)
    for i in filled:
        characters[i] = _FILL
    characters[centre] = _CENTRE
    if math.isfinite(contribution.lower) and math.isfinite(contribution.upper):
        low, high = (_place(end, full_scale, half) for end in (contribution.lower, contribution.upper))
        if low < high:  # an interval narrower than a character has no whiskers
            for i in range(low, high + 1):
                characters[i] = _WHISKER
            characters[low], characters[high] = _LOW, _HIGH
            characters[value] = _VALUE
    return [Cell(character, i in filled and i != centre) for i, character in enumerate(characters)]


def _place(value: float, full_scale: float, half: int) -> int:
    if math.isnan(value):
        return half
    share = max(-1.0, min(1.0, value / full_scale))
    return half + round(share * half)
