"""What a folder of scored rows says as a whole: counts, and what each feature adds on average, by class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from explicate.json_documents import JsonAnswer
from explicate.scoring.summaries.attribution_sums import AttributionSums, FeatureFigures, word
from explicate.scoring.summaries.row_sample import RowSample, SampledRow
from explicate.scoring.summaries.scored_parts import ScoredFolder

DOTS = 500
"""Rows that a picture shows unless it was said otherwise."""
_NOT_EXPLAINED = "not explained"
_PREDICTED = "labels"


@dataclass(frozen=True)
class Values:
    """The values of a regression: how many, the least, the mean and the largest."""

    rows: int
    least: float
    mean: float
    largest: float

    def __str__(self) -> str:
        return f"{self.least:.4g} to {self.largest:.4g}, mean {self.mean:.4g}"


@dataclass(frozen=True)
class ClassFigures:
    """What features add to the output of the class that was explained; of one output, to that of the predicted class.

    label: empty for a model without classes. features: those with the largest mean size first.
    """

    label: str
    features: tuple[FeatureFigures, ...]


@dataclass(frozen=True)
class Summary(JsonAnswer):
    """A folder of scored rows.

    model: its name and version; empty if the folder does not say it. labels, stop_reasons, failed: from each to how
    many rows, the most frequent first; failed by their reason and field. values: of a regression. features: over all
    classes, classes: of each one. missing_parts: how many there will be besides; None if that is not known.
    """

    model: str
    rows: int
    explained: int
    labels: dict[str, int]
    values: Values | None
    stop_reasons: dict[str, int]
    mean_evaluations: float | None
    failed: dict[str, int]
    features: tuple[FeatureFigures, ...]
    classes: tuple[ClassFigures, ...]
    notes: tuple[str, ...]
    missing_parts: int | None

    @property
    def failed_rows(self) -> int:
        """How many rows do not have an answer."""
        return sum(self.failed.values())


@dataclass
class _Counts:
    rows: int = 0
    explained: int = 0
    evaluations: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    stop_reasons: Counter[str] = field(default_factory=Counter)
    least: float = math.inf
    largest: float = -math.inf
    sum: float = 0.0

    def add(self, rows: pa.Table, outcome: str) -> None:
        self.rows += rows.num_rows
        if outcome == "value":
            self._add_values(rows[outcome])
        elif outcome:
            labels = pc.list_flatten(rows[outcome]) if outcome == _PREDICTED else rows[outcome]
            self.labels.update(_counted(labels))
        if "stop_reason" in rows.column_names:
            reasons = Counter(_counted(rows["stop_reason"].fill_null(_NOT_EXPLAINED)))
            self.stop_reasons.update(reasons)
            self.explained += rows.num_rows - reasons[_NOT_EXPLAINED]
            self.evaluations += pc.sum(rows["evaluations"]).as_py() or 0

    def _add_values(self, values: pa.ChunkedArray) -> None:
        if values.null_count == len(values):
            return
        ends = pc.min_max(values).as_py()
        self.least, self.largest = min(self.least, ends["min"]), max(self.largest, ends["max"])
        self.sum += pc.sum(values).as_py()


def summarize(
    folder: ScoredFolder, *, dots: int = DOTS, seed: int = 0, progress: Callable[[int], None] = lambda _rows: None
) -> tuple[Summary, Sequence[SampledRow]]:
    """The figures of a folder, and `dots` explained rows of it drawn with `seed` for pictures.

    Memory does not grow with the rows. `progress` is told the rows so far. Raises UsageError for a part that cannot be
    read.
    """
    counts, sums = _Counts(), AttributionSums(is_text=folder.is_text)
    sample = RowSample(dots, seed, folder.values, word if folder.is_text else str)
    for rows in folder.batches():
        counts.add(rows, folder.outcome)
        if folder.is_explained:
            attributed = folder.attributed(rows)
            sums.add(attributed)
            sample.add(rows, attributed)
        progress(counts.rows)
    failed: Counter[str] = Counter()
    for failures in folder.failures():
        reasons, fields = failures["reason"].to_pylist(), failures["field"].to_pylist()
        failed.update(
            f"{reason}: {name}" if name else str(reason) for reason, name in zip(reasons, fields, strict=True)
        )
    return _summary(folder, counts, sums, failed), sample.rows


def _summary(folder: ScoredFolder, counts: _Counts, sums: AttributionSums, failed: Counter[str]) -> Summary:
    valued = folder.outcome == "value" and counts.rows and math.isfinite(counts.least)
    return Summary(
        model=folder.model,
        rows=counts.rows,
        explained=counts.explained,
        labels=dict(counts.labels.most_common()),
        values=Values(counts.rows, counts.least, counts.sum / counts.rows, counts.largest) if valued else None,
        stop_reasons=dict(counts.stop_reasons.most_common()),
        mean_evaluations=counts.evaluations / counts.explained if counts.explained else None,
        failed=dict(failed.most_common()),
        features=tuple(sums.overall()),
        classes=tuple(ClassFigures(label, tuple(figures)) for label, figures in sums.by_class().items()),
        notes=tuple(_notes(folder, sums)),
        missing_parts=folder.missing_parts,
    )


def _notes(folder: ScoredFolder, sums: AttributionSums) -> list[str]:
    notes = []
    if folder.missing_parts:
        notes.append(f"the run is not done: {folder.missing_parts:,} of its parts are missing")
    if folder.strongest:
        notes.append(
            f"only the {folder.strongest} strongest features of each row were kept: means are over the rows where a "
            "feature is among them, and larger than over all"
        )
    if sums.forgotten:
        notes.append(f"{sums.forgotten:,} rare words were left out")
    return notes


def _counted(values: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    counted = values.value_counts().to_pylist()
    return {each["values"]: each["counts"] for each in counted if each["values"] is not None}


def top(figures: Sequence[FeatureFigures], most: int) -> list[FeatureFigures]:
    """The first `most` features, or all of them for 0."""
    return list(islice(figures, most or None))
