"""Trains a tabular network, from encoded rows to the best checkpoint's weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any  # targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from explicate_bundle.columns import UNKNOWN_CODE, TableRows
from explicate_training.loop.rows import BalancedOrder, FetchedRows
from explicate_training.loop.trainer import Fitting, Outcome, fit
from explicate_training.table.config import TableModelConfig, TableTrainingConfig
from explicate_training.table.encoding import ColumnSchema, date_places
from explicate_training.table.forms.additive_network import AdditiveNetwork, AdditiveNetworkConfig
from explicate_training.table.network import TableNetwork, TabularNetwork, TabularNetworkConfig
from explicate_training.tasks.task import TargetScale

_QUARTILES_OF_A_NORMAL = 1.349  # distance between them, in standard deviations
_EVALUATION_ROWS = 4096


def new_network(
    config: TableModelConfig,
    schema: Sequence[ColumnSchema],
    train: TableRows,
    *,
    outputs: int,
    scale: TargetScale,
    seed: int,
    shape: Callable[[TabularNetworkConfig], AdditiveNetworkConfig] | None = None,
) -> TableNetwork:
    """An untrained network for the columns, its weights from `seed`, its scaling from the training rows.

    It answers in the unit of `scale`, at first around its mean. `shape` makes the terms of one that is a sum; None: all
    columns meet.
    """
    dates = date_places(schema)
    made = TabularNetworkConfig(
        number_columns=train.numbers.shape[1],
        category_counts=tuple(len(column.categories) for column in schema if not column.is_numeric),
        outputs=outputs,
        bins=config.bins,
        embedding_size=config.embedding_size,
        width=config.width,
        blocks=config.blocks,
        members=config.members,
        dropout=config.dropout,
        date_columns=dates.dates,
        timed_columns=dates.timed,
    )
    torch.manual_seed(seed)
    network: TableNetwork = TabularNetwork(made) if shape is None else AdditiveNetwork(shape(made))
    if train.numbers.shape[1]:
        numbers = dates.expanded(torch.from_numpy(train.numbers)).numpy()
        statistics = [number_statistics(column, config.bins) for column in numbers.T]
        centres, scales, edges = (torch.from_numpy(np.stack(part)) for part in zip(*statistics, strict=True))
        network.set_number_statistics(centres, scales, edges)
    network.set_target_statistics(scale.mean, scale.spread)
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


@dataclass(frozen=True)
class TableExamples:
    """Encoded rows with their targets."""

    encoded: TableRows
    targets: NDArray[Any]  # as the task gives them


def fit_table(
    network: TableNetwork,
    train: TableExamples,
    validation: TableExamples,
    config: TableTrainingConfig,
    fitting: Fitting,
) -> Outcome:
    """Trains in place; afterwards the network has the weights of its best validation, and is on the CPU.

    The scale of `fitting` is the network's. Raises ExplicateError as `fit` does.
    """
    outcome = fit(
        _TrainedNetwork(network, config.hidden_cells),
        _rows(train, "train", fitting),
        _rows(validation, "validation", fitting),
        fitting,
        order=BalancedOrder(train.targets, config.imbalance, seed=config.seed),
        evaluation_rows=_EVALUATION_ROWS,
    )
    network.cpu().eval()
    return outcome


@torch.no_grad()
def predict_table(network: TableNetwork, encoded: TableRows) -> NDArray[np.float32]:
    """What a network on the CPU answers, float32 [rows, outputs], in fp32: as exported."""
    parts = [
        network(torch.from_numpy(encoded.numbers[start:stop]), torch.from_numpy(encoded.codes[start:stop])).numpy()
        for start in range(0, len(encoded), _EVALUATION_ROWS)
        for stop in [start + _EVALUATION_ROWS]
    ]
    return np.concatenate(parts)


def _rows(examples: TableExamples, split: str, fitting: Fitting) -> FetchedRows:
    targets = fitting.task.standard(examples.targets, fitting.scale)
    arrays = {"numbers": examples.encoded.numbers, "codes": examples.encoded.codes, "labels": targets}
    arrays |= fitting.weight_columns(split)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return FetchedRows(len(targets), lambda places: {name: tensor[places] for name, tensor in tensors.items()})


class _TrainedNetwork(nn.Module):
    """The network as the Trainer sees it: members apart while it learns, their mean otherwise; in standard units."""

    def __init__(self, network: TableNetwork, hidden_cells: float) -> None:
        super().__init__()
        self.network = network
        self.hidden_cells = hidden_cells

    def forward(self, numbers: Tensor, codes: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:  # noqa: ARG002 - the Trainer looks for the name
        if self.training and self.hidden_cells:
            hidden = torch.rand(codes.shape, device=codes.device) < self.hidden_cells
            codes = codes.masked_fill(hidden, UNKNOWN_CODE)
        outputs = self.network.member_outputs(numbers, codes).transpose(0, 1)  # [batch, members, outputs]
        return {"logits": outputs if self.training else outputs.mean(dim=1)}
