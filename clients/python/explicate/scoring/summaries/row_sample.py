"""Explained rows drawn at random for a picture, each as likely as any other, while all rows pass by once.

Every row gets a random number of its own, and those with the smallest are kept (Vitter's reservoir with random keys).
The same seed draws the same rows of the same folder.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from explicate.inputs import GivenValue


@dataclass(frozen=True)
class SampledRow:
    """A row: what each feature adds to each class, and what the columns of features hold, by the features' names."""

    added: Mapping[tuple[str, str], float]
    values: Mapping[str, GivenValue]


@dataclass
class RowSample:
    """At most `size` rows of those that pass by.

    columns: for each feature the column with its value. named: what a feature is called, such as a word without commas.
    """

    size: int
    seed: int
    columns: Mapping[str, str]
    named: Callable[[str], str] = str
    _held: list[tuple[float, int, SampledRow]] = field(default_factory=list)
    _seen: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a picture, not a secret

    def add(self, rows: pa.Table, attributed: pa.Table) -> None:
        """Let the rows of a batch pass by, of which `attributed` says what features add."""
        if not self.size:
            return
        chosen: dict[int, float] = {}
        for place in pc.unique(attributed["row"]).to_pylist():
            key = self._random.random()
            if len(self._held) < self.size or key < -self._held[0][0]:
                chosen[place] = key
        if chosen:
            self._keep(rows, attributed, chosen)

    def _keep(self, rows: pa.Table, attributed: pa.Table, chosen: Mapping[int, float]) -> None:
        own = attributed.filter(pc.is_in(attributed["row"], pa.array(list(chosen), pa.int64())))
        added: dict[int, dict[tuple[str, str], float]] = {place: {} for place in chosen}
        names = ("row", "class", "feature", "value")
        for row, class_label, feature, value in zip(*(own[name].to_pylist() for name in names), strict=True):
            added[row][class_label, self.named(feature)] = value
        for place, key in chosen.items():
            values = {feature: rows[column][place].as_py() for feature, column in self.columns.items()}
            self._seen += 1
            heapq.heappush(self._held, (-key, self._seen, SampledRow(added[place], values)))
            if len(self._held) > self.size:
                heapq.heappop(self._held)

    @property
    def rows(self) -> list[SampledRow]:
        """The rows that were drawn, in the order in which they passed by."""
        return [row for _, _, row in sorted(self._held, key=lambda held: held[1])]
