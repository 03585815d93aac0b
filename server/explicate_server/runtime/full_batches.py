"""Many rows through a runtime at once, with no batcher: in full batches, over all lanes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from explicate_server.runtime.base import Feeds, Runtime
from explicate_server.runtime.queue import Row


def run_rows(runtime: Runtime, collate: Callable[[Sequence[Row]], Feeds], rows: Sequence[Row]) -> NDArray[np.float32]:
    """Logits float32[rows, classes], in the rows' order; there must be a row."""
    batches = batched_by_length(rows, runtime.batch_tokens)
    with ThreadPoolExecutor(runtime.lanes) as lanes:
        answers = lanes.map(lambda batch: runtime.run(collate([rows[index] for index in batch])), batches)
        logits = np.concatenate(list(answers))
    in_order = np.empty_like(logits)
    in_order[np.concatenate(batches)] = logits
    return in_order


def batched_by_length(rows: Sequence[Row], batch_tokens: int) -> list[list[int]]:
    """Indices of the rows, from short to long, in batches of at most ``batch_tokens`` padded tokens or one row."""
    batches: list[list[int]] = []
    for index in sorted(range(len(rows)), key=lambda index: rows[index].length):
        if not batches or (len(batches[-1]) + 1) * rows[index].length > batch_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches
