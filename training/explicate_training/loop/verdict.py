"""What a model is worth: beside one that always answers alike, and beside a simple one, on the same test rows.

A model has learnt something if the metric that compares models (AUROC, or R²) is better than that of always the same
answer, and the interval of this difference is on one side of 0. Accuracy cannot say it: where two thirds of the rows
are of one class, a model that knows nothing is right in two thirds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # JSON values; targets of any number type

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.outcomes.resampling import CONFIDENCE, Samples, interval, intervals, resampled
from explicate_training.tasks.task import OF_CLASSES, Evaluation, Task, shown_interval


@dataclass(frozen=True)
class Judged:
    """A model's answers to the test rows, and what its metrics are on draws of these rows."""

    name: str
    evaluation: Evaluation
    samples: Samples

    def metrics(self, labels: Sequence[str]) -> dict[str, Any]:
        """Its metrics with "intervals": by name, and under "per_class" by label and name."""
        metrics = dict(self.evaluation.metrics)
        found: dict[str, Any] = intervals(self.samples, metrics)
        of_classes = {
            label: intervals(
                {name.removeprefix(OF_CLASSES): values[:, index] for name, values in self._of_classes().items()},
                metrics["per_class"][label],
            )
            for index, label in enumerate(labels if self._of_classes() else ())
        }
        return {**metrics, "intervals": {**found, **({"per_class": of_classes} if of_classes else {})}}

    def _of_classes(self) -> Samples:
        return {name: values for name, values in self.samples.items() if name.startswith(OF_CLASSES)}


def judged(name: str, task: Task, evaluation: Evaluation, labels: Sequence[str]) -> Judged:
    """Measures a model on draws of the rows, the same ones for all models."""
    outputs, targets = evaluation.outputs, evaluation.targets
    samples = resampled(lambda counts: task.resampled(outputs, targets, labels, counts), len(targets))
    return Judged(name, evaluation, samples)


def always_alike(
    task: Task, train_targets: NDArray[Any], test: Evaluation, labels: Sequence[str], *, counted: str
) -> Judged:
    """The best model that does not look at its input."""
    answer, name = task.constant(train_targets, labels)
    outputs = np.tile(answer, (len(test.targets), 1))
    return judged(name, task, task.evaluate(outputs, test.targets, labels, counted=counted), labels)


def verdict(task: Task, model: Judged, rivals: Sequence[Judged], *, counted: str) -> bundle_pb2.Verdict:
    """How a model compares with rivals, the first of which always answers alike."""
    scores = (task.score, task.spare_score)
    defined = [score for score in scores if all(_value(one, score[0]) is not None for one in (model, *rivals))]
    name, title = (*defined, task.spare_score)[0]
    sign = -1 if name in task.errors else 1
    value = _value(model, name) or 0.0
    told = [
        bundle_pb2.Rival(
            name=rival.name,
            value=(theirs := _value(rival, name) or 0.0),
            interval=_interval(rival.samples[name]),
            difference=sign * (value - theirs),
            difference_interval=_interval(sign * (model.samples[name] - rival.samples[name])),
        )
        for rival in rivals
    ]
    found = bundle_pb2.Verdict(
        metric=name,
        title=title,
        smaller_is_better=sign < 0,
        value=value,
        interval=_interval(model.samples[name]),
        rivals=told,
        learnt=told[0].difference_interval.lower > 0,
        rows=len(model.evaluation.targets),
        confidence=CONFIDENCE,
    )
    found.sentence = _sentence(found, counted, one_answer=_answers_alike(task, model))
    return found


def _answers_alike(task: Task, model: Judged) -> bool:
    return bool(task.decided_metrics) and task.one_answer(model.evaluation.outputs)


def _sentence(found: bundle_pb2.Verdict, counted: str, *, one_answer: bool) -> str:
    nothing, *others = found.rivals
    head = "learnt"
    if not found.learnt:
        head = "not shown to have learnt anything" if nothing.difference > 0 else "learnt nothing"
    size = f"{_shown(found.value, found.interval if found.HasField('interval') else None)} on {found.rows:,} {counted}"
    parts = [f"test {found.title} {size}", _beside(nothing), *map(_beside, others)]
    alike = f"; it answers all test {counted} alike" if one_answer else ""
    return f"{head}: {', '.join(parts)}{alike}"


def _beside(rival: bundle_pb2.Rival) -> str:
    """Such as "0.102 [0.054, 0.149] better than always answering 'no' (0.500)"."""
    name, ends = f"{rival.name} ({rival.value:.3f})", rival.difference_interval
    if rival.HasField("difference_interval") and ends.lower > 0:
        return f"{_shown(rival.difference, ends)} better than {name}"
    if rival.HasField("difference_interval") and ends.upper < 0:
        turned = bundle_pb2.Interval(lower=-ends.upper, upper=-ends.lower)
        return f"{_shown(-rival.difference, turned)} worse than {name}"
    return f"not told apart from {name}, difference {_shown(rival.difference, ends, '+.3f')}"


def _shown(value: float, ends: bundle_pb2.Interval | None, form: str = ".3f") -> str:
    return format(value, form) + (shown_interval((ends.lower, ends.upper), form) if ends else "")


def _value(one: Judged, name: str) -> float | None:
    value = one.evaluation.metrics.get(name)
    return value if isinstance(value, int | float) else None


def _interval(samples: NDArray[np.float64]) -> bundle_pb2.Interval | None:
    ends = interval(samples)
    return None if ends is None else bundle_pb2.Interval(lower=ends[0], upper=ends[1])
