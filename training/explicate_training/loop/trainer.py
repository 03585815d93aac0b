"""The training loop of every kind of model: the Hugging Face Trainer, its arguments and what it leaves.

It keeps small work on one thread.

The matrices of a small table are too small to share among cores, and where another process holds a core, threads wait
for each other at every one of them. On two cores that others used, the credits once took 141 s to learn with two
threads; runs with one took 5 to 8 s.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any  # rows of whatever kind

import datasets
import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import IntervalStrategy

from explicate.errors import ExplicateError
from explicate_training.config.sections import TrainingOptions
from explicate_training.interpretability.step_loss import ROW_WEIGHTS, TERM, StepLoss
from explicate_training.loop.checkpoints import CheckpointRule, Patience, checkpoint_rule
from explicate_training.loop.optimisers import trainer_options, unfreezing, weight_groups
from explicate_training.loop.rows import EpochOrder
from explicate_training.loop.training_device import placement
from explicate_training.tasks.task import Loss, TargetScale, Task


def quieten_libraries() -> None:
    """Lets transformers, datasets and their like speak of errors only, and takes away their progress bars."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    for name in ("accelerate", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def one_thread(*, when: bool) -> Iterator[None]:
    """Runs what is inside on one thread (torch, BLAS, OpenMP), if `when`; afterwards all is as before."""
    if not when:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


_LOGS_PER_RUN = 100  # points of the loss curve
_OF_TERMS = "interpretability_terms"  # the module of the terms' own weights


@dataclass(frozen=True)
class Outcome:
    """How training went."""

    history: list[dict[str, float]]  # by step: "loss" (training) and "learning_rate", or "validation_..." metrics
    best_step: int
    steps: int
    steps_planned: int  # more than `steps` when it stopped early
    precision: str
    train_s: float  # seconds, of a resumed run since it was resumed


@dataclass(frozen=True)
class Fitting:
    """What training is told besides the model and its data."""

    task: Task
    config: TrainingOptions
    labels: Sequence[str]  # the classes or labels by index
    targets: NDArray[Any]  # of all training rows, as the task gives them
    scale: TargetScale  # how answers become values
    checkpoints: Path  # folder for checkpoints, one for each validation, the best and the last kept
    resume: bool  # go on from the last checkpoint in that folder
    callback: TrainerCallback  # hears of each step
    step_loss: StepLoss | None = None  # the loss with the terms of [interpretability]; None: the task's own
    last_is_best: bool = False  # the last look is taken, whatever the validation rows say
    most_looks: int = 0  # at the validation rows in all; 0: as the config says
    weights: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # of rows by split; empty: all alike

    def weight_columns(self, split: str) -> dict[str, NDArray[np.float32]]:
        """What rows of a split carry for the loss, by name: [rows], or [rows, labels]."""
        return {ROW_WEIGHTS: self.weights[split]} if self.weights else {}


