"""What each feature adds on average over many rows, added up a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import pyarrow as pa
import pyarrow.compute as pc

_MOST_FEATURES = 200_000  # different ones that are kept apart: words of many texts are not countless, but many
_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)


@dataclass(frozen=True)
class FeatureFigures:
    """What a feature adds over the `rows` that have it: the mean of its size and of its value, and where these lie.

    The intervals are normal ones of 95 % over rows; None for a single row. They say how far the mean would move with
    other rows of the same kind, not how exact each row's explanation is.
    """

    feature: str
    rows: int
    mean_size: float
    mean_size_interval: tuple[float, float] | None
    mean_value: float
    mean_value_interval: tuple[float, float] | None


@dataclass
class _Sums:
    """Over rows: how many, and the sums of |value|, of value and of value squared."""

    rows: int = 0
    size: float = 0.0
    value: float = 0.0
    square: float = 0.0

    def add(self, rows: int, size: float, value: float, square: float) -> None:
        self.rows += rows
        self.size += size
        self.value += value
        self.square += square

    def figures(self, feature: str) -> FeatureFigures:
        size, value = self.size / self.rows, self.value / self.rows
        return FeatureFigures(feature, self.rows, size, self._interval(size), value, self._interval(value))

    def _interval(self, mean: float) -> tuple[float, float] | None:
        if self.rows < 2:
            return None
        variance = max(self.square - self.rows * mean * mean, 0.0) / (self.rows - 1)
        half = _Z * math.sqrt(variance / self.rows)
        return mean - half, mean + half


class AttributionSums:
    """The sums of every feature, for each class that was explained, or predicted where one output is explained.

    is_text: features are words; small and capital letters are the same, and so is what touches a word. forgotten: how
    many rare words could not be kept apart.
    """

    def __init__(self, *, is_text: bool) -> None:
        self._is_text = is_text
        self._names: dict[str, str] = {}
        self._sums: dict[tuple[str, str], _Sums] = {}
        self.forgotten = 0

    def add(self, attributed: pa.Table) -> None:
        """Add what features add in some rows, see `scored_parts.ATTRIBUTED`."""
        sizes = pc.abs(attributed["value"])
        squares = pc.multiply(attributed["value"], attributed["value"])
        table = attributed.append_column("size", sizes).append_column("square", squares)
        grouped = table.group_by(["class", "feature"], use_threads=False).aggregate(  # in one order, so the same sums
            [("value", "count"), ("size", "sum"), ("value", "sum"), ("square", "sum")]
        )
        names = ("class", "feature", "value_count", "size_sum", "value_sum", "square_sum")
        for class_label, feature, *sums in zip(*(grouped[name].to_pylist() for name in names), strict=True):
            key = (class_label, self._name(feature))
            self._sums.setdefault(key, _Sums()).add(*sums)
        if len(self._sums) > _MOST_FEATURES:
            self._forget()

    def by_class(self) -> dict[str, list[FeatureFigures]]:
        """The figures of each class's features, those with the largest mean size first."""
        found: dict[str, list[FeatureFigures]] = {}
        for (class_label, feature), sums in sorted(self._sums.items()):
            found.setdefault(class_label, []).append(sums.figures(feature))
        return {label: _by_size(figures) for label, figures in found.items()}

    def overall(self) -> list[FeatureFigures]:
        """The same over all classes."""
        whole: dict[str, _Sums] = {}
        for (_, feature), sums in sorted(self._sums.items()):
            whole.setdefault(feature, _Sums()).add(sums.rows, sums.size, sums.value, sums.square)
        return _by_size([sums.figures(feature) for feature, sums in whole.items()])

    def _name(self, feature: str) -> str:
        if not self._is_text:
            return feature
        if (name := self._names.get(feature)) is None:
            name = self._names[feature] = word(feature)
            if len(self._names) > _MOST_FEATURES:
                self._names.clear()
        return name

    def _forget(self) -> None:
        """Keep the half of the features that most rows have."""
        kept = sorted(self._sums, key=lambda key: (-self._sums[key].rows, key))[: _MOST_FEATURES // 2]
        self.forgotten += len(self._sums) - len(kept)
        self._sums = {key: self._sums[key] for key in kept}


def word(written: str) -> str:
    """A word without what touches it and in small letters, such as "soup" for "Soup,"; as it is if nothing is left."""
    start, end = 0, len(written)
    while start < end and not written[start].isalnum():
        start += 1
    while end > start and not written[end - 1].isalnum():
        end -= 1
    return written[start:end].casefold() or written


def shares(counts: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Each name with its count and its share of all, the most frequent first."""
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(name, count, count / total) for name, count in ranked]


def _by_size(figures: list[FeatureFigures]) -> list[FeatureFigures]:
    return sorted(figures, key=lambda one: (-one.mean_size, one.feature))
