"""The batcher: priorities, departed callers, bad rows and bounds, with a model that waits for the test's word."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.errors import ModelFault, NotServing, Overloaded
from explicate_server.runtime.base import Feeds
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.queue import Row

CRASH, NOT_FINITE, SHAPELESS = 666, 999, 444


class GatedRuntime:
    """Doubles each row's first number. Every run waits until the gate lets it through."""

    name = "gated"
    batch_tokens = 64
    lanes = 1

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        numbers = feeds["x"][:, 0]
        self.batches.append(numbers.tolist())
        self.entered.release()
        self.gate.acquire()
        if (numbers == CRASH).any():
            raise RuntimeError("a row the model chokes on")
        if (numbers == SHAPELESS).any():
            return np.zeros((1, 7), dtype=np.float32)
        answers = 2.0 * numbers.astype(np.float32)
        answers[numbers == NOT_FINITE] = np.nan
        return answers[:, np.newaxis]

    def let_through(self, batches: int) -> None:
        self.gate.release(batches)

    async def running(self) -> None:
        """Wait until the next batch has begun."""
        await asyncio.to_thread(self.entered.acquire)


def collate(rows: Sequence[Row]) -> Feeds:
    x = np.zeros((len(rows), max(row.length for row in rows)), dtype=np.int64)
    for index, row in enumerate(rows):
        x[index, : row.length] = row.values
    return {"x": x}


def rows_of(*numbers: int, length: int = 8) -> list[Row]:
    return [Row(length, np.full(length, number)) for number in numbers]


@pytest.fixture
def runtime() -> GatedRuntime:
    return GatedRuntime()


@pytest.fixture
async def batcher(runtime: GatedRuntime) -> AsyncIterator[Batcher]:
    batcher = Batcher(runtime, collate, outputs=1, max_queued_predict_rows=32, name="test")
    yield batcher
    runtime.let_through(10_000)
    await asyncio.to_thread(batcher.close)


async def occupy(batcher: Batcher, runtime: GatedRuntime) -> None:
    """Make the model busy, so that what comes next has to queue."""
    batcher.submit(rows_of(0), priority=Priority.PREDICT)
    await runtime.running()


