"""The answer of `explain_table`: the predictions of many rows of a table and their explanations, packed.

A tuple of rows has a tuple of numbers for each row, one per feature, so that `numpy.array(attribution.values)` is
float64 [rows, features]. NaN is what could not be estimated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self, TypeVar

from explicate.described.trust import Faithfulness, Quality
from explicate.inputs import CellValue, GivenValue
from explicate.json_documents import JsonAnswer
from explicate.results import (
    Attribution,
    ClassScore,
    ExplainResult,
    Explanation,
    Feature,
    ModelVersion,
    PackedResult,
    Prediction,
    ResolvedOptions,
    Timing,
)

if TYPE_CHECKING:
    import pandas as pd

_Packed = TypeVar("_Packed", PackedResult, "TableAttribution", "TableQuality")
_ROWS = 15  # that a text shows
_LIKELY = 0.5  # the probability from which on a label of several is predicted, as the server has it


@dataclass(frozen=True)
class TableFeature:
    """One player of every row: a column, or a named group of `columns`."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class TableAttribution:
    """What each feature adds to one output of each row, with standard errors and confidence intervals.

    class_indices: the explained class of each row; for a regression 0. reference_index: the class that a contrast is
    set against, else None.
    """

    class_indices: tuple[int, ...]
    baseline_values: tuple[float, ...]
    instance_values: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    standard_errors: tuple[tuple[float, ...], ...]
    lower: tuple[tuple[float, ...], ...]
    upper: tuple[tuple[float, ...], ...]
    reference_index: int | None = None


@dataclass(frozen=True)
class TableQuality:
    """The figures of `explicate.Quality`, one per row; NaN is what does not apply. The last four are often empty."""

    additivity_gap: tuple[float, ...]
    held_out_r_squared: tuple[float, ...]
    split_half_spearman: tuple[float, ...]
    infidelity: tuple[float, ...]
    largest_interval_ratio: tuple[float, ...]
    certain_top_k: tuple[float, ...]
    comprehensiveness: tuple[float, ...] = ()
    comprehensiveness_random: tuple[float, ...] = ()
    sufficiency: tuple[float, ...] = ()
    sufficiency_random: tuple[float, ...] = ()

    def row(self, number: int) -> Quality:
        """The figures of one row."""
        top = _figure(self.certain_top_k, number)
        return Quality(
            additivity_gap=_figure(self.additivity_gap, number),
            held_out_r_squared=_figure(self.held_out_r_squared, number),
            split_half_spearman=_figure(self.split_half_spearman, number),
            infidelity=_figure(self.infidelity, number),
            largest_interval_ratio=_figure(self.largest_interval_ratio, number),
            certain_top_k=None if top is None else int(top),
            comprehensiveness=_fall(self.comprehensiveness, self.comprehensiveness_random, number),
            sufficiency=_fall(self.sufficiency, self.sufficiency_random, number),
        )


