"""Fine-tunes a text model with the Hugging Face Trainer, from encoded texts to the best checkpoint's weights."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what the Trainer passes around

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from explicate.errors import ExplicateError
from explicate_training.config import TrainingConfig
from explicate_training.length_grouping import LengthGroupedOrder
from explicate_training.metrics import classification_metrics
from explicate_training.precision import training_device, use_bf16
from explicate_training.text_model import TextModel

_LOGS_PER_RUN = 100  # points of the loss curve
_EVALUATION_ROWS = 64


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


@dataclass(frozen=True)
class Outcome:
    """How training went."""

    history: list[dict[str, float]]  # by step: "loss" (training) and "learning_rate", or "validation_..." metrics
    best_step: int
    steps: int
    steps_planned: int  # more than `steps` when it stopped early
    precision: str
    train_s: float  # seconds, of a resumed run since it was resumed


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
    arguments = training_arguments(config, rows=len(train.targets), checkpoints=checkpoints)
    labels = text_model.labels
    callbacks: list[TrainerCallback] = [callback]
    if config.early_stopping_patience:
        callbacks.append(EarlyStoppingCallback(config.early_stopping_patience))
    trainer = _Trainer(
        model=text_model.model,
        args=arguments,
        data_collator=lambda rows: text_model.tokenizer.pad(rows, return_tensors="pt"),
        train_dataset=train.rows(),
        eval_dataset=validation.rows(),
        compute_loss_func=loss_function(train.targets, len(labels), config),
        compute_metrics=lambda prediction: _validation_metrics(prediction, labels),
        callbacks=callbacks,
    )
    for silenced in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(silenced)
    begin_s = time.monotonic()
    trainer.train(resume_from_checkpoint=resume)
    if not all(bool(torch.isfinite(weight).all()) for weight in text_model.model.parameters()):
        raise ExplicateError("the training diverged (weights are not finite): lower training.learning_rate")
    return Outcome(
        history=_history(trainer.state.log_history),
        best_step=trainer.state.best_global_step or trainer.state.global_step,
        steps=trainer.state.global_step,
        steps_planned=trainer.state.max_steps,
        precision="bf16" if arguments.bf16 else "fp32",
        train_s=time.monotonic() - begin_s,
    )


def training_arguments(config: TrainingConfig, *, rows: int, checkpoints: Path) -> TrainingArguments:
    """The Trainer's arguments for a number of training rows."""
    steps_per_epoch = math.ceil(rows / config.batch_size)
    steps = steps_per_epoch * config.epochs
    steps_per_evaluation = max(1, math.ceil(steps_per_epoch / config.evaluations_per_epoch))
    return TrainingArguments(
        output_dir=str(checkpoints),
        seed=config.seed,
        use_cpu=training_device() == "cpu",
        # CUDA needs to be told to add in a fixed order; a CPU does so anyway.
        full_determinism=training_device() == "cuda",
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=_EVALUATION_ROWS,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
        warmup_steps=math.ceil(config.warmup_fraction * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_gradient_norm,
        bf16=use_bf16(config.precision),
        remove_unused_columns=False,
        average_tokens_across_devices=False,  # our loss is a mean already
        eval_strategy="steps",
        eval_steps=steps_per_evaluation,
        save_strategy="steps",
        save_steps=steps_per_evaluation,
        save_total_limit=1,  # besides the best
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{config.best_metric}",
        greater_is_better=config.best_metric != "loss",
        restore_callback_states_from_checkpoint=True,
        logging_strategy="steps",
        logging_steps=max(1, steps // _LOGS_PER_RUN),
        logging_first_step=True,
        dataloader_pin_memory=training_device() == "cuda",
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )


def loss_function(targets: Sequence[int], classes: int, config: TrainingConfig) -> Callable[..., torch.Tensor]:
    """Mean cross-entropy, with class weights n / (classes * count) when "balanced", and label smoothing."""
    weights: torch.Tensor | None = None
    if config.class_weights == "balanced":
        counts = np.bincount(targets, minlength=classes)
        weights = torch.tensor(len(targets) / (classes * counts), dtype=torch.float32)

    def loss(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits = outputs["logits"].float()
        weight = None if weights is None else weights.to(logits.device)
        return cross_entropy(logits, labels, weight=weight, label_smoothing=config.label_smoothing)

    return loss


def _validation_metrics(prediction: EvalPrediction, labels: Sequence[str]) -> dict[str, float]:
    metrics = classification_metrics(np.asarray(prediction.predictions), np.asarray(prediction.label_ids), labels)
    return {name: metrics[name] for name in ("accuracy", "f1_macro", "calibration_error")}


def _history(log: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The Trainer's log without its timings, validation metrics named as such."""
    history: list[dict[str, float]] = []
    for entry in log:
        kept = {
            name.replace("eval_", "validation_"): value
            for name, value in sorted(entry.items())  # a resumed run reads them back sorted
            if name in ("step", "epoch", "loss", "grad_norm", "learning_rate", "eval_loss")
            or (name.startswith("eval_") and not name.endswith(("_runtime", "_per_second", "_model_preparation_time")))
        }
        if "loss" in kept or "validation_loss" in kept:
            history.append(kept)
    return history
