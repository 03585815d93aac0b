"""Metrics of right and wrong: each is computed on any number of draws of the rows at once.

The value itself is the metric on one draw that has each row once. So a value, its interval and the interval of a
difference between two models come from one definition.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.outcomes.calibration import brier_scores, calibration_errors
from explicate_bundle.outcomes.resampling import (
    Counts,
    area_under_roc,
    as_they_are,
    average_precision,
    mean,
    mean_of_defined,
    scores_of_decisions,
)
from explicate_standards.outcomes.outcomes import Floats, Outcomes

Samples = Callable[[Outcomes, Counts, int | None], Floats]
"""A metric on draws of the rows, float64[draws]; NaN where it is undefined. The last is a class by its index."""

_LEAST_PROBABILITY = 1e-300


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One metric.

    Attributes:
        id: as standards name it.
        title: the same for people.
        answers: forms of answers that it can be measured on: "class", "labels", "value".
        better: which end is better.
        samples: see `Samples`.
        of_class: whether it is of one class, which a standard then names.
        right: which rows it is the share of, where it is a share of rows.
        among: of a class, which rows it is the share of and among which, where it is a share of some of the rows.
    """

    id: str
    title: str
    answers: tuple[str, ...]
    samples: Samples
    better: Literal["higher", "lower"] = "higher"
    of_class: bool = False
    right: Callable[[Outcomes], NDArray[np.bool_]] | None = None
    among: Callable[[Outcomes, int], tuple[NDArray[np.bool_], NDArray[np.bool_]]] | None = None

    def value(self, outcomes: Outcomes, label: int | None = None) -> float:
        """The metric on the rows as they are; NaN where it is undefined."""
        return float(self.samples(outcomes, as_they_are(len(outcomes)), label)[0])


def _accuracy(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    return mean(outcomes.right, counts)


def decisions(outcomes: Outcomes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What is answered and what is right of each class or label, bool[rows, outputs] each."""
    if outcomes.objective.answer == "labels":
        return outcomes.decided, outcomes.targets
    classes = np.arange(len(outcomes.labels))
    return outcomes.decided[:, np.newaxis] == classes, outcomes.targets[:, np.newaxis] == classes


def _of_decisions(which: int) -> Samples:
    """Precision (0), recall (1) or F1 (2): of one class, or the mean over the classes that occur, as in scikit-learn.

    A class that is neither right nor answered in any row, as in a slice that lacks it, has no part in the mean.
    """

    def samples(outcomes: Outcomes, counts: Counts, label: int | None) -> Floats:
        answered, true = decisions(outcomes)
        chosen = slice(None) if label is None else [label]
        scores = scores_of_decisions(answered[:, chosen], true[:, chosen], counts)[which]
        if label is not None or outcomes.objective.answer == "labels":
            return np.asarray(scores.mean(axis=1))
        occurs = counts @ (answered | true).astype(counts.dtype) > 0
        return np.asarray((scores * occurs).sum(axis=1) / occurs.sum(axis=1))

    return samples


def _answered(outcomes: Outcomes, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    answered, true = decisions(outcomes)
    return true[:, label], answered[:, label]


def _there(outcomes: Outcomes, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    answered, true = decisions(outcomes)
    return answered[:, label], true[:, label]


def _f1_micro(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    answered, true = decisions(outcomes)
    hits, said, there = (mean(flags.sum(axis=1), counts) for flags in (answered & true, answered, true))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(2 * hits / (said + there))


def _ranked(area: Callable[[Floats, NDArray[np.bool_], Counts], Floats]) -> Samples:
    def samples(outcomes: Outcomes, counts: Counts, label: int | None) -> Floats:
        _, true = decisions(outcomes)
        both_alike = outcomes.objective.answer == "class" and len(outcomes.labels) == 2
        all_of_them = range(1, 2) if both_alike else range(len(outcomes.labels))
        classes = all_of_them if label is None else [label]
        return mean_of_defined([area(outcomes.scores[:, one], true[:, one], counts) for one in classes])

    return samples


def _brier(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    _, true = decisions(outcomes)
    return mean(brier_scores(outcomes.scores, true, several=outcomes.objective.answer == "labels"), counts)


def _log_loss(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    of_right = outcomes.scores[np.arange(len(outcomes)), outcomes.targets]
    return mean(-np.log(np.maximum(of_right, _LEAST_PROBABILITY)), counts)


def _calibration_error(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    """Of the most probable class, whatever is answered; of all labels together."""
    if outcomes.objective.answer == "labels":
        return calibration_errors(outcomes.scores, outcomes.targets, counts)
    right = outcomes.scores.argmax(axis=1) == outcomes.targets
    return calibration_errors(outcomes.scores.max(axis=1), right, counts)


def _error(outcomes: Outcomes) -> Floats:
    return np.asarray(outcomes.outputs[:, 0] - outcomes.targets)


def _mae(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    return mean(np.abs(_error(outcomes)), counts)


def _rmse(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    return np.sqrt(mean(np.square(_error(outcomes)), counts))


def _r2(outcomes: Outcomes, counts: Counts, _label: int | None) -> Floats:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)²; NaN where all rows of a draw have one value."""
    centred = outcomes.targets - outcomes.targets.mean()
    spread = mean(np.square(centred), counts) - np.square(mean(centred, counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 1 - mean(np.square(_error(outcomes)), counts) / spread, np.nan)


_DECIDED = ("class", "labels")
_ALL = (
    Measure(
        id="accuracy",
        title="accuracy",
        answers=_DECIDED,
        samples=_accuracy,
        right=lambda outcomes: outcomes.right,
    ),
    Measure(id="precision_macro", title="precision, macro", answers=_DECIDED, samples=_of_decisions(0)),
    Measure(id="recall_macro", title="recall, macro", answers=_DECIDED, samples=_of_decisions(1)),
    Measure(id="f1_macro", title="F1, macro", answers=_DECIDED, samples=_of_decisions(2)),
    Measure(id="f1_micro", title="F1, micro", answers=("labels",), samples=_f1_micro),
    Measure(
        id="precision", title="precision", answers=_DECIDED, samples=_of_decisions(0), of_class=True, among=_answered
    ),
    Measure(id="recall", title="recall", answers=_DECIDED, samples=_of_decisions(1), of_class=True, among=_there),
    Measure(id="f1", title="F1", answers=_DECIDED, samples=_of_decisions(2), of_class=True),
    Measure(id="auroc", title="AUROC", answers=_DECIDED, samples=_ranked(area_under_roc)),
    Measure(id="average_precision", title="average precision", answers=_DECIDED, samples=_ranked(average_precision)),
    Measure(id="brier", title="Brier score", answers=_DECIDED, samples=_brier, better="lower"),
    Measure(id="log_loss", title="log loss", answers=("class",), samples=_log_loss, better="lower"),
    Measure(
        id="calibration_error",
        title="calibration error",
        answers=_DECIDED,
        samples=_calibration_error,
        better="lower",
    ),
    Measure(id="mae", title="mean absolute error", answers=("value",), samples=_mae, better="lower"),
    Measure(id="rmse", title="root of the mean squared error", answers=("value",), samples=_rmse, better="lower"),
    Measure(id="r2", title="R²", answers=("value",), samples=_r2),
)
MEASURES = MappingProxyType({measure.id: measure for measure in _ALL})
"""By id; a new metric of right and wrong is one entry."""


def measures_of(answer: str) -> Mapping[str, Measure]:
    """Those that a form of answer has."""
    return {name: measure for name, measure in MEASURES.items() if answer in measure.answers}
