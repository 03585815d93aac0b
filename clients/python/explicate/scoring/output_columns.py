"""The columns of the output: those of the input that go along, the prediction, its explanation, and who answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from explicate.errors import UsageError
from explicate.scoring.interfaces import Refusal
from explicate.scoring.row_answers import Outcome, RowAnswer, RowAttribution, RowExplanation

WIDE_PREFIX = "attr_"
_MADE_BY = ("bundle_digest", "runtime", "precision")
# In `failed/`, before a struct with the columns that go along.
_WHY = (("row", pa.int64()), ("reason", pa.string()), ("field", pa.string()), ("message", pa.string()))


@dataclass(frozen=True)
class ExplanationLayout:
    """How explanations are laid out.

    wide: names of the features that have a column `attr_NAME` each; None for one column `explanation`, a list.
    strongest: so many features of each output, those that weigh most; 0 for all, in their own order.
    all_classes: every class is explained, so each item says its class.
    """

    wide: tuple[str, ...] | None = None
    strongest: int = 0
    all_classes: bool = False

    @property
    def fields(self) -> list[pa.Field]:
        """The columns."""
        attributed = (
            [pa.field("explanation", pa.list_(self._item))]
            if self.wide is None
            else [pa.field(f"{WIDE_PREFIX}{name}", pa.float64()) for name in self.wide]
        )
        number = pa.float64()
        return [
            *attributed,
            pa.field("baseline", pa.list_(number) if self.all_classes else number),
            pa.field("stop_reason", pa.string()),
            pa.field("evaluations", pa.int64()),
        ]

    @property
    def _item(self) -> pa.DataType:
        numbers = [pa.field(name, pa.float64()) for name in ("value", "lower", "upper")]
        class_field = [pa.field("class", pa.string())] if self.all_classes else []
        return pa.struct([*class_field, pa.field("feature", pa.string()), *numbers])

    def arrays(self, explanations: Sequence[RowExplanation | None]) -> list[pa.Array]:
        """Their values; None is a row that is not explained."""
        told = (
            [self._column(explanations, self._items)]
            if self.wide is None
            else self._wide_columns(explanations, self.wide)
        )
        told.append(self._column(explanations, self._baseline))
        told.append([None if each is None else each.stop_reason for each in explanations])
        told.append([None if each is None else each.evaluations for each in explanations])
        return [pa.array(values, field.type) for values, field in zip(told, self.fields, strict=True)]

    @staticmethod
    def _column(
        explanations: Sequence[RowExplanation | None], told: Callable[[RowExplanation], object]
    ) -> list[object]:
        return [None if each is None else told(each) for each in explanations]

    def _baseline(self, explanation: RowExplanation) -> object:
        baselines = [each.baseline for each in explanation.outputs]
        return baselines if self.all_classes else baselines[0]

    def _items(self, explanation: RowExplanation) -> list[dict[str, object]]:
        return [
            {
                "class": output.class_label,
                "feature": explanation.features[place],
                "value": _number(output.values[place]),
                "lower": _number(output.lower[place]),
                "upper": _number(output.upper[place]),
            }
            for output in explanation.outputs
            for place in self._places(output)
        ]

    def _places(self, output: RowAttribution) -> Sequence[int]:
        places = range(len(output.values))
        if not self.strongest:
            return places
        return sorted(places, key=lambda place: -_size(output.values[place]))[: self.strongest]

    def _wide_columns(self, explanations: Sequence[RowExplanation | None], wide: tuple[str, ...]) -> list[list[object]]:
        rows = [{} if each is None else self._by_feature(each, wide) for each in explanations]
        return [[row.get(name) for row in rows] for name in wide]

    @staticmethod
    def _by_feature(explanation: RowExplanation, wide: tuple[str, ...]) -> dict[str, object]:
        if other := set(explanation.features) - set(wide):
            raise UsageError(
                f"an explanation has the feature {min(other)}, which is not a column of this output: "
                "features differ from row to row here, so give --attributions long"
            )
        values = explanation.outputs[0].values
        return {name: _number(value) for name, value in zip(explanation.features, values, strict=True)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _size(value: float) -> float:
    return -1.0 if math.isnan(value) else abs(value)


class OutputColumns:
    """The schema of the parts, `schema`, and of the failed rows, `failed_schema`, and what fills them."""

    def __init__(self, kept: pa.Schema, outcome: Outcome, layout: ExplanationLayout | None) -> None:
        """Raises UsageError when a column that goes along has the name of another one."""
        self._outcome, self._layout = outcome, layout
        along = [pa.field(field.name, _plain_type(field.type)) for field in kept]
        self.kept = pa.schema(along)
        own = [*outcome.fields, *(layout.fields if layout else []), *(pa.field(name, pa.string()) for name in _MADE_BY)]
        _check_names(self.kept.names, [field.name for field in own])
        self.schema = pa.schema([*along, *own])
        row = [pa.field("input", pa.struct(along))] if along else []  # Parquet does not hold a struct without fields
        self.failed_schema = pa.schema([*(pa.field(name, kind) for name, kind in _WHY), *row])

    def predicted(self, kept: pa.RecordBatch, answers: Sequence[RowAnswer | None]) -> pa.RecordBatch:
        """The columns that go along and the prediction, which is what a condition may ask about."""
        return pa.record_batch(
            [*self._kept_arrays(kept), *self._outcome.arrays(answers)],
            schema=pa.schema([*self.kept, *self._outcome.fields]),
        )

    @property
    def predicted_schema(self) -> pa.Schema:
        """The schema of `predicted`."""
        return pa.schema([*self.kept, *self._outcome.fields])

    def answered(self, kept: pa.RecordBatch, answers: Sequence[RowAnswer]) -> pa.RecordBatch:
        """Rows of a part."""
        arrays = [*self._kept_arrays(kept), *self._outcome.arrays(answers)]
        if self._layout:
            arrays += self._layout.arrays([answer.explanation for answer in answers])
        arrays += [pa.array([getattr(answer.model, name) for answer in answers], pa.string()) for name in _MADE_BY]
        return pa.record_batch(arrays, schema=self.schema)

    def failed(self, kept: pa.RecordBatch, numbers: Sequence[int], refusals: Sequence[Refusal]) -> pa.RecordBatch:
        """Rows of `failed/`: the number of each row, why it failed, and what goes along."""
        why = [numbers, *([getattr(each, name) for each in refusals] for name, _ in _WHY[1:])]
        arrays = [pa.array(values, kind) for values, (_, kind) in zip(why, _WHY, strict=True)]
        if self.kept.names:
            arrays.append(pa.StructArray.from_arrays(self._kept_arrays(kept), fields=list(self.kept)))
        return pa.record_batch(arrays, schema=self.failed_schema)

    def _kept_arrays(self, kept: pa.RecordBatch) -> list[pa.Array]:
        """The same values whatever file they came from: dictionaries have an order of their own in each."""
        return [array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array for array in kept.columns]


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _check_names(kept: Sequence[str], own: Sequence[str]) -> None:
    twice = sorted({name for name in kept if kept.count(name) > 1})
    if twice:
        raise UsageError(f"the input has two columns with the name {twice[0]}")
    if clash := [name for name in kept if name in own]:
        raise UsageError(
            f"the input has a column {clash[0]}, and so has the output: rename it, or leave it out by --keep, which "
            "lists the columns that go along"
        )
