"""The nearest training images by their pixels, made very small: what a model of images must be measured against.

It gets its chance: the validation images choose how many neighbours are asked, as they choose the model's checkpoint.
"""

from dataclasses import dataclass, replace
from typing import Any  # scikit-learn's estimators; targets of any number type

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from explicate_bundle.images import Pixels
from explicate_training.tasks.task import baseline_loss

_EDGE = 16  # pixels
_NEIGHBOURS = (1, 5, 15)
_MOST_IMAGES = 5_000


@dataclass(frozen=True)
class SmallImages:
    """Images of a few pixels with their targets."""

    values: NDArray[np.float32]  # [images, edge * edge * 3]
    targets: NDArray[Any]  # as the task gives them


def shrink(pixels: Pixels, places: NDArray[np.intp], targets: NDArray[Any]) -> SmallImages:
    """Some of the pixels uint8 [images, height, width, 3], one image a place."""
    small = [Image.fromarray(one).resize((_EDGE, _EDGE), Image.Resampling.BOX) for one in pixels[places]]
    return SmallImages(np.stack([np.asarray(one, dtype=np.float32).ravel() for one in small]), targets)


def neighbour_outputs(
    train: SmallImages, validation: SmallImages, test: SmallImages, *, classes: int
) -> dict[str, NDArray[np.float64]]:
    """What the best number of neighbours answers on "validation" and "test": log-probabilities [rows, classes].

    Without classes they answer values [rows, 1]; float64.
    """
    rows = np.linspace(0, len(train.targets) - 1, min(len(train.targets), _MOST_IMAGES)).astype(int)
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


def _answers(model: Any, part: SmallImages, classes: int) -> NDArray[np.float64]:
    """A class that no neighbour has is as probable as if one more neighbour had a bit of every class."""
    if not classes:
        return np.asarray(model.predict(part.values), dtype=np.float64)[:, np.newaxis]
    shares = np.zeros((len(part.values), classes))
    shares[:, model.classes_] = model.predict_proba(part.values)
    count = model.n_neighbors
    return np.asarray(np.log((shares * count + 1 / classes) / (count + 1)))
