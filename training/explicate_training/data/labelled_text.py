"""The rows of a data set, as read and as cleaned."""

from dataclasses import dataclass
from typing import Literal

Label = str | tuple[str, ...] | float
"""A class, any number of labels (sorted, each once), or the value of a regression."""
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class RawRow:
    """A row as it was read; None is a missing value."""

    split: Split  # where the source put it; cleaning and splitting may take parts of "train" for the others
    text: str | None
    label: Label | None
    text_pair: str | None = None  # the second text of a pair


@dataclass(frozen=True)
class LabelledText:
    """A usable text, or a pair of texts, with its label."""

    text: str
    label: Label
    text_pair: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, or both."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)


def sorted_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their class index: whole numbers by value, then names by spelling."""
    return sorted(labels, key=lambda label: (0, int(label), label) if label.isdecimal() else (1, 0, label))
