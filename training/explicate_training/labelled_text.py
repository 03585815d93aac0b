"""The rows of a data set, as read and as cleaned."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class RawRow:
    """A row as it was read; None is a missing value."""

    split: Split  # where the source put it; cleaning and splitting may take parts of "train" for the others
    text: str | None
    label: str | None


@dataclass(frozen=True)
class LabelledText:
    """A usable text with its class."""

    text: str
    label: str


def sorted_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their class index: whole numbers by value, then names by spelling."""
    return sorted(labels, key=lambda label: (0, int(label), label) if label.isdecimal() else (1, 0, label))
