"""Offsets of the logits, so that rare classes are answered, too: a threshold, chosen after the weights.

A model that learnt from 19 rows of one class to 1 of another seldom gives the other one half, however well it ranks
rows; it then never answers it. The offsets take away a part of how much more frequent a class is: -strength *
log(share) (post-hoc logit adjustment, Menon, Jayasumana, Rawat, Jain, Veit, Kumar 2021, "Long-tail learning via logit
adjustment"). Of two classes that is a threshold, of several labels one for each. The strength is one number, so that a
few validation rows can choose it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray
from torch import nn

from explicate_bundle.outcomes.resampling import resampled
from explicate_training.tasks.task import Evaluation, Task

_STRENGTHS = np.linspace(0.05, 1.5, 30)  # 1 answers as if all classes were as frequent

_LEAST_GAIN = 0.01


def decision_offsets(
    task: Task, validation: Evaluation, train_targets: NDArray[Any], labels: Sequence[str]
) -> NDArray[np.float64] | None:
    """What to add to each logit, float64 [outputs]; None if the classes are balanced, or if nothing is gained by it.

    The validation rows choose what gives the best macro F1. It must be better than without by at least 0.01, and by
    more than the standard error of that difference (a bootstrap over the rows).
    """
    outputs, metric = validation.outputs, task.decision_metric
    if not metric or not task.imbalanced(train_targets, len(labels)):
        return None
    prior = task.prior_logits(train_targets, len(labels))
    assert prior is not None

    def value(shifted: NDArray[Any]) -> float:
        return float(task.metrics(shifted, validation.targets, labels, counted="rows")[metric])

    tried = [value(outputs - strength * prior) for strength in _STRENGTHS]
    best = int(np.argmax(tried))  # the smallest of equal ones
    offsets = -_STRENGTHS[best] * prior

    def samples(shifted: NDArray[Any]) -> NDArray[np.float64]:
        measure = partial(task.resampled, shifted, validation.targets, labels)
        return resampled(measure, len(outputs))[metric]

    gain = tried[best] - value(outputs)
    return offsets if gain > max(_LEAST_GAIN, float(np.std(samples(outputs + offsets) - samples(outputs)))) else None


def fold_offsets(network: nn.Module, offsets: NDArray[np.float64]) -> nn.Module | None:
    """Adds them to the bias of the last layer that has one for each output, and returns it; None if there is none."""
    layers = [
        layer
        for layer in network.modules()
        if getattr(layer, "out_features", 0) == len(offsets) and getattr(layer, "bias", None) is not None
    ]
    if not layers:
        return None
    shift_bias(layers[-1], offsets)
    return layers[-1]


def shift_bias(layer: nn.Module, offsets: NDArray[np.float64]) -> None:
    """Adds to a layer's bias."""
    bias = layer.get_parameter("bias").data
    bias += bias.new_tensor(offsets)
