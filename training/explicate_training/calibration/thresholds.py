"""Thresholds of classes and labels, chosen on validation rows for a goal.

A recall is met for certain goals by a bound, not by the validation's own figure, which is too good half the time: the
threshold falls from above until the lower bound of Clopper and Pearson (1934) of the share that is found reaches the
goal. That recall only rises as the threshold falls, so the bound holds for the chosen threshold, too (fixed sequence
testing; Angelopoulos, Bates, Candès, Jordan, Lei 2021, "Learn then Test", section 2.2). Precision may rise and fall, so
there the bound is a guide.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_training.calibration.answer_options import ALL_LABELS, ThresholdOptions
from explicate_training.tasks.task import Task

Floats = NDArray[np.float64]
_LEAST = 1e-12  # a threshold is above 0


@dataclass(frozen=True)
class Candidates:
    """Thresholds of one class that lie between the probabilities of validation rows, and what each does.

    Attributes:
        thresholds: float64[candidates], rising; the last is 1, for never.
        answered, found: how many rows, and how many of the class, reach each, intp[candidates].
        positive: how many rows of the class there are.
    """

    thresholds: Floats
    answered: NDArray[np.intp]
    found: NDArray[np.intp]
    positive: int

    @classmethod
    def of(cls, scores: Floats, positive: NDArray[np.bool_]) -> "Candidates":
        """By the probabilities float64[rows] of a class, and which rows are of it, bool[rows]."""
        known = np.unique(scores)
        between = (known[1:] + known[:-1]) / 2  # in the middle, so that another runtime decides alike
        thresholds = np.unique(np.clip([known[0] / 2, *between, 1.0], _LEAST, 1.0))
        answered, found = (
            len(part) - np.searchsorted(np.sort(part), thresholds, side="left") for part in (scores, scores[positive])
        )
        return cls(thresholds, answered, found, int(positive.sum()))

    @property
    def recall(self) -> Floats:
        """Of each, float64[candidates]."""
        return self.found / max(1, self.positive)

    @property
    def precision(self) -> Floats:
        """Of each, float64[candidates]; 0 where nothing is answered."""
        return self.found / np.maximum(1, self.answered)

    def with_recall(self, share: float, confidence: float) -> "Pick":
        """The highest one that surely finds the share; the lowest if none does."""
        reached = lower_bound(self.found, np.full(len(self.found), self.positive), confidence) >= share
        return Pick(int(np.flatnonzero(reached)[-1])) if reached.any() else Pick(0, reached=False)

    def with_precision(self, share: float, confidence: float) -> "Pick":
        """The lowest one of which the share is surely right; the surest one if there is none."""
        bounds = lower_bound(self.found, self.answered, confidence)
        reached = np.flatnonzero(bounds >= share)
        return Pick(int(reached[0])) if len(reached) else Pick(int(bounds.argmax()), reached=False)

    def with_best_f1(self) -> "Pick":
        """The one with the best F1, 2 · found / (answered + positive)."""
        return Pick(int((2 * self.found / np.maximum(1, self.answered + self.positive)).argmax()))

    def with_least_cost(self, missed: float, falsely: float) -> "Pick":
        """The one that costs least, by what a missed row of the class and a falsely found one cost."""
        costs = missed * (self.positive - self.found) + falsely * (self.answered - self.found)
        return Pick(int(costs.argmin()))


@dataclass(frozen=True)
class Pick:
    """A candidate by its place, and whether it surely reaches the goal on the validation rows."""

    place: int
    reached: bool = True


def lower_bound(hits: NDArray[np.intp], trials: NDArray[np.intp], confidence: float) -> Floats:
    """The one-sided lower bound of Clopper and Pearson of shares, float64; the shares themselves at a confidence of .5.

    B(1 - confidence; k, n - k + 1), the quantile of a beta distribution; 0 of no hit.
    """
    share = hits / np.maximum(1, trials)
    if confidence <= 0.5:
        return np.asarray(share)
    with np.errstate(invalid="ignore"):
        bound = beta.ppf(1 - confidence, hits, trials - hits + 1)
    return np.asarray(np.where(hits > 0, bound, 0.0))


def check_goals(options: ThresholdOptions, task: Task, labels: Sequence[str], targets: NDArray[Any]) -> None:
    """Raises UsageError, naming the option, when the goals do not fit the labels or the validation's targets."""
    if not options.active:
        return
    if not task.decides:
        raise UsageError(f"thresholds are of classes and labels, and this is a {task.name}: leave the section out")
    if options.costs:
        _check_costs(options.costs, task, labels)
    for name in _named(options):
        if name not in labels and not (name == ALL_LABELS and not task.one_of_classes):
            raise UsageError(f"thresholds names {name!r}, and there are {', '.join(map(repr, labels))}")
    if task.one_of_classes and len(_named(options)) > 1:
        raise UsageError("thresholds has goals for several classes, of which one is answered: leave it one")
    true = _true(task, labels, targets)
    for name, share in options.recall_at_least.items():
        rows = int(true[:, list(labels).index(name)].sum())
        # n of n found are surely a recall of (1 - confidence)^(1 / n)
        needed = 1 if options.confidence <= 0.5 else math.ceil(math.log(1 - options.confidence) / math.log(share))
        if rows < needed:
            raise UsageError(
                f"thresholds.recall_at_least.{name} is {share:g}, and the validation has {rows} of it: {needed} tell "
                f"it with a confidence of {options.confidence:g}; add rows, raise data.validation_fraction, or lower "
                "thresholds.confidence"
            )


