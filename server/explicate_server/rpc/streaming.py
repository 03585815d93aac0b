"""Answers that come in steps: how often one is worth sending, and computing that does not wait for its reader."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

_T = TypeVar("_T")


class Pacer:
    """Says when the next intermediate answer may be sent."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = 0.0

    def due(self) -> bool:
        """Whether the interval since the last time it said yes is over."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._interval_s
        return True


async def newest(steps: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
    """What ``steps`` yields, without holding it up: of the items that come while the reader is busy, the last one.

    ``steps`` runs in a task of its own and is closed with this generator. What it raises is raised here, after the
    last item.
    """
    waiting: list[_T] = []
    news = asyncio.Event()

    async def run() -> None:
        async with aclosing(steps):
            async for item in steps:
                waiting[:] = [item]
                news.set()

    task = asyncio.create_task(run())
    task.add_done_callback(lambda _: news.set())
    try:
        while waiting or not task.done():
            if waiting:
                yield waiting.pop()
            else:
                news.clear()
                await news.wait()
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
