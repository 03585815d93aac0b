"""The figures that sentences rest upon, the same of every kind of input, free of protobuf and numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from explicate.inputs import GivenValue

Noun = Literal["word", "token", "sentence", "phrase", "column", "feature", "segment", "patch"]
"""What one player is called. A "feature" is a named group of columns, or one column among such."""

# What is smaller beside the outputs is rounding: the models know their answers as float32.
NOISE = 1e-6
_THIRDS = 3


@dataclass(frozen=True)
class Part:
    """One player.

    name: as it stands in the input: untrusted text. place: among parts of the same name, from 1, and of how many.
    columns: of a table, the columns that it is made of, with their values. in_pair: of the second text of a pair.
    thirds: of a segment, where its centre is, from the top and from the left, 0 to 2.
    """

    name: str
    place: tuple[int, int] = (1, 1)
    columns: tuple[tuple[str, GivenValue], ...] = ()
    in_pair: bool = False
    thirds: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """One explained output: what each part adds to it. What is not known is NaN.

    lower, upper: of the confidence intervals. certain: half-widths of the intervals by which an order is told, which
    are as wide or wider. reference: the class that a contrast is set against.
    """

    label: str
    reference: str | None = None
    baseline: float
    instance: float
    values: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    certain: Sequence[float]

    @cached_property
    def noise(self) -> float:
        """What counts as 0."""
        known = [abs(each) for each in (self.baseline, self.instance, *self.values) if math.isfinite(each)]
        return NOISE * max(known, default=0.0)

    def direction(self, part: int) -> int:
        """1 for a part that raises the output, -1 for one that lowers it, 0 where its interval does not tell."""
        if self.lower[part] > self.noise:
            return 1
        return -1 if self.upper[part] < -self.noise else 0

    def sizes(self, part: int) -> tuple[float, float]:
        """The least and the most that the absolute value of a part can be, by the wider of its two intervals."""
        value, low, high = self.values[part], self.lower[part], self.upper[part]
        width = max(self.certain[part], value - low, high - value)
        if not math.isfinite(value) or not math.isfinite(width) or math.isnan(self.certain[part] + low + high):
            return 0.0, math.inf
        return max(0.0, abs(value) - width), abs(value) + width

    @cached_property
    def strongest(self) -> Sequence[int]:
        """All parts by the size of their estimates, those without one last."""
        return sorted(range(len(self.values)), key=lambda part: (-_size(self.values[part]), part))

    @cached_property
    def leaders(self) -> Sequence[int]:
        """The fewest parts of which it is certain that they weigh more than all others; empty where that is no part,
        and where there are no others. By size of the estimate; among themselves they need not have an order.
        """
        sizes = [self.sizes(part) for part in self.strongest]
        beyond = [math.inf] * len(sizes)  # the most of any that comes after
        for place in range(len(sizes) - 2, -1, -1):
            most = sizes[place + 1][1]
            beyond[place] = most if place == len(sizes) - 2 else max(most, beyond[place + 1])
        least = math.inf
        for place, (low, _) in enumerate(sizes):
            least = min(least, low)
            if least > beyond[place] + self.noise:
                return self.strongest[: place + 1]
        return ()

    @cached_property
    def is_in_doubt(self) -> bool:
        """Whether one part weighs most and it is not certain which. Not where the first two are known to be equal."""
        if len(self.strongest) < 2 or len(self.leaders) == 1:
            return False
        (low, high), (next_low, next_high) = map(self.sizes, self.strongest[:2])
        return max(high, next_high) - min(low, next_low) > self.noise

    @cached_property
    def is_measured(self) -> bool:
        """Whether any part has an interval."""
        return any(math.isfinite(low) and math.isfinite(high) for low, high in zip(self.lower, self.upper, strict=True))


def _size(value: float) -> float:
    return abs(value) if math.isfinite(value) else -1.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model answers.

    scores: the probability of each class. label: the class that is answered. threshold: from which probability on it
    is. labels: those of a model that gives several, maybe none; None of other models. target, value: of a regression.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    label: str | None = None
    threshold: float | None = None
    labels: Sequence[str] | None = None
    target: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Cut:
    """How many characters of how many the model read of a text, or of each of a pair."""

    read: tuple[int, ...]
    whole: tuple[int, ...]


@dataclass(frozen=True)
class Changed:
    """A change that was found and evaluated: without these parts, or with these values of columns, the model answers
    this label with this probability, or does not give it, or predicts this value.
    """

    absent: tuple[int, ...]
    columns: Sequence[tuple[str, GivenValue]]
    label: str
    score: float
    given: bool = True


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All that may be spoken of.

    space: "probability", "logit" or "value". compared: whether the values are differences to an answer without any
    part, which is each output's baseline. baseline_name: of the baseline that a caller chose; other_input: whether that
    is another input, which has no name. kept: whether parts of the input are always there. stop_reason: as
    `Explanation` has it. rows_per_part: evaluations for each part. copies: of a table, columns that go along with a
    column in the data.
    """

    answer: Answer
    outputs: Sequence[Output]
    parts: Sequence[Part]
    noun: Noun
    space: str
    compared: bool
    baseline_name: str = ""
    other_input: bool = False
    kept: bool = False
    stop_reason: str
    held_out_r_squared: float | None = None
    rows_per_part: float = 0.0
    copies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unknown_columns: Sequence[str] = ()
    cut: Cut | None = None
    change: Changed | None = None


def counted(names: Sequence[str]) -> list[tuple[int, int]]:
    """Of each name its place among the equal ones, from 1, and how many of them there are."""
    seen: dict[str, int] = {}
    places = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        places.append(seen[name])
    return [(place, seen[name]) for name, place in zip(names, places, strict=True)]


def thirds(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Where the centre of a box (left, top, right, bottom) is on a map of this width and height, see `Part`."""
    left, top, right, bottom = box
    shares = ((top + bottom) / 2 / max(size[1], 1), (left + right) / 2 / max(size[0], 1))
    down, across = (min(int(share * _THIRDS), _THIRDS - 1) for share in shares)
    return down, across
