"""The metrics of every task: what is measured, and what is shown of it."""

from collections.abc import Mapping, Sequence
from typing import Any  # JSON values; numbers of any type

import numpy as np
from numpy.typing import NDArray

from explicate.errors import ExplicateError
from explicate_training.data.labels import Task
from explicate_training.tasks.classification import classification_metrics
from explicate_training.tasks.metric_lines import classification_lines, multi_label_lines, regression_lines
from explicate_training.tasks.multi_label import multi_label_metrics
from explicate_training.tasks.regression import regression_metrics
from explicate_training.tasks.task_options import CHECKPOINT_METRICS

CURVES: Mapping[Task, Mapping[str, str]] = {
    "classification": {"accuracy": "accuracy", "f1_macro": "macro F1"},
    "multi-label": {"f1_micro": "micro F1", "f1_macro": "macro F1"},
    "regression": {"r2": "R²", "mae": "mean absolute error"},
}
"""Titles of the validation metrics that a report draws."""


def task_metrics(
    task: Task, outputs: NDArray[Any], targets: NDArray[Any], labels: Sequence[str], *, counted: str
) -> dict[str, Any]:
    """All metrics of a model's answers as JSON values.

    Args:
        task: what is predicted.
        outputs: float [rows, outputs], logits or values.
        targets: as `targets_of` gives them.
        labels: names of the outputs; none of a regression.
        counted: what the rows are, such as "texts".

    Raises ExplicateError when an output is infinite or not a number.
    """
    if not np.isfinite(outputs).all():
        raise ExplicateError(
            "the training diverged (the model's answers are not finite): lower training.learning_rate, or set "
            'training.precision = "fp32"'
        )
    if task == "regression":
        return regression_metrics(outputs[:, 0], targets, counted=counted)
    if task == "multi-label":
        return multi_label_metrics(outputs, targets, labels, counted=counted)
    return classification_metrics(outputs, targets, labels, counted=counted)


def checkpoint_metrics(
    task: Task, outputs: NDArray[Any], targets: NDArray[Any], labels: Sequence[str]
) -> dict[str, float]:
    """The validation metrics that may choose the best checkpoint; what is undefined counts as 0."""
    metrics = task_metrics(task, np.asarray(outputs), np.asarray(targets), labels, counted="rows")
    return {name: metrics[name] or 0.0 for name in CHECKPOINT_METRICS[task]}


def task_lines(task: Task, metrics: Mapping[str, Any], *, counted: str) -> list[str]:
    """The metrics of validation and test as lines for the terminal."""
    if task == "regression":
        return regression_lines(metrics)
    lines = classification_lines if task == "classification" else multi_label_lines
    return lines(metrics, counted=counted)
