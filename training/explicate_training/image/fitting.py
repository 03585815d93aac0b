"""Trains an image classifier with the Hugging Face Trainer, from pixels to the best checkpoint's weights."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # what the Trainer passes around

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from transformers import EvalPrediction, TrainerCallback

from explicate_bundle.images import Pixels
from explicate_training.data.labels import Task
from explicate_training.image.augmentation import Draw, DrawOrder, augment
from explicate_training.image.config import AugmentationConfig, ImageTrainingConfig
from explicate_training.image.model import ImageModel
from explicate_training.loop.trainer import (
    OrderedTrainer,
    Outcome,
    as_fetched,
    loop_callbacks,
    run_loop,
    training_arguments,
)
from explicate_training.tasks.losses import task_loss
from explicate_training.tasks.task import checkpoint_metrics
from explicate_training.tasks.task_options import chosen_metric, loss_options


@dataclass(frozen=True)
class ImageExamples:
    """Prepared images with their targets."""

    pixels: Pixels  # [any number of images, height, width, 3]
    places: NDArray[np.intp]  # of these images in pixels
    targets: NDArray[Any]  # as `targets_of` gives them; of a regression in standard deviations

    def __len__(self) -> int:
        return len(self.places)


def fit_images(
    image_model: ImageModel,
    train: ImageExamples,
    validation: ImageExamples,
    config: ImageTrainingConfig,
    augmentation: AugmentationConfig,
    *,
    task: Task,
    checkpoints: Path,
    resume: bool,
    callback: TrainerCallback,
) -> Outcome:
    """Trains in place; afterwards the model has the weights of its best validation, and is on the CPU.

    Args:
        image_model: what is trained.
        train: the images to learn from, changed anew in each epoch.
        validation: the images that choose the best checkpoint, as they are.
        config: how.
        augmentation: how training images are changed.
        task: what it predicts.
        checkpoints: folder for checkpoints, one for each validation, the best and the last kept.
        resume: go on from the last checkpoint in that folder.
        callback: hears of each step.

    Raises:
        ExplicateError: the weights became infinite or not a number.
    """
    config = replace(config, best_metric=chosen_metric(task, config.best_metric))
    options = loss_options(task, config, balanced=config.imbalance == "class-weights")
    order = DrawOrder(train.targets, config.imbalance, batch_size=config.batch_size, seed=config.seed)
    trainer = OrderedTrainer(
        model=image_model.network,
        args=training_arguments(config, rows=len(order), checkpoints=checkpoints),
        data_collator=as_fetched,
        train_dataset=_AugmentedImages(train, augmentation, seed=config.seed),
        eval_dataset=_Images(validation),
        compute_loss_func=task_loss(task, train.targets, len(image_model.labels), options),
        compute_metrics=lambda prediction: _validation_metrics(prediction, task, image_model),
        callbacks=loop_callbacks(config, callback),
    )
    trainer.order = order
    outcome = run_loop(trainer, resume=resume)
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


def _validation_metrics(prediction: EvalPrediction, task: Task, image_model: ImageModel) -> dict[str, float]:
    outputs, targets = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    if task == "regression":
        outputs, targets = image_model.target.value(outputs), image_model.target.value(targets)
    return checkpoint_metrics(task, outputs, targets, image_model.labels)
