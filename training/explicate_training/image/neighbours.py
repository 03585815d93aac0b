"""The nearest training images by their pixels, made very small: what a model of images must be measured against.

It gets its chance: the validation images choose how many neighbours are asked, as they choose the model's checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any  # scikit-learn's estimators; targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch.nn import functional

from explicate_training.label_review.label_model import FittedLabels, LabelModel, Reason, Rows, spread
from explicate_training.tasks.task import baseline_loss

_EDGE = 16  # pixels
_NEIGHBOURS = (1, 5, 15)
_MOST_ROWS, _AT_ONCE = 5_000, 64
_LABELS_NEIGHBOURS, _NAMED = 15, 3


@dataclass(frozen=True)
class Thumbnails:
    """Pictures of a few pixels with their targets."""

    values: NDArray[np.float32]  # [pictures, edge * edge * 3]
    targets: NDArray[Any]  # as the task gives them


def shrink(pixels: NDArray[np.uint8], places: NDArray[np.intp], targets: NDArray[Any]) -> Thumbnails:
    """Some of the pixels uint8 [pictures, height, width, 3], one picture a place, as means over areas."""
    parts = [
        functional.adaptive_avg_pool2d(torch.from_numpy(pixels[places[start:stop]]).permute(0, 3, 1, 2).float(), _EDGE)
        for start in range(0, len(places), _AT_ONCE)
        for stop in [start + _AT_ONCE]
    ]
    return Thumbnails(torch.cat(parts).flatten(1).numpy(), targets)


class NeighbourLabels(LabelModel):
    """The nearest pictures, to doubt labels by."""

    name = "nearest neighbours"

    def __init__(self, pictures: Thumbnails, names: Sequence[str], classes: int, labels: Sequence[str]) -> None:
        self.pictures, self.names, self.classes, self.labels = pictures, names, classes, labels

    def fit(self, rows: Rows) -> FittedLabels:
        count = min(_LABELS_NEIGHBOURS, len(rows))
        model = KNeighborsClassifier(n_neighbors=count, weights="distance")
        return _FittedNeighbourLabels(self, rows, model.fit(self.pictures.values[rows], self.pictures.targets[rows]))


class _FittedNeighbourLabels(FittedLabels):
    def __init__(self, of: NeighbourLabels, rows: Rows, model: Any) -> None:
        self._of, self._rows, self._model = of, rows, model

    def probabilities(self, rows: Rows) -> NDArray[np.float64]:
        """A class that no neighbour has is as probable as if one more neighbour had a bit of every class."""
        count, classes = self._model.n_neighbors, self._of.classes
        shares = spread(self._model.predict_proba(self._of.pictures.values[rows]), self._model.classes_, classes)
        return np.asarray((shares * count + 1 / classes) / (count + 1))

    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:
        """The nearest pictures of the suggested class, and how many of each there are."""
        (places,) = self._model.kneighbors(self._of.pictures.values[[row]], return_distance=False)
        near = self._rows[places]
        targets = self._of.pictures.targets[near]
        alike = [self._of.names[place] for place in near[targets == suggested].tolist()]
        counts = " and ".join(
            f"{int((targets == one).sum())} {self._of.labels[one]}" for one in dict.fromkeys((suggested, given))
        )
        return [Reason(f"of the {len(near)} nearest pictures {counts}, such as {', '.join(alike[:_NAMED])}")]


def neighbour_outputs(
    train: Thumbnails, validation: Thumbnails, test: Thumbnails, *, classes: int
) -> dict[str, NDArray[np.float64]]:
    """What the best number of neighbours answers on "validation" and "test": log-probabilities [rows, classes].

    Without classes they answer values [rows, 1]; float64.
    """
    rows = np.linspace(0, len(train.targets) - 1, min(len(train.targets), _MOST_ROWS)).astype(int)
    train = replace(train, values=train.values[rows], targets=train.targets[rows])
    kind = KNeighborsClassifier if classes else KNeighborsRegressor
    fitted = [
        kind(n_neighbors=count, weights="distance").fit(train.values, train.targets)
        for count in _NEIGHBOURS
        if count <= len(rows)
    ]
    answers = [_answers(model, validation, classes) for model in fitted]
    best = fitted[int(np.argmin([baseline_loss(one, validation.targets, classes) for one in answers]))]
    return {name: _answers(best, part, classes) for name, part in (("validation", validation), ("test", test))}


def _answers(model: Any, part: Thumbnails, classes: int) -> NDArray[np.float64]:
    """A class that no neighbour has is as probable as if one more neighbour had a bit of every class."""
    if not classes:
        return np.asarray(model.predict(part.values), dtype=np.float64)[:, np.newaxis]
    shares = np.zeros((len(part.values), classes))
    shares[:, model.classes_] = model.predict_proba(part.values)
    count = model.n_neighbors
    return np.asarray(np.log((shares * count + 1 / classes) / (count + 1)))
