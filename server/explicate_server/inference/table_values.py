"""Values of coalitions of many rows of a table, as one stream of full batches.

Model rows are made for a block at once, in a thread; a block is a few items of the batcher, each about a short batch;
what comes back is averaged over the background at once, in a thread. A call has few blocks on their way, however many
rows it asks for: its memory, and what it may have waiting, are bounded.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from explicate_server.errors import ModelFault
from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.inference.evaluations import Timings
from explicate_server.inference.workers import Workers
from explicate_server.modalities.rows.table_games import TableGames
from explicate_server.modalities.table import ROW_LENGTH
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row

# Model rows of an item at most: a batch that a prediction behind it waits for is short, and its layers fit in a core's
# cache (6.0 µs a row of the credit model in batches of 512 and 1,024 rows, 8.3 in batches of 8,192).
_ITEM_ROWS = 512
# Items of a block: two hand-overs to a thread cost little beside it.
_BLOCK_ITEMS = 8
# Blocks on their way: one is made or averaged while the others are in the model or wait for it.
_BLOCKS_ON_THEIR_WAY = 3

_T = TypeVar("_T")


class TableValues:
    """The evaluations of one call.

    Attributes:
        games: of the table's rows.
        rows_sent: rows that went to the model.
    """

    def __init__(
        self,
        served: ServedModel,
        games: TableGames,
        *,
        caller: str,
        priority: Priority,
        workers: Workers,
        timings: Timings,
        seconds_left: Callable[[], float],
    ) -> None:
        """``seconds_left`` is how long evaluations may go on."""
        self.games = games
        self.rows_sent = 0
        self._batcher = served.batcher
        self._scales = served.scales
        self._caller = caller
        self._priority = priority
        self._workers = workers
        self._timings = timings
        self._seconds_left = seconds_left
        self._item_rows = min(_ITEM_ROWS, served.batcher.cost.most_rows(ROW_LENGTH))
        self._block_rows = _BLOCK_ITEMS * self._item_rows
        self._on_their_way = asyncio.Semaphore(_BLOCKS_ON_THEIR_WAY)

    async def of_rows(self, rows: Floats) -> tuple[Floats, Booleans]:
        """The graph's answers float64[rows, outputs] to model rows, and bool[rows] which of them there was time for.

        Raises:
            ModelFault, NotServing, Overloaded: see `Batcher.wait`.
        """
        answers = np.full((len(rows), self._scales.outputs), np.nan)
        done = np.zeros(len(rows), np.bool_)

        def keep(block: slice, values: Floats, finished: Booleans) -> None:
            answers[block], done[block] = values, finished

        await together(
            self._run(np.arange(len(rows))[block], partial(rows.__getitem__, block), partial(keep, block))
            for block in _blocks(len(rows), self._block_rows)
        )
        return answers, done

    async def of(self, games: Indices, coalitions: Booleans, space: str) -> tuple[Floats, Booleans]:
        """For games intp[k] with a coalition each, bool[k, players], the outputs on a scale, float64[k, outputs], and
        bool[k] which of them there was time for; the first ones come first.

        Raises:
            ModelFault, NotServing, Overloaded: see `Batcher.wait`.
        """
        weights = self.games.weights
        values = np.zeros((len(games), self._scales.outputs))
        done = np.zeros(len(games), np.bool_)

        def keep(block: slice, answers: Floats, finished: Booleans) -> None:
            by_coalition = answers.reshape(-1, len(weights), self._scales.outputs)
            done[block] = whole = finished.reshape(-1, len(weights)).all(axis=1)
            values[block][whole] = self._scales.means_on(space, by_coalition[whole], weights)

        await together(
            self._run(
                games[block],
                partial(self.games.model_rows, games[block], coalitions[block]),
                partial(keep, block),
            )
            for block in _blocks(len(games), max(1, self._block_rows // len(weights)))
        )
        return values, done

    async def _run(self, games: Indices, made: Callable[[], Floats], keep: Callable[[Floats, Booleans], None]) -> None:
        """Make a block of model rows, have it evaluated as far as there is time, and hand the answers over."""
        async with self._on_their_way:
            if self._seconds_left() <= 0:
                return
            rows = await self.in_worker(partial(self._items, made))
            self.rows_sent += sum(row.count for row in rows)
            ticket = self._batcher.submit(rows, priority=self._priority, caller=self._caller, admitted=True)
            try:
                await self._batcher.wait(ticket, timeout_s=max(0.0, self._seconds_left()))
            except ModelFault as fault:
                of_rows = f"row {games[0]}" if games[0] == games[-1] else f"one of rows {games.min()} to {games.max()}"
                raise ModelFault(fault.reason, f"{of_rows} of the table: {fault.detail}") from None
            finally:
                self._batcher.abandon(ticket)
            self._timings.add(ticket)
            done = ticket.done.copy()  # an abandoned block's last batch may still be running
            await self.in_worker(partial(keep, ticket.values, done))

    def _items(self, made: Callable[[], Floats]) -> list[Row]:
        values = made()
        parts = _blocks(len(values), self._item_rows)
        return [Row(ROW_LENGTH, values[part], part.stop - part.start) for part in parts]

    async def in_worker(self, step: Callable[[], _T]) -> _T:
        """A step off the event loop."""
        return await self._workers.explain.run(step, caller=self._caller, priority=self._priority)


def _blocks(count: int, most: int) -> list[slice]:
    """Parts of so many at most, one after the other and of about one size."""
    parts = -(-count // most)
    ends = [count * part // parts for part in range(parts + 1)] if parts else [0]
    return [slice(first, last) for first, last in pairwise(ends)]


async def together(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all; when one fails, or the task that waits is cancelled, none of them is left."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
