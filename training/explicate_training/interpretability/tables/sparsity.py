"""Columns that a table's network does without, and weights near 0.

The group lasso (Yuan & Lin, 2006; of networks Feng & Simon, "Sparse-Input Neural Networks", 2017): the length of all
that reads a column is part of the loss, so that what a column tells must be worth it. Gradients shrink such a length
and do not end at 0: after training, columns whose length is below a hundredth of the longest one are not read at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # configs and runs of any kind

import torch
from torch import Tensor

from explicate.errors import UsageError
from explicate_training.config.sections import option
from explicate_training.interpretability.term import LossTerm, Prepared, Step, Term
from explicate_training.tasks.task import Loss

_LEAST_LENGTH = 0.01  # of a column that is read, as a part of the longest


@dataclass(frozen=True)
class Sparsity(Term):
    """A price on columns, and on weights."""

    name = "sparsity"
    title = "length of what reads the columns"
    about = "the network pays for each column that it reads and for the size of its weights"

    sparsity: float = option(
        0.0, "tables: weight of the length of what reads each column; 0.01 takes out weak ones", minimum=0, maximum=100
    )
    l1: float = option(0.0, "tables: weight of the sizes of what reads the columns, one by one", minimum=0, maximum=100)

    def check(self, config: Any) -> None:
        """Whether it is a table's."""
        if config.kind != "table":
            name = "sparsity" if self.sparsity else "l1"
            raise UsageError(
                f"interpretability.{name} is for tables: {config.kind} models have no columns; leave it out"
            )

    def start(self, run: Prepared, loss: Loss) -> LossTerm:  # noqa: ARG002
        """The price, of each step."""
        return _Price(run.network, self.sparsity, self.l1)

    @torch.no_grad()
    def after(self, run: Any) -> None:
        """Stops reading columns whose length is next to nothing, and says so."""
        if not self.sparsity:
            return
        features: Sequence[tuple[str, Sequence[int]]] = run.features_by_column()
        squares = run.network.first_layers().square().sum(dim=1)
        lengths = {name: float(squares[list(places)].sum().sqrt()) for name, places in features}
        longest = max(lengths.values())
        gone = [name for name, length in lengths.items() if length < _LEAST_LENGTH * longest]
        for name, places in features:
            if name in gone:
                run.network.stop_reading(places)
        run.say(
            f"sparsity: the network reads {len(lengths) - len(gone)} of {len(lengths)} columns"
            + (f", not {', '.join(gone)}" if gone else "")
        )


class _Price(LossTerm):
    def __init__(self, network: Any, sparsity: float, l1: float) -> None:
        self._network, self._sparsity, self._l1 = network, sparsity, l1

    def loss(self, step: Step) -> Tensor:  # noqa: ARG002 - the weights alone
        read = self._network.first_layers()
        lengths = (read.square().sum(dim=1) + 1e-12).sqrt()
        price: Tensor = self._sparsity * lengths.sum() + self._l1 * read.abs().sum()
        return price
