"""Rows of a table with some of their columns absent, as a server shows them: in their place are those of another row.

A server averages the answers over all rows of the background; a step of training takes one of them for each row, drawn
by its weight, the same for all views of the row.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.columns import TableColumns
from explicate_bundle.table_arrays import Background
from explicate_training.interpretability.players import Batch, Players

_INPUTS = ("numbers", "codes")
_STANDS_IN = "background_"


class ColumnPlayers(Players):
    """Columns and groups of columns."""

    extra = frozenset(_STANDS_IN + name for name in _INPUTS)

    def __init__(self, schema: TabularSchema, background: Background) -> None:
        columns = TableColumns(schema)
        owners = torch.from_numpy(columns.owners)
        self._owners = {"numbers": owners[: columns.numbers], "codes": owners[columns.numbers :]}
        self._count = len(columns.players)
        self._weights = background.weights / background.weights.sum()
        self._rows = {
            "numbers": torch.from_numpy(background.numbers),
            "codes": torch.from_numpy(background.codes),
        }

    def counts(self, batch: Batch) -> Tensor:
        numbers = batch[_INPUTS[0]]
        return torch.full((len(numbers),), self._count, device=numbers.device)

    def ready(self, batch: Batch, stream: np.random.Generator) -> Batch:
        """With a row of the background for each row."""
        drawn = torch.from_numpy(stream.choice(len(self._weights), len(batch[_INPUTS[0]]), p=self._weights))
        return self.with_background(batch, drawn)

    def with_background(self, batch: Batch, chosen: Sequence[int] | Tensor) -> Batch:
        """With these rows of the background, one for each row."""
        places = torch.as_tensor(chosen)
        return {**batch, **{_STANDS_IN + name: self._rows[name][places].to(batch[name].device) for name in _INPUTS}}

    def shown(self, batch: Batch, rows: Tensor, present: Tensor) -> dict[str, Tensor]:
        return {
            name: torch.where(
                present[:, self._owners[name].to(present.device)], batch[name][rows], batch[_STANDS_IN + name][rows]
            )
            for name in _INPUTS
        }