def _check_costs(costs: Mapping[str, Mapping[str, float]], task: Task, labels: Sequence[str]) -> None:
    if not task.one_of_classes:
        raise UsageError(f"thresholds.costs are of classes that exclude each other, and this is a {task.name}")
    for name in dict.fromkeys([*costs, *(name for row in costs.values() for name in row)]):
        if name not in labels:
            raise UsageError(f"thresholds.costs names {name!r}, and there are {', '.join(map(repr, labels))}")
    if not all(any(costs.get(right, {}).get(other) for other in labels) for right in labels):
        free = next(right for right in labels if not any(costs.get(right, {}).get(other) for other in labels))
        raise UsageError(f"thresholds.costs.{free} is missing: say what it costs to answer {free!r} with another class")


def choose(
    options: ThresholdOptions, task: Task, scores: Floats, targets: NDArray[Any], labels: Sequence[str]
) -> tuple[bundle_pb2.DecisionRule, list[str]]:
    """The rule that the goals lead to, and what is to be said of it; goals are checked.

    Args:
        options: the goals.
        task: the objective.
        scores: probabilities of the validation rows, float64[rows, outputs].
        targets: what is right, as the objective gives it.
        labels: the classes or labels by index.
    """
    true, rule = _true(task, labels, targets), bundle_pb2.DecisionRule(rows=len(targets))
    if options.costs and len(labels) > 2:
        table = [options.costs.get(right, {}).get(answered, 0.0) for right in labels for answered in labels]
        rule.costs.extend(table)
        return rule, []
    warnings = []
    for name, goal, pick in _goals(options, labels):
        output = list(labels).index(name)
        candidates = Candidates.of(scores[:, output], true[:, output])
        picked = pick(candidates)
        if not picked.reached:
            warnings.append(
                f"no threshold of {name!r} surely reaches a {goal} on the validation; the surest one is taken"
            )
        rule.thresholds.add(
            label=name,
            threshold=float(candidates.thresholds[picked.place]),
            goal=goal,
            recall=float(candidates.recall[picked.place]),
            precision=float(candidates.precision[picked.place]),
        )
    return rule, warnings


def _goals(options: ThresholdOptions, labels: Sequence[str]) -> Iterator[tuple[str, str, Callable[[Candidates], Pick]]]:
    """The classes or labels that have a goal, the goal in words, and how its threshold is picked."""
    if options.costs:
        costs = [options.costs[labels[0]][labels[1]], options.costs[labels[1]][labels[0]]]
        dear = int(np.argmax(costs))
        least = partial(Candidates.with_least_cost, missed=costs[dear], falsely=costs[1 - dear])
        yield labels[dear], "least cost", least
    for key, called in (("recall", Candidates.with_recall), ("precision", Candidates.with_precision)):
        for name, share in getattr(options, f"{key}_at_least").items():
            yield name, f"{key} of at least {share:g}", partial(called, share=share, confidence=options.confidence)
    others = [label for label in labels if label not in _named(options)] if ALL_LABELS in options.f1 else []
    for name in [*(name for name in options.f1 if name in labels), *others]:
        yield name, "best F1", Candidates.with_best_f1


def _named(options: ThresholdOptions) -> list[str]:
    return [*options.f1, *options.recall_at_least, *options.precision_at_least]


def _true(task: Task, labels: Sequence[str], targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are of each class or label, bool[rows, outputs]."""
    return np.asarray(targets[:, np.newaxis] == np.arange(len(labels)) if task.one_of_classes else targets == 1)
