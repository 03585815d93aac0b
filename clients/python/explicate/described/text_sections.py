"""The sentences of a long text, with what their words add together."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SectionValue:
    """The sum of a section's attributions to one output, with the ends of its confidence interval.

    standard_error: of the sum; it does not follow from those of the features, whose errors are not independent.
    """

    value: float
    standard_error: float
    lower: float
    upper: float


@dataclass(frozen=True)
class TextSection:
    """A sentence of a long text, or a part of one that is very long.

    text: as written, from its first feature to its last. first_feature, feature_count: its place among the features.
    values: one for each of the explanation's attributions.
    """

    text: str
    first_feature: int
    feature_count: int
    values: tuple[SectionValue, ...]


def sections_misfit(sections: Sequence[TextSection], features: int, outputs: int) -> str:
    """What does not fit an explanation of so many features and outputs; empty if all does."""
    for i, section in enumerate(sections):
        within = 0 <= section.first_feature <= section.first_feature + section.feature_count <= features
        if not within or len(section.values) != outputs:
            return f"has sections[{i}] of other features, or of another number of outputs"
    return ""
