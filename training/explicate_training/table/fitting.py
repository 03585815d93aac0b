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

from explicate_bundle.columns import UNKNOWN_CODE
from explicate_training.data.labels import Task
from explicate_training.loop.trainer import (
    BalancedOrder,
    OrderedTrainer,
    Outcome,
    as_fetched,
    loop_callbacks,
    run_loop,
    training_arguments,
)
from explicate_training.table.config import TableModelConfig, TableTrainingConfig
from explicate_training.table.encoding import ColumnSchema, EncodedTable
from explicate_training.table.network import TabularNetwork, TabularNetworkConfig
from explicate_training.tasks.losses import task_loss
from explicate_training.tasks.task import checkpoint_metrics
from explicate_training.tasks.task_options import loss_options

_QUARTILES_OF_A_NORMAL = 1.349  # distance between them, in standard deviations


def new_network(
    config: TableModelConfig,
    schema: Sequence[ColumnSchema],
    train: EncodedTable,
    targets: NDArray[Any],
    *,
    classes: int,
    seed: int,
) -> TabularNetwork:
    """An untrained network for the columns, its weights from `seed`, its scaling from the training rows.

    `classes` is 0 for a regression; its answers then begin around the mean of `targets`.
    """
    torch.manual_seed(seed)
    network = TabularNetwork(
        TabularNetworkConfig(
            number_columns=train.numbers.shape[1],
            category_counts=tuple(len(column.categories) for column in schema if column.type != "number"),
            outputs=classes or 1,
            bins=config.bins,
            embedding_size=config.embedding_size,
            width=config.width,
            blocks=config.blocks,
            members=config.members,
            dropout=config.dropout,
        )
    )
    if train.numbers.shape[1]:
        statistics = [number_statistics(column, config.bins) for column in train.numbers.T]
        centres, scales, edges = (torch.from_numpy(np.stack(part)) for part in zip(*statistics, strict=True))
        network.set_number_statistics(centres, scales, edges)
    if not classes:
        network.set_target_statistics(float(targets.mean()), float(targets.std()))
    return network


def number_statistics(
    values: NDArray[np.float32], bins: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(median, spread, bin edges [bins + 1]) of the known values of a column.

    The spread is that of a normal distribution with the same quartiles, or where the quartiles are equal the standard
    deviation, or where that is zero 1. Edges are quantiles.
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if not len(known):
        return np.float32(0), np.float32(1), np.zeros(bins + 1, dtype=np.float32)  # type: ignore[return-value]
    edges = np.quantile(known, np.linspace(0, 1, bins + 1))
    lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
    scale = (upper - lower) / _QUARTILES_OF_A_NORMAL or known.std() or 1.0
    return np.float32(median), np.float32(scale), edges.astype(np.float32)  # type: ignore[return-value]


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
