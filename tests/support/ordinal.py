"""An objective that the product does not have: classes in an order, learnt as a number, the place in that order.

It is written as a stranger would write it, against the public names of training alone, and proves that a new objective
needs no edit of anything but its own file and the registry.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from explicate_training.config.options import TrainingOptions
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import Drawing, Evaluation, FitTrees, Loss, Metrics, Mistakes, Outputs

NAME = "ordinal"
_TITLES = {"accuracy": "accuracy", "rank_mae": "mean distance in ranks"}


class Ordinal(Classification):
    """A row has one of a few classes, which are numbers or are sorted by spelling: 1 to 5 stars, say."""

    name = NAME
    losses = ("rank-error",)
    checkpoint_metrics = ("rank_mae", "accuracy")
    default_metric = "rank_mae"
    errors = ("rank_mae",)
    imbalances = ("none",)
    smooths_labels = False
    problem_type = "regression"
    score = ("rank_mae", "mean distance in ranks")
    curves = table_curves = shown = titles = _TITLES
    class_titles: ClassVar = {}

    def outputs(self, names: Sequence[str]) -> list[str]:
        return ["rank"]

    def loss(self, targets: NDArray[Any], outputs: int, training: TrainingOptions) -> Loss:
        def loss(outputs: Any, labels: Tensor, **_: Any) -> Tensor:
            ranks = outputs["logits"].float().squeeze(-1)
            wanted = (labels.unsqueeze(1) if ranks.dim() == 2 else labels).float()
            return functional.mse_loss(ranks, wanted.expand_as(ranks))

        return loss

    def metrics(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], *, counted: str) -> Metrics:
        places = self._places(outputs, labels)
        return {
            counted: len(targets),
            "accuracy": float((places == targets).mean()),
            "rank_mae": float(np.abs(outputs[:, 0] - targets).mean()),
        }

    def trees(self, fit: FitTrees, parts: Sequence[Any], *, classes: int) -> dict[str, NDArray[np.float64]]:
        return fit(*parts, classes=0)

    def leakage(self, values: NDArray[np.float32], targets: NDArray[Any]) -> float | None:
        return Regression().leakage(values, targets)

    def headline(
        self, test: Mapping[str, Any], labels: Sequence[str], target_name: str, counted: str
    ) -> tuple[str, str, str]:
        classes = len(labels)
        return (f"to place {counted} among {classes} classes. It is off by", f"{test['rank_mae']:.2f}", " ranks.")

    def drawings(self, test: Evaluation, labels: Sequence[str], target_name: str, *, counted: str) -> list[Drawing]:
        return []

    def mistakes(self, test: Evaluation, labels: Sequence[str]) -> Mistakes:
        places = self._places(test.outputs, labels)
        distances = np.abs(places - test.targets).astype(np.float64)
        return distances, lambda row: labels[int(test.targets[row])], lambda row: labels[int(places[row])]

    def _places(self, outputs: Outputs, labels: Sequence[str]) -> NDArray[np.int64]:
        return np.clip(np.rint(outputs[:, 0]), 0, len(labels) - 1).astype(np.int64)
