"""A temperature: one number that all logits are divided by, so that probabilities are as sure as they are right.

Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", section 4.2. It is the number that makes
the log loss of the validation rows smallest, found by L-BFGS on its logarithm, in which the loss of logits / T has one
minimum. The order of classes in a row stays, and so does every answer. Several labels have one temperature together:
one for each would be told by a few rows of the rare ones, would put labels of a row in another order, and would give
the attributions of each label a scale of its own.
"""

from math import log
from typing import Any, Protocol, runtime_checkable  # Any: targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import nn

_LEAST, _MOST = 0.05, 20.0  # a validation without an error would want 0


@runtime_checkable
class Divided(Protocol):
    """A network that makes its outputs in more than one layer, and knows how they are divided."""

    def divide_outputs(self, by: float) -> None:
        """Divides all outputs by a number from now on."""


def fitted_temperature(logits: NDArray[np.floating[Any]], targets: NDArray[Any]) -> float:
    """What to divide logits float [rows, outputs] by, within 0.05 and 20; targets as an objective gives them.

    Targets of one dimension are classes, of two 0 or 1 for each label.
    """
    wide = logits.astype(np.float64)

    def loss(log_temperature: NDArray[np.float64]) -> float:
        return log_loss(wide / np.exp(log_temperature[0]), targets)

    found = minimize(loss, x0=np.zeros(1), method="L-BFGS-B", bounds=[(log(_LEAST), log(_MOST))])
    return float(np.exp(found.x[0]))


def log_loss(logits: NDArray[np.float64], targets: NDArray[Any]) -> float:
    """The mean of -log p of what is right, over rows, or over rows and labels."""
    return float(log_losses(logits, targets).mean())


def log_losses(logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    """The same of each row, float64 [rows]."""
    if targets.ndim == 2:
        return np.asarray(np.logaddexp(0, np.where(targets == 1, -logits, logits)).mean(axis=1))
    return np.asarray(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets])


@torch.no_grad()
def divide_outputs(network: nn.Module, outputs: int, by: float) -> bool:
    """Divides what the network answers: by itself, or in its last layer with so many outputs; whether there is one."""
    if isinstance(network, Divided):
        network.divide_outputs(by)
        return True
    layers = [layer for layer in network.modules() if getattr(layer, "out_features", 0) == outputs]
    if not layers:
        return False
    for weight in layers[-1].parameters(recurse=False):
        weight.div_(by)
    return True
