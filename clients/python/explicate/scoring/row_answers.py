"""The answer to one row, as compact as a million of them need it, and how each kind of answer becomes columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from explicate.model_info import ModelDescription
from explicate.results import Explanation, ModelVersion, PackedResult, Prediction
from explicate.table_results import TableResult

_PROBABLE = 0.5  # from here on a label of several is predicted, as the server has it


@dataclass(frozen=True, slots=True)
class RowAttribution:
    """What each feature adds to one output; NaN where it could not be estimated."""

    class_label: str
    baseline: float
    values: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]


@dataclass(frozen=True, slots=True)
class RowExplanation:
    """What is kept of an explanation: the names of its features and an attribution for each explained output."""

    features: Sequence[str]
    outputs: Sequence[RowAttribution]
    stop_reason: str
    evaluations: int


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """The answer to one row; `scores` are the probabilities of the classes, or the one value of a regression.

    predicted: the class by its index; None: the most probable one.
    """

    scores: Sequence[float]
    model: ModelVersion
    explanation: RowExplanation | None = None
    predicted: int | None = None


def scores_of(prediction: Prediction) -> tuple[float, ...]:
    """The probabilities of a prediction, by class, or its value."""
    if prediction.value is not None:
        return (prediction.value,)
    return tuple(score.probability for score in prediction.scores)


def row_explanation(explanation: Explanation) -> RowExplanation:
    """What is kept of the explanation of one input."""
    return RowExplanation(
        features=[feature.name for feature in explanation.features],
        outputs=[
            RowAttribution(each.class_label, each.baseline_value, each.values, each.lower, each.upper)
            for each in explanation.attributions
        ],
        stop_reason=explanation.stop_reason,
        evaluations=explanation.evaluations,
    )


def packed_scores(answer: PackedResult) -> Sequence[Sequence[float]]:
    """The same of each row of a table."""
    return answer.probabilities or [(value,) for value in answer.values]


def packed_predicted(answer: PackedResult) -> Sequence[int | None]:
    """The class of each row where the model's rule decided; None: the most probable one."""
    return answer.predicted or [None] * len(packed_scores(answer))


def table_explanation(answer: TableResult, row: int) -> RowExplanation:
    """What is kept of the explanation of one row of a table."""
    return RowExplanation(
        features=[feature.name for feature in answer.features],
        outputs=[
            RowAttribution(
                answer.class_labels[each.class_indices[row]],
                each.baseline_values[row],
                each.values[row],
                each.lower[row],
                each.upper[row],
            )
            for each in answer.attributions
        ],
        stop_reason=answer.stop_reasons[row],
        evaluations=answer.evaluations[row],
    )


class Outcome(ABC):
    """What a kind of model answers, as columns of the output."""

    def __init__(self, class_labels: Sequence[str], thresholds: Mapping[str, float] = MappingProxyType({})) -> None:
        """`thresholds` of labels that have their own."""
        self._labels, self._thresholds = tuple(class_labels), thresholds

    @property
    @abstractmethod
    def fields(self) -> list[pa.Field]:
        """The columns."""

    @abstractmethod
    def arrays(self, answers: Sequence[RowAnswer | None]) -> list[pa.Array]:
        """Their values; None is a row without an answer."""


class OneClass(Outcome):
    """One class of several: `label`, `probability`, and `probabilities` by class."""

    @property
    def fields(self) -> list[pa.Field]:
        return [
            pa.field("label", pa.string()),
            pa.field("probability", pa.float64()),
            pa.field("probabilities", pa.list_(pa.float64())),
        ]

    def arrays(self, answers: Sequence[RowAnswer | None]) -> list[pa.Array]:
        scores = _scores(answers)
        first = [None if answer is None else _place(answer) for answer in answers]
        labels = [None if place is None else self._labels[place] for place in first]
        best = [None if row is None or place is None else row[place] for row, place in zip(scores, first, strict=True)]
        return [pa.array(values, field.type) for values, field in zip((labels, best, scores), self.fields, strict=True)]


class SeveralLabels(Outcome):
    """Any number of labels: `labels`, the most probable first, and `probabilities` of all."""

    @property
    def fields(self) -> list[pa.Field]:
        return [pa.field("labels", pa.list_(pa.string())), pa.field("probabilities", pa.list_(pa.float64()))]

    def arrays(self, answers: Sequence[RowAnswer | None]) -> list[pa.Array]:
        scores = _scores(answers)
        labels = [None if row is None else self._predicted(row) for row in scores]
        return [pa.array(values, field.type) for values, field in zip((labels, scores), self.fields, strict=True)]

    def _predicted(self, scores: Sequence[float]) -> list[str]:
        places = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        own = self._thresholds
        return [self._labels[k] for k in places if scores[k] >= own.get(self._labels[k], _PROBABLE)]


class OneValue(Outcome):
    """A number: `value`."""

    @property
    def fields(self) -> list[pa.Field]:
        return [pa.field("value", pa.float64())]

    def arrays(self, answers: Sequence[RowAnswer | None]) -> list[pa.Array]:
        return [pa.array([None if answer is None else answer.scores[0] for answer in answers], pa.float64())]


def _place(answer: RowAnswer) -> int:
    """The class that was answered, by its index."""
    scores = answer.scores
    return max(range(len(scores)), key=scores.__getitem__) if answer.predicted is None else answer.predicted


def _scores(answers: Sequence[RowAnswer | None]) -> list[Sequence[float] | None]:
    return [None if answer is None else answer.scores for answer in answers]


_OUTCOMES: dict[str, type[Outcome]] = {
    "classification": OneClass,
    "multi-label": SeveralLabels,
    "regression": OneValue,
}


def outcome_of(model: ModelDescription) -> Outcome:
    """The outcome of a model, by what follows the kind of its inputs, such as "tabular-multi-label"."""
    return _OUTCOMES[model.status.kind.partition("-")[2]](
        model.class_labels,
        {one.label: one.threshold for one in model.decision.thresholds} if model.decision else {},
    )
