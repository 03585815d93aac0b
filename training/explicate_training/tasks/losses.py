"""The loss of every task: what training makes small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any  # what the Trainer passes around; targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from explicate_training.data.labels import Task


@dataclass(frozen=True)
class LossOptions:
    """What may be chosen of a loss."""

    balanced: bool = False  # rare classes weigh more
    label_smoothing: float = 0.0
    error: str = "mse"  # of a regression: mse, mae or huber
    huber_delta: float = 1.0  # in standard deviations of the target


def task_loss(task: Task, targets: NDArray[Any], outputs: int, options: LossOptions) -> Callable[..., Tensor]:
    """The mean loss over rows, for logits [batch, outputs], or [batch, members, outputs] of members that learn apart.

    Classification: cross-entropy; balanced, with weights n / (classes * count). Several labels: the mean over labels of
    the binary cross-entropy; balanced, rows with a label weigh as much as rows without it (torch's `pos_weight`,
    (n - count) / count); smoothing moves 0 and 1 towards one half. Regression: squared, absolute or Huber's error.

    Args:
        task: what is predicted.
        targets: of all training rows, as `targets_of` gives them.
        outputs: of the model.
        options: what was chosen.
    """
    if task == "regression":
        return _regression_loss(options)
    if task == "multi-label":
        return _multi_label_loss(targets, options)
    weights = class_weights(targets.tolist(), outputs) if options.balanced else None

    def loss(outputs: Any, labels: Tensor, **_: Any) -> Tensor:
        logits = outputs["logits"].float()
        members = logits.shape[1] if logits.dim() == 3 else 1
        weight = None if weights is None else weights.to(logits.device)
        return functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            labels.repeat_interleave(members),
            weight=weight,
            label_smoothing=options.label_smoothing,
        )

    return loss


def class_weights(targets: Sequence[int], classes: int) -> Tensor:
    """n / (classes * count) of each class, float32 [classes]: rare ones weigh more."""
    return torch.tensor(len(targets) / (classes * np.bincount(targets, minlength=classes)), dtype=torch.float32)


def positive_weights(targets: NDArray[Any]) -> Tensor:
    """(n - count) / count of each label of int [rows, labels], float32 [labels]."""
    counts = targets.sum(axis=0)
    return torch.tensor((len(targets) - counts) / counts, dtype=torch.float32)


def _multi_label_loss(targets: NDArray[Any], options: LossOptions) -> Callable[..., Tensor]:
    weights = positive_weights(targets) if options.balanced else None

    def loss(outputs: Any, labels: Tensor, **_: Any) -> Tensor:
        logits = outputs["logits"].float()
        wanted = labels.float() * (1 - options.label_smoothing) + options.label_smoothing / 2
        if logits.dim() == 3:
            wanted = wanted.unsqueeze(1).expand_as(logits)
        weight = None if weights is None else weights.to(logits.device)
        return functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight)

    return loss


def _regression_loss(options: LossOptions) -> Callable[..., Tensor]:
    def loss(outputs: Any, labels: Tensor, **_: Any) -> Tensor:
        values = outputs["logits"].float().squeeze(-1)
        wanted = (labels.unsqueeze(1) if values.dim() == 2 else labels).expand_as(values)
        if options.error == "mae":
            return functional.l1_loss(values, wanted)
        if options.error == "huber":
            return functional.huber_loss(values, wanted, delta=options.huber_delta)
        return functional.mse_loss(values, wanted)

    return loss
