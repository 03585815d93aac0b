"""What a model answers to the rows of a batch: a row that it fails on fails alone."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import ModelFault, ServerError
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import Row

Answer = NDArray[np.float32] | Exception
"""float32[count of the row, outputs], or what went wrong with it."""
Collate = Callable[[Sequence[Row]], Feeds]


def answers_of(rows: Sequence[Row], runtime: Runtime, collate: Collate, *, outputs: int) -> tuple[list[Answer], bool]:
    """The answer to each row, and whether all ran in one batch: when that fails, each is run alone."""
    try:
        return list(_run(rows, runtime, collate, outputs)), True
    except Exception as error:
        return ([error] if len(rows) == 1 else list(_one_by_one(rows, runtime, collate, outputs))), False


def fault_of(answer: Answer) -> ServerError | None:
    """What is wrong with an answer; None when nothing is."""
    if isinstance(answer, Exception):
        return ModelFault("MODEL_RUN_FAILED", f"the model failed on this input: {type(answer).__name__}")
    if not np.isfinite(answer).all():
        return ModelFault("MODEL_OUTPUT_NOT_FINITE", "the model answered with NaN or infinity for this input")
    return None


def _run(rows: Sequence[Row], runtime: Runtime, collate: Collate, outputs: int) -> Iterator[NDArray[np.float32]]:
    values = runtime.run(collate(rows))
    ends = list(accumulate(row.count for row in rows))
    if values.shape != (ends[-1], outputs):
        raise ValueError(f"the model answered with shape {values.shape} for {ends[-1]} rows")
    return (values[end - row.count : end] for row, end in zip(rows, ends, strict=True))


def _one_by_one(rows: Sequence[Row], runtime: Runtime, collate: Collate, outputs: int) -> Iterator[Answer]:
    for row in rows:
        try:
            yield from _run([row], runtime, collate, outputs)
        except Exception as fault:
            yield fault
