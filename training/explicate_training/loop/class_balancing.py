"""The order of training rows: random, with rare classes drawn more often or frequent ones less, if wanted.

It is a function of seed and epoch alone, so that a resumed run sees the batches of the uninterrupted one.
"""

from collections.abc import Iterator
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class BalancedOrder(Sampler[int]):
    """Places of rows for an epoch.

    With "over-sampling" each class comes as often as the largest: its rows are repeated, each about equally often.
    With "under-sampling" each comes as often as the smallest: another random part of its rows in each epoch. With
    anything else every row comes once.
    """

    def __init__(self, targets: NDArray[Any], imbalance: str, *, seed: int) -> None:
        self._seed = seed
        self._epoch = 0
        balanced = imbalance in ("over-sampling", "under-sampling")
        classes = [np.flatnonzero(targets == target) for target in np.unique(targets)] if balanced else []
        self._classes = classes or [np.arange(len(targets))]
        sizes = [len(places) for places in self._classes]
        self._rows_of_a_class = max(sizes) if imbalance == "over-sampling" else min(sizes)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration is for; the Trainer calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._rows_of_a_class * len(self._classes)

    def __iter__(self) -> Iterator[int]:
        stream = np.random.Generator(np.random.Philox([self._seed, self._epoch]))
        drawn = [self._draw(places, stream) for places in self._classes]
        return iter(stream.permutation(np.concatenate(drawn)).tolist())

    def _draw(self, places: NDArray[np.intp], stream: np.random.Generator) -> NDArray[np.intp]:
        rounds = -(-self._rows_of_a_class // len(places))
        shuffled = np.concatenate([stream.permutation(places) for _ in range(rounds)])
        return shuffled[: self._rows_of_a_class]
