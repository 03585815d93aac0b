"""The order of training rows: random, with rare classes drawn more often or frequent ones less, if wanted.

It is a function of seed and epoch alone, so that a resumed run sees the batches of the uninterrupted one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any  # rows of whatever kind

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler


class EpochOrder(Sampler[Any], ABC):
    """An order of rows that is a function of seed and epoch alone; the Trainer says which epoch is next."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration is for; the Trainer calls it."""
        self._epoch = epoch

    @abstractmethod
    def __len__(self) -> int:
        """Places in an epoch."""

    def stream(self) -> np.random.Generator:
        """The random numbers of this epoch."""
        return np.random.Generator(np.random.Philox([self._seed, self._epoch]))


class BalancedOrder(EpochOrder):
    """Places of rows for an epoch.

    With "over-sampling" each class comes as often as the largest: its rows are repeated, each about equally often.
    With "under-sampling" each comes as often as the smallest: another random part of its rows in each epoch. With
    anything else every row comes once.
    """

    def __init__(self, targets: NDArray[Any], imbalance: str, *, seed: int) -> None:
        super().__init__(seed=seed)
        balanced = imbalance in ("over-sampling", "under-sampling")
        classes = [np.flatnonzero(targets == target) for target in np.unique(targets)] if balanced else []
        self._classes = classes or [np.arange(len(targets))]
        sizes = [len(places) for places in self._classes]
        self._rows_of_a_class = max(sizes) if imbalance == "over-sampling" else min(sizes)

    def __len__(self) -> int:
        return self._rows_of_a_class * len(self._classes)

    def __iter__(self) -> Iterator[int]:
        stream = self.stream()
        drawn = [self._draw(places, stream) for places in self._classes]
        return iter(stream.permutation(np.concatenate(drawn)).tolist())

    def _draw(self, places: NDArray[np.intp], stream: np.random.Generator) -> NDArray[np.intp]:
        rounds = -(-self._rows_of_a_class // len(places))
        shuffled = np.concatenate([stream.permutation(places) for _ in range(rounds)])
        return shuffled[: self._rows_of_a_class]


class FetchedRows(Dataset[Any]):
    """Rows that are fetched a batch at a time, a hundred times faster than one by one."""

    def __init__(self, count: int, fetch: Callable[[list[Any]], dict[str, Tensor]]) -> None:
        """`fetch` makes the batch of some places."""
        self._count = count
        self._fetch = fetch

    def __len__(self) -> int:
        return self._count

    def __getitems__(self, places: list[Any]) -> dict[str, Tensor]:
        return self._fetch(places)

    def __getitem__(self, place: Any) -> dict[str, Tensor]:
        return self._fetch([place])
