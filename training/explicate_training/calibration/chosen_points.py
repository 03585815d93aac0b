"""What the chosen thresholds do on held-out rows: the trade of precision for recall, and the point that was chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # JSON values; targets of any number type

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from explicate.v1 import bundle_pb2
from explicate.views.look.palette import FIRST, SECOND
from explicate_bundle.outcomes.resampling import interval, mean, resampled
from explicate_training.report.figures import STYLE, svg_of
from explicate_training.tasks.task import Evaluation, Task, shown_interval

_LINE, _POINT = FIRST, SECOND


@dataclass(frozen=True)
class ChosenPoint:
    """One class or label: from where on it is answered, why, and what comes of it on the test rows.

    recall, precision: of the test rows, with their intervals.
    """

    label: str
    threshold: float
    goal: str
    validation_recall: float
    validation_precision: float
    recall: float
    precision: float
    recall_interval: Sequence[float] | None
    precision_interval: Sequence[float] | None
    drawing: str

    def line(self) -> str:
        """For the terminal."""
        return (
            f"test, {self.label} from a probability of {self.threshold:.3g} on: recall {self.recall:.3f}"
            f"{shown_interval(self.recall_interval)}, precision {self.precision:.3f}"
            f"{shown_interval(self.precision_interval)}"
        )


@dataclass(frozen=True)
class MeanCost:
    """What an answer costs on average on the test rows, and what the most probable one would."""

    cost: float
    most_probable: float
    change_interval: tuple[float, float] | None

    def line(self) -> str:
        """For the terminal."""
        change = shown_interval(self.change_interval, "+.3f")
        return f"test, mean cost {self.cost:.3f}, of the most probable class {self.most_probable:.3f}, change{change}"


def chosen_points(
    task: Task, rule: bundle_pb2.DecisionRule, test: Evaluation, metrics: Mapping[str, Any], labels: Sequence[str]
) -> list[ChosenPoint]:
    """The thresholds of a rule; `metrics` are those of the test rows, with intervals."""
    scores, found = task.scores(test.outputs), []
    ends = metrics.get("intervals", {}).get("per_class", {})
    for one in rule.thresholds:
        output, own, of_class = list(labels).index(one.label), ends.get(one.label, {}), metrics["per_class"][one.label]
        positive = test.targets == output if task.one_of_classes else test.targets[:, output] == 1
        point = (of_class["recall"], of_class["precision"])
        drawing = _trade(scores[:, output], positive, point, own.get("recall"), own.get("precision"))
        found.append(
            ChosenPoint(
                *(one.label, one.threshold, one.goal, one.recall, one.precision, *point),
                *(own.get("recall"), own.get("precision"), drawing),
            )
        )
    return found


def mean_cost(task: Task, costs: NDArray[np.float64], test: Evaluation) -> MeanCost:
    """By costs float64 [right, answered]."""
    ours, theirs = (
        costs[test.targets, answered] for answered in (task.decided(test.outputs), test.outputs.argmax(axis=1))
    )
    samples = resampled(lambda counts: {"change": mean(ours - theirs, counts)}, len(ours))["change"]
    return MeanCost(float(ours.mean()), float(theirs.mean()), interval(samples))


def _trade(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    point: tuple[float, float],
    recall_ends: Sequence[float] | None,
    precision_ends: Sequence[float] | None,
) -> str:
    """Precision by recall of every threshold, and a point with its intervals."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        if positive.any():
            precision, recall, _ = precision_recall_curve(positive, scores)
            axes.plot(recall, precision, color=_LINE, label="every threshold")
        bars = {
            name: np.abs(np.array([[end] for end in ends]) - value)
            for name, value, ends in (("xerr", point[0], recall_ends), ("yerr", point[1], precision_ends))
            if ends
        }
        axes.errorbar([point[0]], [point[1]], **bars, fmt="o", color=_POINT, capsize=2, label="chosen")  # type: ignore[arg-type]
        axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.02), ylim=(0, 1.03))
        axes.legend(frameon=False, fontsize=9, loc="lower left")
        return svg_of(figure)