async def test_rows_of_several_callers_share_a_batch_and_each_gets_its_own(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    tickets = [batcher.submit(rows_of(n, n + 10), priority=Priority.PREDICT) for n in (1, 2, 3)]
    runtime.let_through(2)
    for ticket, n in zip(tickets, (1, 2, 3), strict=True):
        assert await batcher.wait(ticket, timeout_s=None)
        assert ticket.values[:, 0].tolist() == [2.0 * n, 2.0 * (n + 10)]
    assert runtime.batches == [[0], [1, 11, 2, 12, 3, 13]]


async def test_a_batch_never_exceeds_its_padded_tokens_but_one_long_row_is_taken(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    ticket = batcher.submit(rows_of(*range(1, 10)) + rows_of(77, length=500), priority=Priority.PREDICT)
    runtime.let_through(10)
    assert await batcher.wait(ticket, timeout_s=None)
    assert [len(batch) for batch in runtime.batches] == [1, 8, 1, 1]  # 64 tokens: 8 rows of 8, the ninth, the long one


async def test_rows_of_about_one_length_are_run_together(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    mixed = [row for n in range(1, 4) for row in (rows_of(n, length=16) + rows_of(100 + n, length=4))]
    ticket = batcher.submit(mixed, priority=Priority.PREDICT)
    runtime.let_through(3)
    assert await batcher.wait(ticket, timeout_s=None)
    assert runtime.batches[1:] == [[1, 2, 3], [101, 102, 103]]
    assert batcher.statistics.tokens == batcher.statistics.padded_tokens


async def test_predict_goes_before_explain_and_explain_gets_its_share(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    explain = batcher.submit(rows_of(*range(100, 124)), priority=Priority.EXPLAIN)  # three batches
    predicts = [batcher.submit(rows_of(*range(n, n + 8)), priority=Priority.PREDICT) for n in (10, 20, 30)]
    runtime.let_through(2)
    assert await batcher.wait(predicts[0], timeout_s=None)
    assert runtime.batches[1] == list(range(10, 18))
    assert not explain.done.any()
    # From here on every batch that ends is followed by a new Predict: the load never lets up.
    for n in range(40, 120):
        batcher.submit(rows_of(n), priority=Priority.PREDICT)
        await runtime.running()
        runtime.let_through(1)
        if explain.done.any():
            break
    assert explain.done.any(), "a saturating Predict load starved the explanation"


@pytest.mark.parametrize("poison", [CRASH, SHAPELESS])
async def test_a_row_that_crashes_the_model_fails_alone(batcher: Batcher, runtime: GatedRuntime, poison: int) -> None:
    await occupy(batcher, runtime)
    good = batcher.submit(rows_of(1, 2), priority=Priority.PREDICT)
    bad = batcher.submit(rows_of(3, poison), priority=Priority.PREDICT)
    runtime.let_through(10)
    assert await batcher.wait(good, timeout_s=None)
    assert good.values[:, 0].tolist() == [2.0, 4.0]
    with pytest.raises(ModelFault) as caught:
        await batcher.wait(bad, timeout_s=None)
    assert caught.value.reason == "MODEL_RUN_FAILED"


async def test_a_row_whose_answer_is_not_finite_fails_alone(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    good = batcher.submit(rows_of(5), priority=Priority.PREDICT)
    bad = batcher.submit(rows_of(NOT_FINITE), priority=Priority.PREDICT)
    runtime.let_through(2)
    assert await batcher.wait(good, timeout_s=None)
    with pytest.raises(ModelFault) as caught:
        await batcher.wait(bad, timeout_s=None)
    assert caught.value.reason == "MODEL_OUTPUT_NOT_FINITE"
    assert runtime.batches == [[0], [5, NOT_FINITE]]


async def test_rows_of_a_caller_who_left_are_never_run(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    leaver = batcher.submit(rows_of(*range(10, 20)), priority=Priority.EXPLAIN)
    stayer = batcher.submit(rows_of(1), priority=Priority.EXPLAIN)
    batcher.abandon(leaver)
    assert batcher.queued_rows[Priority.EXPLAIN] == 1
    runtime.let_through(2)
    assert await batcher.wait(stayer, timeout_s=None)
    assert runtime.batches == [[0], [1]]
    assert batcher.statistics.departed_rows == 10


async def test_cancelling_a_waiter_leaves_its_batch_mates_alone(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    tickets = [batcher.submit(rows_of(n), priority=Priority.PREDICT) for n in (1, 2)]
    waiters = [asyncio.ensure_future(batcher.wait(ticket, timeout_s=None)) for ticket in tickets]
    runtime.let_through(1)
    await runtime.running()  # both rows are in the batch that runs now
    waiters[0].cancel()
    batcher.abandon(tickets[0])
    runtime.let_through(1)
    assert await waiters[1]
    assert tickets[1].values[0, 0] == 4.0
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]


async def test_time_running_out_keeps_the_rows_that_are_done(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    ticket = batcher.submit(rows_of(*range(1, 17)), priority=Priority.EXPLAIN)  # two batches
    runtime.let_through(2)
    await runtime.running()
    await runtime.running()  # the second batch has begun, so the first has been answered
    assert not await batcher.wait(ticket, timeout_s=0.0)
    batcher.abandon(ticket)
    assert ticket.done.tolist() == [True] * 8 + [False] * 8
    assert ticket.values[:8, 0].tolist() == [2.0 * n for n in range(1, 9)]


async def test_a_full_queue_refuses_all_rows_of_a_call_and_says_when_to_come_back(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    batcher.submit(rows_of(*range(20)), priority=Priority.PREDICT)
    with pytest.raises(Overloaded) as caught:
        batcher.submit(rows_of(*range(13)), priority=Priority.PREDICT)
    assert caught.value.retry_after_s > 0
    assert batcher.queued_rows[Priority.PREDICT] == 20
    batcher.submit(rows_of(*range(12)), priority=Priority.PREDICT)


async def test_closing_answers_everyone_who_still_waits(runtime: GatedRuntime) -> None:
    batcher = Batcher(runtime, collate, outputs=1, max_queued_predict_rows=32, name="closing")
    await occupy(batcher, runtime)
    ticket = batcher.submit(rows_of(1), priority=Priority.EXPLAIN)
    runtime.let_through(1)
    batcher.close()
    if ticket.fault is None:
        assert await batcher.wait(ticket, timeout_s=None)
    else:
        with pytest.raises(NotServing):
            await batcher.wait(ticket, timeout_s=None)
    with pytest.raises(NotServing):
        batcher.submit(rows_of(1), priority=Priority.PREDICT)
