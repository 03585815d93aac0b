"""An objective that the product does not have: classes in an order, learnt by how far off the expected place is.

It is written as a stranger would write it, against the public names alone, and proves that a new objective needs no
edit of anything but its own file and the registries of training, bundle and export.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.objective import OBJECTIVES, Objective, softmax
from explicate_export.objectives import EXPORT_OBJECTIVES, InputWords
from explicate_export.parity import LOGITS, Scale
from explicate_training.config.sections import TrainingOptions
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.registry import register, registered
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import Drawing, Evaluation, FitBaseline, Loss, Metrics, Mistakes, Outputs, Task

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
    problem_type = "single_label_classification"
    score = ("rank_mae", "mean distance in ranks")
    curves = table_curves = shown = titles = _TITLES
    class_titles: ClassVar = {}
    decided_metrics = ()
    imbalanced_metric = decision_metric = ""
    resampled = Task.resampled

    def loss(self, targets: NDArray[Any], outputs: int, training: TrainingOptions) -> Loss:
        def loss(outputs: Any, labels: Tensor, **_: Any) -> Tensor:
            logits = outputs["logits"].float()  # [rows, classes] or [rows, members, classes]
            ranks = logits.softmax(dim=-1) @ torch.arange(logits.shape[-1], dtype=torch.float32)
            wanted = (labels.unsqueeze(1) if ranks.dim() == 2 else labels).float()
            return functional.mse_loss(ranks, wanted.expand_as(ranks))

        return loss

    def metrics(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], *, counted: str) -> Metrics:
        places = self._places(outputs, labels)
        return {
            counted: len(targets),
            "accuracy": float((places == targets).mean()),
            "rank_mae": float(np.abs(ranks(outputs) - targets).mean()),
        }

    def baseline(self, fit: FitBaseline, parts: Sequence[Any], *, classes: int) -> dict[str, NDArray[np.float64]]:
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
        return np.clip(np.rint(ranks(outputs)), 0, len(labels) - 1).astype(np.int64)


def ranks(outputs: Outputs) -> NDArray[np.float64]:
    """Expected places float64[rows] of logits [rows, classes]; of [rows, 1], as trees answer, the places themselves."""
    if outputs.shape[1] == 1:
        return np.asarray(outputs[:, 0], dtype=np.float64)
    return np.asarray(softmax(np.asarray(outputs, dtype=np.float64)) @ np.arange(outputs.shape[1]))


IN_BUNDLES = Objective(
    name=NAME,
    answer="class",
    least_labels=3,
    spaces=("probability", "logit"),
    scores=softmax,
    decisions=lambda scores: (scores.cumsum(axis=1) >= 0.5).argmax(axis=1),
    number=100,
)
"""What a bundle and a server know of it: the class in the middle of the distribution is decided for."""


class InExport:
    """The sentences of its model card, and the unit of a difference."""

    output_name = "logits"
    per_output = "class"

    def scale(self, record: TrainingRun, targets: Sequence[float], *, spread_of: str) -> Scale:
        return LOGITS

    def summary(self, record: TrainingRun, words: InputWords) -> str:
        return f"A model that places {words.many} among {len(record.labels)} classes in an order."

    def limits(self, record: TrainingRun, words: InputWords) -> tuple[str, str]:
        return f"Meant for {words.many} like those it was trained on.", "It always answers one of its classes."


def register_everywhere() -> None:
    """Make the objective known to training, bundles and export: one line each."""
    if NAME not in registered("names"):
        register(Ordinal())
    OBJECTIVES[NAME] = IN_BUNDLES
    EXPORT_OBJECTIVES[NAME] = InExport()


def forget_in_bundles() -> None:
    """Take it from bundles and export again, whose tests count their entries."""
    del OBJECTIVES[NAME], EXPORT_OBJECTIVES[NAME]
