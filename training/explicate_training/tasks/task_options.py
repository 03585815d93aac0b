"""What may be chosen for each task: the loss, and the metric that chooses the best checkpoint."""

from collections.abc import Mapping
from typing import Protocol

from explicate.errors import UsageError
from explicate_training.data.labels import Task
from explicate_training.tasks.losses import LossOptions

CHECKPOINT_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "f1_macro", "auroc"),
    "multi-label": ("f1_micro", "f1_macro", "auroc", "average_precision", "subset_accuracy"),
    "regression": ("r2", "mae", "rmse"),
}
"""Validation metrics that may choose the best checkpoint, besides the loss."""
ALL_CHECKPOINT_METRICS = tuple(dict.fromkeys(name for names in CHECKPOINT_METRICS.values() for name in names))
LOSSES: Mapping[Task, tuple[str, ...]] = {
    "classification": ("cross-entropy",),
    "multi-label": ("binary-cross-entropy",),
    "regression": ("mse", "mae", "huber"),
}
"""Losses by task; the first one is what "auto" means."""
ALL_LOSSES = tuple(name for names in LOSSES.values() for name in names)


class TaskOptions(Protocol):
    """The training options that a task may forbid; the training sections of all configs have them."""

    @property
    def loss(self) -> str:
        """What training makes small."""

    @property
    def best_metric(self) -> str:
        """The metric that chooses the best checkpoint."""

    @property
    def label_smoothing(self) -> float:
        """Part of the target spread over all classes."""

    @property
    def huber_delta(self) -> float:
        """Where Huber's error turns from squared to absolute, in standard deviations of the target."""


def check_task_options(task: Task, training: TaskOptions) -> None:
    """Raises UsageError when an option is not one of the task's."""
    if task == "regression" and training.label_smoothing:
        raise UsageError(
            f"training.label_smoothing is {training.label_smoothing:g}, but this is a regression: leave it out"
        )
    for name, value, own in (
        ("loss", training.loss, LOSSES[task]),
        ("best_metric", training.best_metric, ("loss", *CHECKPOINT_METRICS[task])),
    ):
        if value not in ("auto", *own):
            raise UsageError(
                f"training.{name} is {value}, but this is a {task}: use {', '.join(own)}, or change data.task"
            )


def chosen_metric(task: Task, best_metric: str) -> str:
    """The metric that chooses the best checkpoint: "auto" is the mean absolute error, or the macro F1."""
    if best_metric != "auto":
        return best_metric
    return "mae" if task == "regression" else "f1_macro"


def loss_options(task: Task, training: TaskOptions, *, balanced: bool) -> LossOptions:
    """What a config chooses of the loss; "auto" is the first one of the task."""
    return LossOptions(
        balanced=balanced,
        label_smoothing=training.label_smoothing,
        error=LOSSES[task][0] if training.loss == "auto" else training.loss,
        huber_delta=training.huber_delta,
    )
