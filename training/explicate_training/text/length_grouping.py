"""The order of training texts: random, but with texts of like length in a batch, so that little is padded.

Unlike the Trainer's own grouping, the order is a function of seed and epoch alone, so that a resumed run sees the
batches that the uninterrupted one would have seen, and the batches come in random order, not long ones first.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_BATCHES_SORTED_TOGETHER = 50


class LengthGroupedOrder(Sampler[int]):
    """Places of texts, each once in an epoch; consecutive runs of `batch_size` are of like length."""

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration is for; the Trainer calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        stream = np.random.Generator(np.random.Philox([self._seed, self._epoch]))
        shuffled = stream.permutation(len(self._lengths))
        size = self._batch_size
        pools = [
            shuffled[start : start + size * _BATCHES_SORTED_TOGETHER]
            for start in range(0, len(shuffled), size * _BATCHES_SORTED_TOGETHER)
        ]
        order = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        whole = len(order) // size  # batches; what is left over stays at the end
        batches = order[: whole * size].reshape(whole, size)[stream.permutation(whole)]
        return iter([*batches.ravel().tolist(), *order[whole * size :].tolist()])
