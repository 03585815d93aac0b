"""How rows are shown to a model with some of their players absent, as a server shows them: what each kind provides."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any  # numbers of any width

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Batch = Mapping[str, Tensor]
AnswersTo = Callable[[Mapping[str, Tensor]], NDArray[np.floating[Any]]]
"""A model's answers float [views, outputs] to its inputs."""


class Players(ABC):
    """The players of a kind's rows: words of a text, fields of a picture, columns of a table.

    Attributes:
        shorter: whether a row with fewer players costs less.
        extra: names in a batch that are not the model's inputs.
    """

    shorter: bool = False
    extra: frozenset[str] = frozenset()

    @abstractmethod
    def counts(self, batch: Batch) -> Tensor:
        """How many players each row of a batch has, int64 [rows]."""

    def ready(self, batch: Batch, stream: np.random.Generator) -> Batch:  # noqa: ARG002 - not all draw something
        """The batch with what stands for absent players, the same for all views of a row."""
        return batch

    @abstractmethod
    def shown(self, batch: Batch, rows: Tensor, present: Tensor) -> dict[str, Tensor]:
        """The model's inputs for views of rows: `rows` int64 [views], `present` bool [views, players]."""

    def groups(self, batch: Batch, rows: Tensor, present: Tensor) -> list[Tensor]:  # noqa: ARG002 - most are one
        """Which views the model reads together, int64 each."""
        return [torch.arange(len(rows), device=rows.device)]

    def answered(
        self, answers_to: AnswersTo, batch: Batch, rows: NDArray[np.intp], present: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """A model's answers float64 [views, outputs] to views of rows, `present` bool [views, players]."""
        of, there = torch.from_numpy(rows), torch.from_numpy(present)
        found: NDArray[np.float64] | None = None
        for group in self.groups(batch, of, there):
            inputs = self.shown(batch, of[group], there[group])
            own = answers_to({name: value for name, value in inputs.items() if name not in self.extra})
            if found is None:
                found = np.empty((len(rows), own.shape[1]))
            found[group.numpy()] = own
        assert found is not None
        return found


def drawn(counts: NDArray[np.intp], stream: np.random.Generator) -> NDArray[np.bool_]:
    """Random players of each row, bool [rows, most players]: a uniform U(0,1) share of them is absent.

    Each player is absent with the row's share u; so the number of absent ones is uniform from 0 to all of them. Places
    beyond a row's players are present.
    """
    most = int(counts.max(initial=0))
    shares, keys = stream.random((len(counts), 1)), stream.random((len(counts), most))
    beyond = np.arange(most) >= counts[:, np.newaxis]
    return np.asarray((keys >= shares) | beyond)


def of_share(counts: NDArray[np.intp], share: float, stream: np.random.Generator) -> NDArray[np.bool_]:
    """Random players of each row, bool [rows, most players], of which that share, rounded, is absent."""
    most = int(counts.max(initial=0))
    keys = stream.random((len(counts), most))
    beyond = np.arange(most) >= counts[:, np.newaxis]
    keys[beyond] = 2.0  # after all others
    ranks = keys.argsort(axis=1).argsort(axis=1)
    return np.asarray((ranks >= np.round(share * counts)[:, np.newaxis]) | beyond)
