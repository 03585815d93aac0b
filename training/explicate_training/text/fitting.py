"""Fine-tunes a text model with the Hugging Face Trainer, from encoded texts to the best checkpoint's weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # what the Trainer passes around

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer, TrainerCallback

from explicate_training.data.labels import TargetScale, Task
from explicate_training.loop.trainer import Outcome, loop_callbacks, run_loop, training_arguments
from explicate_training.tasks.losses import task_loss
from explicate_training.tasks.task import checkpoint_metrics
from explicate_training.tasks.task_options import chosen_metric, loss_options
from explicate_training.text.config import TrainingConfig
from explicate_training.text.model import LengthGroupedOrder, TextModel


@dataclass(frozen=True)
class Examples:
    """Encoded texts or pairs with their targets."""

    encoded: Sequence[Mapping[str, list[int]]]
    targets: NDArray[Any]  # as `targets_of` gives them

    def rows(self, target: TargetScale) -> list[dict[str, Any]]:
        """One dictionary of model inputs and "labels" for each text; the value of a regression in standard units."""
        targets = target.standard(self.targets) if self.targets.dtype == np.float64 else self.targets
        return [{**row, "labels": one} for row, one in zip(self.encoded, targets.tolist(), strict=True)]


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
    task: Task,
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
        task: what it predicts.
        checkpoints: folder for checkpoints, one for each validation, the best and the last kept.
        resume: go on from the last checkpoint in that folder.
        callback: hears of each step.

    Raises:
        ExplicateError: the weights became infinite or not a number.
    """
    config = replace(config, best_metric=chosen_metric(task, config.best_metric))
    options = loss_options(task, config, balanced=config.class_weights == "balanced")
    trainer = _Trainer(
        model=text_model.model,
        args=training_arguments(config, rows=len(train.targets), checkpoints=checkpoints),
        data_collator=lambda rows: text_model.tokenizer.pad(rows, return_tensors="pt"),
        train_dataset=train.rows(text_model.target),
        eval_dataset=validation.rows(text_model.target),
        compute_loss_func=task_loss(task, train.targets, len(text_model.labels), options),
        compute_metrics=lambda prediction: _validation_metrics(prediction, task, text_model),
        callbacks=loop_callbacks(config, callback),
    )
    return run_loop(trainer, resume=resume)


def _validation_metrics(prediction: EvalPrediction, task: Task, text_model: TextModel) -> dict[str, float]:
    outputs, targets = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    if task == "regression":
        outputs, targets = text_model.target.value(outputs), text_model.target.value(targets)
    return checkpoint_metrics(task, outputs, targets, text_model.labels)