class _Trainer(Trainer):
    """The Trainer with an order of training rows, and a rule for the best checkpoint, of ours."""

    order: EpochOrder
    rule: CheckpointRule
    options: TrainingOptions
    task_loss: Loss
    step_loss: StepLoss | None
    _masking = False  # validation: whether players are hidden
    _batch_number = 0  # of a validation

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """As the Trainer's own, with our groups of weights."""
        trained: Any = self.model if model is None else model
        if self.optimizer is None:
            made, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
            groups = weight_groups(trained, self.options, self.get_decay_parameter_names(trained))
            self.optimizer = made(groups, **options)
        optimiser: torch.optim.Optimizer = self.optimizer
        return optimiser

    def get_train_dataloader(self) -> DataLoader[Any]:
        rows: Any = self.train_dataset
        loader: DataLoader[Any] = DataLoader(
            rows,
            batch_size=self._train_batch_size,
            sampler=self.order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The task's loss alone, or with terms."""
        if self.step_loss is None:
            if (weights := inputs.pop(ROW_WEIGHTS, None)) is not None:
                self.compute_loss_func = partial(self.task_loss, weights=weights)
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if not return_outputs:
            return self.step_loss.loss(model, inputs, step=self.state.global_step)
        self._batch_number += 1
        return self.step_loss.validation(model, inputs, number=self._batch_number, masked=self._masking)

    def evaluation_loop(self, *args: Any, **more: Any) -> Any:
        """Validates on whole rows and, where training hides players, on the same rows with some hidden."""
        self._batch_number = 0
        output: Any = super().evaluation_loop(*args, **more)
        if self.step_loss is not None and self.step_loss.hides:
            self._batch_number, self._masking = 0, True
            try:
                masked: Any = super().evaluation_loop(*args, **more)
            finally:
                self._masking = False
            output.metrics.update(self.rule.with_masked(output.metrics, masked.metrics))
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With what the terms' losses were since the last line."""
        if self.step_loss is not None and "loss" in logs:
            logs.update({f"{TERM}{name}": value for name, value in self.step_loss.figures().items()})
        super().log(logs, start_time)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:  # noqa: ARG002 - the Trainer's
        """Whether this look is the best so far; its own rule keeps the first of equal ones."""
        best = self.rule.newest_is_best(self.state.log_history)  # which a resumed run has in full
        if best:
            self.state.best_metric = metrics[self.rule.key]
            self.state.best_global_step = self.state.global_step
        return best


def _as_fetched(rows: Any) -> Any:
    return rows


def fit(
    model: nn.Module,
    train: Any,
    validation: Any,
    fitting: Fitting,
    *,
    order: EpochOrder,
    collate: Callable[[Any], Any] = _as_fetched,
    evaluation_rows: int = 64,
    loss: Loss | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Outcome:
    """Trains in place; afterwards the model has the weights of its best validation, and answers in fp32.

    Args:
        model: what is trained; answers with "logits" [batch, outputs], or [batch, members, outputs] while it learns.
        train: rows to learn from, by their places in `order`, with "labels" as the loss compares with them.
        validation: rows that choose the best checkpoint, likewise.
        fitting: how.
        order: the order of training rows.
        collate: makes a batch of rows; those that are fetched as a batch are one.
        evaluation_rows: rows of a batch of the validation.
        loss: what a step and a look take, instead of the task's own.
        callbacks: hear of each step, too.

    Raises:
        ExplicateError: the weights became infinite or not a number.
    """
    task, config, step_loss, rule = fitting.task, fitting.config, fitting.step_loss, _rule(fitting)
    loss = loss or task.loss(fitting.targets, len(task.outputs(fitting.labels)), config)
    trainer = _Trainer(
        model=model,
        args=_arguments(fitting, rule, rows=len(order), evaluation_rows=evaluation_rows),
        data_collator=collate,
        train_dataset=train,
        eval_dataset=validation,
        compute_loss_func=loss,
        compute_metrics=partial(_metrics, fitting),
        callbacks=[
            fitting.callback,
            *callbacks,
            *([Patience(config.early_stopping_patience)] if config.early_stopping_patience else []),
            *unfreezing(model, config, math.ceil(len(order) / config.batch_size)),
        ],
    )
    trainer.order, trainer.rule, trainer.options = order, rule, config
    trainer.task_loss, trainer.step_loss = loss, step_loss
    with _beside(model, step_loss):
        return _run(trainer, resume=fitting.resume)


def _rule(fitting: Fitting) -> CheckpointRule:
    imbalanced = fitting.task.imbalanced(fitting.targets, len(fitting.labels))
    masked = fitting.step_loss is not None and fitting.step_loss.hides
    rule = checkpoint_rule(fitting.task, fitting.config, imbalanced=imbalanced, masked=masked)
    return replace(rule, last=fitting.last_is_best)


def _metrics(fitting: Fitting, prediction: EvalPrediction) -> dict[str, float]:
    task, scale = fitting.task, fitting.scale
    outputs, wanted = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    return task.validate(task.in_unit(outputs, scale), task.in_unit(wanted, scale), fitting.labels)


@contextmanager
def _beside(model: nn.Module, step_loss: StepLoss | None) -> Iterator[None]:
    """The terms' own weights as a part of the model while it is trained, so that checkpoints have them, too."""
    modules = step_loss.modules if step_loss is not None else nn.ModuleDict()
    if not len(modules):
        yield
        return
    model.add_module(_OF_TERMS, modules.to(next(model.parameters()).device))
    try:
        yield
    finally:
        delattr(model, _OF_TERMS)


def _run(trainer: Trainer, *, resume: bool) -> Outcome:
    for silenced in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(silenced)
    begin_s = time.monotonic()
    trainer.train(resume_from_checkpoint=resume)
    assert trainer.model is not None
    # In bf16 accelerate puts autocast around the model's own forward and leaves it there; logits would be off by 0.03.
    vars(trainer.model).pop("forward", None)
    if not all(bool(torch.isfinite(weight).all()) for weight in trainer.model.parameters()):
        raise ExplicateError("the training diverged (weights are not finite): lower training.learning_rate")
    return Outcome(
        history=_history(trainer.state.log_history),
        best_step=trainer.state.best_global_step or trainer.state.global_step,
        steps=trainer.state.global_step,
        steps_planned=trainer.state.max_steps,
        precision="bf16" if trainer.args.bf16 else "fp32",
        train_s=time.monotonic() - begin_s,
    )


def _arguments(fitting: Fitting, rule: CheckpointRule, *, rows: int, evaluation_rows: int) -> TrainingArguments:
    """The Trainer's arguments for a number of training rows."""
    config = fitting.config
    steps_per_epoch = math.ceil(rows / config.batch_size)
    steps = steps_per_epoch * config.epochs
    steps_per_evaluation = max(1, math.ceil(steps_per_epoch / config.evaluations_per_epoch))
    if fitting.most_looks:
        steps_per_evaluation = max(steps_per_evaluation, math.ceil(steps / fitting.most_looks))
    place = placement(config)
    arguments = TrainingArguments(
        output_dir=str(fitting.checkpoints),
        seed=config.seed,
        use_cpu=place.device == "cpu",
        # CUDA needs to be told to add in a fixed order; a CPU does so anyway.
        full_determinism=place.device == "cuda",
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=evaluation_rows,
        **trainer_options(config),
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
        warmup_steps=math.ceil(config.warmup_fraction * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_gradient_norm,
        bf16=place.bf16,
        remove_unused_columns=False,
        average_tokens_across_devices=False,  # our loss is a mean already
        eval_strategy="steps",
        eval_steps=steps_per_evaluation,
        save_strategy="steps",
        save_steps=steps_per_evaluation,
        save_total_limit=1,  # besides the best
        load_best_model_at_end=True,
        metric_for_best_model=rule.key,
        greater_is_better=not rule.smaller_is_better,
        restore_callback_states_from_checkpoint=True,
        logging_strategy="steps",
        logging_steps=max(1, steps // _LOGS_PER_RUN),
        logging_first_step=True,
        dataloader_pin_memory=place.device == "cuda",
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )
    if arguments.n_gpu > 1:  # or a step would be of so many batches, with one copy of the model in each GPU
        arguments._n_gpu = 1
    return arguments


def learn_unlabelled(
    model: nn.Module,
    rows: Any,
    fitting: Fitting,
    *,
    folder: Path,
    resume: bool,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    order: EpochOrder,
    collate: Callable[[Any], Any],
) -> int:
    """Trains in place on rows that bring their own targets, without looking at any others; returns how many steps.

    Args:
        model: answers with its "loss" and "logits".
        rows: by their places in `order`.
        fitting: of the run that this comes before; its device, precision and seed hold, and its callback hears of it.
        folder: for checkpoints, a few in each epoch.
        resume: go on from the last one.
        epochs, batch_size, learning_rate: how long and how fast.
        order: the order of rows.
        collate: makes a batch of rows.

    Raises:
        ExplicateError: the weights became infinite or not a number.
    """
    own: dict[str, Any] = {"optimiser": "adamw", "layer_lr_decay": 1.0, "gradual_unfreezing": 0.0, "schedule": "linear"}
    config = replace(
        fitting.config,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        evaluations_per_epoch=2,
        **own,
    )
    told = replace(fitting, config=config, checkpoints=folder, most_looks=0)
    arguments = _arguments(told, CheckpointRule("loss", True, False), rows=len(order), evaluation_rows=batch_size)
    arguments.eval_strategy, arguments.load_best_model_at_end = IntervalStrategy.NO, False
    trainer = _Trainer(
        model=model, args=arguments, data_collator=collate, train_dataset=rows, callbacks=[fitting.callback]
    )
    trainer.order, trainer.options, trainer.step_loss = order, config, None
    return _run(trainer, resume=resume).steps


def _history(log: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The Trainer's log without its timings, validation metrics named as such."""
    history: list[dict[str, float]] = []
    for entry in log:
        kept = {
            name.replace("eval_", "validation_"): value
            for name, value in sorted(entry.items())  # a resumed run reads them back sorted
            if name in ("step", "epoch", "loss", "grad_norm", "learning_rate", "eval_loss")
            or name.startswith(TERM)
            or (name.startswith("eval_") and not name.endswith(("_runtime", "_per_second", "_model_preparation_time")))
        }
        if "loss" in kept or "validation_loss" in kept:
            history.append(kept)
    return history
