"""Trains a tabular network with the Hugging Face Trainer, from encoded rows to the best checkpoint's weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what the Trainer passes around

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import EvalPrediction, TrainerCallback

from explicate_training.data.labels import Task
from explicate_training.loop.class_balancing import BalancedOrder
from explicate_training.loop.trainer import (
    OrderedTrainer,
    Outcome,
    as_fetched,
    loop_callbacks,
    run_loop,
    training_arguments,
)
from explicate_training.table.config import TableTrainingConfig
from explicate_training.table.encoding import EncodedTable
from explicate_training.table.network import UNKNOWN_CODE, TabularNetwork
from explicate_training.tasks.losses import task_loss
from explicate_training.tasks.task import checkpoint_metrics
from explicate_training.tasks.task_options import loss_options

_EVALUATION_ROWS = 4096


@dataclass(frozen=True)
class TableExamples:
    """Encoded rows with their targets."""

    encoded: EncodedTable
    targets: NDArray[Any]  # as `targets_of` gives them


def fit_table(
    network: TabularNetwork,
    train: TableExamples,
    validation: TableExamples,
    labels: Sequence[str],
    config: TableTrainingConfig,
    *,
    task: Task,
    checkpoints: Path,
    resume: bool,
    callback: TrainerCallback,
) -> Outcome:
    """Trains in place; afterwards the network has the weights of its best validation, and is on the CPU.

    Args:
        network: what is trained; it knows the statistics of the training data.
        train: the rows to learn from.
        validation: the rows that choose the best checkpoint.
        labels: names of classes or labels by index; none for a regression.
        config: how.
        task: what it predicts.
        checkpoints: folder for checkpoints, one for each validation, the best and the last kept.
        resume: go on from the last checkpoint in that folder.
        callback: hears of each step.

    Raises:
        ExplicateError: the weights became infinite or not a number.
    """
    order = BalancedOrder(train.targets, config.imbalance, seed=config.seed)
    trainer = OrderedTrainer(
        model=_TrainedNetwork(network, config.hidden_cells),
        args=training_arguments(config, rows=len(order), checkpoints=checkpoints, evaluation_rows=_EVALUATION_ROWS),
        data_collator=as_fetched,
        train_dataset=_Rows(train, network),
        eval_dataset=_Rows(validation, network),
        compute_loss_func=table_loss(task, train.targets, len(labels), config),
        compute_metrics=lambda prediction: _validation_metrics(prediction, task, labels, network),
        callbacks=loop_callbacks(config, callback),
    )
    trainer.order = order
    outcome = run_loop(trainer, resume=resume)
    network.cpu().eval()
    return outcome


@torch.no_grad()
def predict_table(network: TabularNetwork, encoded: EncodedTable) -> NDArray[np.float32]:
    """What a network on the CPU answers, float32 [rows, outputs], in fp32: as exported."""
    parts = [
        network(torch.from_numpy(encoded.numbers[start:stop]), torch.from_numpy(encoded.codes[start:stop])).numpy()
        for start in range(0, len(encoded), _EVALUATION_ROWS)
        for stop in [start + _EVALUATION_ROWS]
    ]
    return np.concatenate(parts)


def table_loss(task: Task, targets: NDArray[Any], outputs: int, config: TableTrainingConfig) -> Callable[..., Tensor]:
    """The mean loss of rows, and of members where they answer apart ([batch, members, outputs]); see `task_loss`."""
    options = loss_options(task, config, balanced=config.imbalance == "class-weights")
    return task_loss(task, targets, outputs, options)


class _Rows(Dataset[Any]):
    """Rows that are fetched a batch at a time, a hundred times faster than one by one."""

    def __init__(self, examples: TableExamples, network: TabularNetwork) -> None:
        self._numbers = torch.from_numpy(examples.encoded.numbers)
        self._codes = torch.from_numpy(examples.encoded.codes)
        targets = torch.from_numpy(examples.targets)
        if targets.is_floating_point():  # to standard deviations, as the members answer
            targets = ((targets - network.get_buffer("target_offset")) / network.get_buffer("target_scale")).float()
        self._targets = targets

    def __len__(self) -> int:
        return len(self._targets)

    def __getitems__(self, places: list[int]) -> dict[str, Tensor]:
        return {"numbers": self._numbers[places], "codes": self._codes[places], "labels": self._targets[places]}

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return self.__getitems__([place])


class _TrainedNetwork(nn.Module):
    """The network as the Trainer sees it: members apart while it learns, their mean otherwise; in standard units."""

    def __init__(self, network: TabularNetwork, hidden_cells: float) -> None:
        super().__init__()
        self.network = network
        self.hidden_cells = hidden_cells

    def forward(self, numbers: Tensor, codes: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:  # noqa: ARG002 - the Trainer looks for the name
        if self.training and self.hidden_cells:
            hidden = torch.rand(codes.shape, device=codes.device) < self.hidden_cells
            codes = codes.masked_fill(hidden, UNKNOWN_CODE)
        outputs = self.network.member_outputs(numbers, codes).transpose(0, 1)  # [batch, members, outputs]
        return {"logits": outputs if self.training else outputs.mean(dim=1)}


def _validation_metrics(
    prediction: EvalPrediction, task: Task, labels: Sequence[str], network: TabularNetwork
) -> dict[str, float]:
    outputs, targets = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    if task == "regression":
        offset, scale = network.get_buffer("target_offset").item(), network.get_buffer("target_scale").item()
        outputs, targets = outputs * scale + offset, targets * scale + offset
    return checkpoint_metrics(task, outputs, targets, labels)
