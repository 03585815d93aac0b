"""Explanations as a load: requests of one size for ever new seeds, so that none is answered from memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from benchmarks import subject
from explicate.v1 import explanation_pb2
from explicate.v1 import inference_service_pb2 as messages

WORDS_FROM, WORDS_TO = 40, 50


def reviews_of_one_size() -> list[str]:
    """Held-out reviews of 40 to 50 words."""
    return [text for text in subject.reviews() if WORDS_FROM <= len(text.split()) <= WORDS_TO]


def requests(texts: Sequence[str], *, evaluations: int) -> Iterator[messages.ExplainRequest]:
    """Endless requests that each take so many evaluations."""
    for seed, text in enumerate(itertools.cycle(texts)):
        options = explanation_pb2.ExplainOptions(
            method="kernel-shap", max_evaluations=evaluations, tolerance=0.0, seed=seed
        )
        yield messages.ExplainRequest(
            spec=messages.ExplainSpec(
                model=messages.ModelRef(model=subject.MODEL),
                input=messages.Input(text=messages.TextInput(text=text)),
                options=options,
            )
        )


@asynccontextmanager
async def explaining(stub: Any, callers: int, waiting: Iterator[messages.ExplainRequest]) -> AsyncIterator[None]:
    """So many explanations in progress, always, for as long as the block lasts."""

    async def caller() -> None:
        for request in waiting:
            await stub.Explain(request)

    tasks = [asyncio.create_task(caller()) for _ in range(callers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
