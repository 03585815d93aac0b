"""What the training data tells the network before it learns: centre, spread and quantiles of each number column."""

from collections.abc import Sequence
from typing import Any  # targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray

from explicate_training.table.config import TableModelConfig
from explicate_training.table.encoding import ColumnSchema, EncodedTable
from explicate_training.table.network import TabularNetwork, TabularNetworkConfig

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
