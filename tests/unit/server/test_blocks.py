"""Rows that are several rows of the model: they stay together, count as many, and fail together."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from test_batcher import CRASH, GatedRuntime

from explicate_server.errors import ModelFault, Overloaded
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.model_runtime import Feeds, batched_by_length, run_rows
from explicate_server.runtime.queue import Entry, Row, RowQueue, Ticket

LENGTH = 4  # the gated runtime's batch of 64 tokens is 16 rows


def block(*numbers: int) -> Row:
    return Row(LENGTH, np.array(numbers)[:, np.newaxis], len(numbers))


def collate(rows: Sequence[Row]) -> Feeds:
    return {"x": np.concatenate([row.values for row in rows])}


@pytest.fixture
def runtime() -> GatedRuntime:
    return GatedRuntime()


@pytest.fixture
async def batcher(runtime: GatedRuntime) -> AsyncIterator[Batcher]:
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={Priority.PREDICT: 20}, name="blocks")
    yield batcher
    runtime.let_through(10_000)
    await asyncio.to_thread(batcher.close)


async def test_each_row_of_a_block_gets_its_answer(batcher: Batcher, runtime: GatedRuntime) -> None:
    runtime.let_through(10)
    ticket = batcher.submit([block(1, 2, 3), block(4), block(5, 6)], priority=Priority.PREDICT)
    assert await batcher.wait(ticket, timeout_s=None)
    assert ticket.values[:, 0].tolist() == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert ticket.done.all()
    assert batcher.statistics[Priority.PREDICT].rows == 6
    assert batcher.statistics[Priority.PREDICT].padded_tokens == 6 * LENGTH


async def test_a_block_that_fails_takes_no_other_with_it(batcher: Batcher, runtime: GatedRuntime) -> None:
    runtime.let_through(10)
    bad = batcher.submit([block(1, 2)], priority=Priority.EXPLAIN)
    poisoned = batcher.submit([block(7, CRASH), block(8, 9)], priority=Priority.EXPLAIN)
    assert await batcher.wait(bad, timeout_s=None)
    with pytest.raises(ModelFault):
        await batcher.wait(poisoned, timeout_s=None)
    assert poisoned.done.tolist() == [False, False, True, True]
    assert poisoned.values[2:, 0].tolist() == [16.0, 18.0]


async def test_the_bound_of_the_queue_counts_the_rows_in_blocks(batcher: Batcher, runtime: GatedRuntime) -> None:
    batcher.submit([block(0)], priority=Priority.PREDICT)
    await runtime.running()
    ticket = batcher.submit([block(*range(15))], priority=Priority.PREDICT)
    with pytest.raises(Overloaded, match="15 rows are waiting"):
        batcher.submit([block(*range(6))], priority=Priority.PREDICT)
    assert batcher.queued_rows[Priority.PREDICT] == 15
    batcher.abandon(ticket)
    assert batcher.queued_rows[Priority.PREDICT] == 0
    assert batcher.statistics[Priority.PREDICT].dropped_rows == 15


def test_a_batch_holds_whole_blocks_up_to_its_bound_and_one_that_is_larger_alone() -> None:
    queue, ticket = RowQueue(), Ticket(100, 1)
    for sequence, size in enumerate((6, 6, 6, 40, 6)):
        queue.put(Entry(sequence, ticket, 0, block(*range(size)), 0.0))
    assert queue.rows == 64
    taken = [[entry.row.count for entry in queue.take([""], lambda _length: 16)] for _ in range(4)]
    assert taken == [[6, 6], [6], [40], [6]]
    assert queue.rows == 0
    assert not queue.callers


def test_blocks_through_a_runtime_at_once_keep_their_order() -> None:
    runtime = GatedRuntime()
    runtime.let_through(100)
    rows = [block(*range(first, first + size)) for first, size in ((0, 5), (5, 13), (18, 1), (19, 30), (49, 2))]
    assert batched_by_length(rows, 64) == [[0], [1, 2], [3], [4]]
    np.testing.assert_array_equal(run_rows(runtime, collate, rows)[:, 0], 2.0 * np.arange(51))
    assert batched_by_length(rows, 640) == [[0, 1, 2, 3, 4]]
