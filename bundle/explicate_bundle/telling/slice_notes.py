"""How good a model is on groups of test rows: recorded by a training, told by cards, reports and leaderboards.

A run keeps them in metrics.json under "slices": what was measured, whether a large value is bad, the value on all test
rows, the groups with at least 20 rows, and those with fewer, of which nothing can be said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON values

SLICES_KEY = "slices"
"""Of metrics.json."""


@dataclass(frozen=True)
class SliceNote:
    """A group of test rows. `apart` says whether its interval leaves out what all rows together measure."""

    name: str
    rows: int
    value: float
    lower: float
    upper: float
    apart: bool


@dataclass(frozen=True)
class SliceNotes:
    """The groups of a test set.

    Attributes:
        measured: such as "answered rightly", a mean over rows.
        large_is_bad: whether it is an error.
        whole: the mean over all rows.
        groups: the worst first.
        small: how many rows the groups have that are too small to tell, by name.
    """

    measured: str
    large_is_bad: bool
    whole: float
    groups: tuple[SliceNote, ...]
    small: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """As metrics.json has it."""
        return {
            "measured": self.measured,
            "large_is_bad": self.large_is_bad,
            "whole": self.whole,
            "groups": [vars(one) for one in self.groups],
            "small": dict(self.small),
        }

    @property
    def worse(self) -> list[SliceNote]:
        """Groups that are worse than the whole by more than chance leaves open, the worst first."""
        return [one for one in self.groups if one.apart and (one.value > self.whole) == self.large_is_bad]


def read_slices(told: object) -> SliceNotes | None:
    """Slices of metrics.json; None where there are none, or they have another form."""
    try:
        assert isinstance(told, Mapping)
        groups = tuple(SliceNote(**one) for one in told["groups"])
        small = {str(name): int(rows) for name, rows in told["small"].items()}
        return SliceNotes(str(told["measured"]), bool(told["large_is_bad"]), float(told["whole"]), groups, small)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        return None