@dataclass(frozen=True)
class TableResult(JsonAnswer):
    """Predictions and explanations of the rows of a table, in order, by one version of the model.

    predictions: as `predict_table` has them. features: the same for every row. class_labels: of the model's classes, by
    index; for a regression the name of its target. stop_reasons, evaluations, rounds, converged: of each row, see
    `explicate.Explanation`. columns: the table as it was given. timing: of all calls added up, if there are several.
    several_labels: whether labels do not exclude each other.
    """

    columns: Mapping[str, Sequence[GivenValue]] = field(repr=False, hash=False)
    predictions: PackedResult
    features: tuple[TableFeature, ...]
    attributions: tuple[TableAttribution, ...]
    quality: TableQuality
    class_labels: tuple[str, ...]
    stop_reasons: tuple[str, ...]
    evaluations: tuple[int, ...]
    rounds: tuple[int, ...]
    converged: tuple[bool, ...]
    method_version: str
    options: ResolvedOptions
    model: ModelVersion
    timing: Timing
    several_labels: bool = False

    def __len__(self) -> int:
        return len(self.stop_reasons)

    def __str__(self) -> str:
        """A line for each of the first rows: what was predicted, and the feature that adds or takes the most."""
        from explicate.views.wording import prediction

        rows, more = [self.row(number) for number in range(min(len(self), _ROWS))], len(self) - _ROWS
        lines = [f"{prediction(row.prediction)}{_strongest(row)}" for row in rows]
        return "\n".join([*lines, *([f"and {more:,} more row{'s' * (more > 1)}"] if more > 0 else [])])

    def row(self, number: int) -> ExplainResult:
        """One row, from 0, as `explain` would answer it, but for the logits and `unknown_category_columns`.

        These are not known of each row: logits are NaN, and the columns are those of the whole table's `predictions`.
        """
        number = range(len(self))[number]  # raises IndexError; from the end below 0
        given = {name: values[number] for name, values in self.columns.items()}
        return ExplainResult(
            text="",
            row=given,
            prediction=self._prediction(number),
            explanation=Explanation(
                features=tuple(self._feature(each, given) for each in self.features),
                attributions=tuple(self._attribution(each, number) for each in self.attributions),
                quality=self.quality.row(number),
                evaluations=self.evaluations[number],
                reused_evaluations=0,
                rounds=self.rounds[number],
                stop_reason=self.stop_reasons[number],
                converged=self.converged[number],
                method_version=self.method_version,
                options=self.options,
            ),
            model=self.model,
            timing=self.timing,
        )

    def to_frame(self, output: int = 0, *, intervals: bool = False) -> pd.DataFrame:
        """A pandas DataFrame with a line for each row: the prediction, `baseline`, and `attr_FEATURE` for each feature.

        output: the explained one of several. intervals: whether `lower_FEATURE` and `upper_FEATURE` go along.
        Raises UsageError where pandas is not installed.
        """
        from explicate.views.frames import frame

        attribution, told = self.attributions[output], self.predictions
        held: dict[str, Sequence[object]] = {"value": told.values}
        if told.class_labels:
            held = {
                "label": told.labels,
                "probability": [row[k] for row, k in zip(told.probabilities, told.indices, strict=True)],
            }
        held["baseline"] = attribution.baseline_values
        for prefix, rows in (("attr", attribution.values), ("lower", attribution.lower), ("upper", attribution.upper)):
            if prefix == "attr" or intervals:
                names = [f"{prefix}_{feature.name}" for feature in self.features]
                held |= dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
        return frame({**held, "stop_reason": self.stop_reasons, "evaluations": self.evaluations})

    @property
    def misfit(self) -> str:
        """What does not fit together, as a document from elsewhere may have it; empty if all does."""
        rows, told = len(self), self.predictions
        counts = {len(self.evaluations), len(self.rounds), len(self.converged), *map(len, self.columns.values())}
        counts |= {len(told.probabilities) if told.class_labels else len(told.values)}
        for each in self.attributions:
            counts |= {len(each.class_indices), len(each.baseline_values), len(each.instance_values), len(each.values)}
        if counts != {rows}:
            return f"has {rows} stop_reasons, and something else for another number of rows"
        widths = {len(row) for each in self.attributions for row in (*each.values, *each.lower, *each.upper)}
        return "" if widths <= {len(self.features)} else f"has {len(self.features)} features, and rows of other lengths"

    @classmethod
    def joined(cls, parts: Sequence[Self], columns: Mapping[str, Sequence[GivenValue]]) -> Self:
        """The answers for consecutive pieces of the table `columns` as one."""
        first = parts[0]
        own: dict[str, Any] = {  # Any: tuples of several types
            name: tuple(value for part in parts for value in getattr(part, name))
            for name in ("stop_reasons", "evaluations", "rounds", "converged")
        }
        return replace(
            first,
            columns=columns,
            predictions=replace(_end_to_end([part.predictions for part in parts]), **_of_whole(parts)),
            attributions=tuple(
                _end_to_end(pieces) for pieces in zip(*(part.attributions for part in parts), strict=True)
            ),
            quality=_end_to_end([part.quality for part in parts]),
            timing=_added([part.timing for part in parts]),
            **own,
        )

    def _prediction(self, number: int) -> Prediction:
        packed = self.predictions
        if not packed.class_labels:
            return Prediction(None, "", (), None, value=packed.values[number])
        row = packed.probabilities[number]
        own = packed.thresholds or [None] * len(row)
        scores = tuple(
            ClassScore(index, label, probability, math.nan, threshold)
            for index, (label, probability, threshold) in enumerate(zip(packed.class_labels, row, own, strict=True))
        )
        if self.several_labels:
            likely = sorted(scores, key=lambda score: score.probability, reverse=True)
            labels = tuple(score.label for score in likely if score.probability >= (score.threshold or _LIKELY))
            return Prediction(None, "", scores, None, labels=labels)
        index = packed.predicted[number] if packed.predicted else max(range(len(row)), key=row.__getitem__)
        return Prediction(index, packed.class_labels[index], scores, None)

    @staticmethod
    def _feature(feature: TableFeature, given: Mapping[str, GivenValue]) -> Feature:
        return Feature(column=feature.name, values={name: _plain(given.get(name)) for name in feature.columns})

    def _attribution(self, output: TableAttribution, number: int) -> Attribution:
        index, reference = output.class_indices[number], output.reference_index
        return Attribution(
            class_index=index,
            class_label=self.class_labels[index],
            baseline_value=output.baseline_values[number],
            instance_value=output.instance_values[number],
            values=output.values[number],
            standard_errors=output.standard_errors[number],
            lower=output.lower[number],
            upper=output.upper[number],
            reference_index=reference,
            reference_label=None if reference is None else self.class_labels[reference],
        )


def _strongest(row: ExplainResult) -> str:
    top = row.explanation.top(1) if row.explanation.attributions else ()
    return "".join(f"  ({each.feature.name} {each.value:+.3g})" for each in top)


def _figure(figures: Sequence[float], number: int) -> float | None:
    return None if not figures or math.isnan(figures[number]) else figures[number]


def _fall(value: Sequence[float], random: Sequence[float], number: int) -> Faithfulness | None:
    fall = _figure(value, number)
    return None if fall is None else Faithfulness(fall, random[number])


def _plain(value: GivenValue) -> CellValue:
    return value.isoformat() if isinstance(value, date) else value


def _end_to_end(pieces: Sequence[_Packed]) -> _Packed:
    """The pieces of a packed answer as one: what has a number per row comes one piece after the other."""
    first = pieces[0]
    rows: dict[str, Any] = {  # Any: tuples of several types
        one.name: tuple(value for piece in pieces for value in getattr(piece, one.name))
        for one in fields(first)
        if isinstance(getattr(first, one.name), tuple) and one.name not in _OF_WHOLE
    }
    return replace(first, **rows)


_OF_WHOLE = frozenset({"class_labels", "unknown_category_columns", "thresholds"})


def _of_whole(parts: Sequence[TableResult]) -> dict[str, Any]:  # Any: fields of two types
    """What the predictions of all pieces have in common."""
    unknown = dict.fromkeys(name for part in parts for name in part.predictions.unknown_category_columns)
    return {"unknown_category_columns": tuple(unknown), "timing": _added([part.timing for part in parts])}


def _added(timings: Sequence[Timing]) -> Timing:
    """The seconds of all calls; of their waits the longest."""
    added = {one.name: sum(getattr(timing, one.name) for timing in timings) for one in fields(Timing)}
    return Timing(**{**added, "queue_s": max(timing.queue_s for timing in timings)})
