"""Trains an image model, from pixels to the best checkpoint's weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any  # targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from explicate_bundle.images import Pixels
from explicate_training.image.augmentation import Draw, DrawOrder, augment
from explicate_training.image.config import AugmentationConfig, ImageConfig
from explicate_training.image.model import ImageModel
from explicate_training.loop.trainer import Fitting, Outcome, fit
from explicate_training.tasks.task import TargetScale


@dataclass(frozen=True)
class ImageExamples:
    """Prepared images with their targets."""

    pixels: Pixels  # [any number of images, height, width, 3]
    places: NDArray[np.intp]  # of these images in pixels
    targets: NDArray[Any]  # as the task gives them

    def __len__(self) -> int:
        return len(self.places)


def fit_images(
    image_model: ImageModel,
    train: ImageExamples,
    validation: ImageExamples,
    labels: Sequence[str],
    config: ImageConfig,
    fitting: Fitting,
    scale: TargetScale,
) -> Outcome:
    """Trains in place; afterwards the model has the weights of its best validation, and is on the CPU.

    Args:
        image_model: what is trained.
        train: the images to learn from, changed anew in each epoch.
        validation: the images that choose the best checkpoint, as they are.
        labels: the classes or labels by index.
        config: how they are changed, and drawn.
        fitting: how it is trained.
        scale: how answers become values.

    Raises:
        ExplicateError: as `fit` does.
    """
    training, task = config.training, fitting.task
    learnt, judged = (replace(part, targets=task.standard(part.targets, scale)) for part in (train, validation))
    outcome = fit(
        image_model.network,
        _AugmentedImages(learnt, config.augmentation, seed=training.seed),
        _Images(judged),
        fitting,
        order=DrawOrder(train.targets, training.imbalance, batch_size=training.batch_size, seed=training.seed),
        targets=train.targets,
        scale=scale,
        labels=labels,
    )
    image_model.network.cpu().train(False)
    return outcome


class _Images(Dataset[Any]):
    """Images that are fetched a batch at a time, as they are."""

    def __init__(self, examples: ImageExamples) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitems__(self, rows: list[int]) -> dict[str, Tensor]:
        examples = self._examples
        return {
            "pixels": torch.from_numpy(examples.pixels[examples.places[rows]]),
            "labels": torch.from_numpy(examples.targets[rows]),
        }

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return self.__getitems__([row])


class _AugmentedImages(Dataset[Any]):
    """Training images, each changed by its draw; fetched a batch at a time."""

    def __init__(self, examples: ImageExamples, config: AugmentationConfig, *, seed: int) -> None:
        self._images = _Images(examples)
        self._config = config
        self._seed = seed

    def __len__(self) -> int:
        return len(self._images)

    def __getitems__(self, draws: list[Draw]) -> dict[str, Tensor]:
        batch = self._images.__getitems__([row for row, _, _ in draws])
        return {**batch, "pixels": augment(batch["pixels"], draws, self._config, seed=self._seed)}

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        return self.__getitems__([draw])
