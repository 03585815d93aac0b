"""Many rows through a runtime at once, with no batcher: in full batches, over all lanes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import Row


def run_rows(
    runtime: Runtime, collate: Callable[[Sequence[Row]], Feeds], rows: Sequence[Row], *, batch_tokens: int | None = None
) -> NDArray[np.float32]:
    """Answers float32[rows, outputs], in the rows' order; there must be a row.

    ``batch_tokens`` is what one batch holds; None means what the runtime suggests.
    """
    batches = batched_by_length(rows, batch_tokens or runtime.batch_tokens)
    with ThreadPoolExecutor(runtime.lanes) as lanes:
        answers = lanes.map(lambda batch: runtime.run(collate([rows[index] for index in batch])), batches)
        values = np.concatenate(list(answers))
    in_order = np.empty_like(values)
    first = np.cumsum([0, *(row.count for row in rows)])
    places = [np.arange(first[index], first[index + 1]) for batch in batches for index in batch]
    in_order[np.concatenate(places)] = values
    return in_order


def batched_by_length(rows: Sequence[Row], batch_tokens: int) -> list[list[int]]:
    """Indices of the rows, from short to long, in batches of at most ``batch_tokens`` padded tokens or one row."""
    batches: list[list[int]] = []
    in_last = 0
    for index in sorted(range(len(rows)), key=lambda index: rows[index].length):
        row = rows[index]
        if not batches or (in_last + row.count) * row.length > batch_tokens:
            batches.append([])
            in_last = 0
        batches[-1].append(index)
        in_last += row.count
    return batches
