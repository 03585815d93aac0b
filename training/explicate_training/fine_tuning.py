"""Fine-tunes a text model with the Hugging Face Trainer, from encoded texts to the best checkpoint's weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what the Trainer passes around

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer, TrainerCallback

from explicate_training.config import TrainingConfig
from explicate_training.length_grouping import LengthGroupedOrder
from explicate_training.metrics import classification_metrics
from explicate_training.text_model import TextModel
from explicate_training.training_loop import Outcome, loop_callbacks, run_loop, training_arguments


@dataclass(frozen=True)
class Examples:
    """Encoded texts with their class indices."""

    encoded: Sequence[Mapping[str, list[int]]]
    targets: Sequence[int]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary of model inputs and "labels" for each text."""
        return [{**row, "labels": target} for row, target in zip(self.encoded, self.targets, strict=True)]


class _Trainer(Trainer):
    """The Trainer with our order of training texts."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        rows: Any = self.train_dataset
        order = LengthGroupedOrder([len(row["input_ids"]) for row in rows], self._train_batch_size, seed=self.args.seed)
        loader: DataLoader[Any] = DataLoader(
            rows,
            batch_size=self._train_batch_size,
            sampler=order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared


def fine_tune(
    text_model: TextModel,
    train: Examples,
    validation: Examples,
    config: TrainingConfig,
    *,
    checkpoints: Path,
    resume: bool,
    callback: TrainerCallback,
) -> Outcome:
    """Trains in place; afterwards the model has the weights of its best validation.

    Args:
        text_model: what is trained.
        train: the examples to learn from.
        validation: the examples that choose the best checkpoint.
        config: how.
        checkpoints: folder for checkpoints, one for each validation, the best and the last kept.
        resume: go on from the last checkpoint in that folder.
        callback: hears of each step.

    Raises:
        ExplicateError: the weights became infinite or not a number.
    """
    labels = text_model.labels
    trainer = _Trainer(
        model=text_model.model,
        args=training_arguments(config, rows=len(train.targets), checkpoints=checkpoints),
        data_collator=lambda rows: text_model.tokenizer.pad(rows, return_tensors="pt"),
        train_dataset=train.rows(),
        eval_dataset=validation.rows(),
        compute_loss_func=loss_function(train.targets, len(labels), config),
        compute_metrics=lambda prediction: _validation_metrics(prediction, labels),
        callbacks=loop_callbacks(config, callback),
    )
    return run_loop(trainer, resume=resume)


def loss_function(targets: Sequence[int], classes: int, config: TrainingConfig) -> Callable[..., torch.Tensor]:
    """Mean cross-entropy, with class weights n / (classes * count) when "balanced", and label smoothing."""
    weights = class_weights(targets, classes) if config.class_weights == "balanced" else None

    def loss(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits = outputs["logits"].float()
        weight = None if weights is None else weights.to(logits.device)
        return cross_entropy(logits, labels, weight=weight, label_smoothing=config.label_smoothing)

    return loss


def class_weights(targets: Sequence[int], classes: int) -> torch.Tensor:
    """n / (classes * count) of each class, float32 [classes]: rare ones weigh more."""
    return torch.tensor(len(targets) / (classes * np.bincount(targets, minlength=classes)), dtype=torch.float32)


def _validation_metrics(prediction: EvalPrediction, labels: Sequence[str]) -> dict[str, float]:
    metrics = classification_metrics(np.asarray(prediction.predictions), np.asarray(prediction.label_ids), labels)
    return {name: metrics[name] for name in ("accuracy", "f1_macro", "calibration_error")}
