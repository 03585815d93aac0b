"""The batcher: priorities, departed callers, bad rows and bounds, with a model that waits for the test's word."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.device import CPU
from explicate_server.errors import ModelFault, NotServing, Overloaded
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.model_runtime import Feeds
from explicate_server.runtime.queue import Row

CRASH, NOT_FINITE, SHAPELESS = 666, 999, 444


class GatedRuntime:
    """Doubles each row's first number. Every run waits until the gate lets it through."""

    name = "gated"
    device = CPU
    nodes = cpu_nodes = None
    batch_tokens = 64

    def __init__(self, lanes: int = 1) -> None:
        self.lanes = lanes
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
    batcher = Batcher(
        [Instance(runtime)], collate, outputs=1, max_queued_rows={Priority.PREDICT: 64, Priority.BULK: 64}, name="test"
    )
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
    assert batcher.statistics[Priority.PREDICT].tokens == batcher.statistics[Priority.PREDICT].padded_tokens


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


@pytest.mark.parametrize("lanes", [1, 2])
async def test_under_a_load_that_never_lets_up_each_class_gets_its_share_of_batches(lanes: int) -> None:
    """All three classes wait for 100 batches of one size: a quarter goes to EXPLAIN, a twentieth to BULK."""
    runtime = GatedRuntime(lanes)
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={}, name="shares")
    for number, priority in enumerate(Priority):
        batcher.submit(rows_of(*[number] * 800), priority=priority)
    for _ in range(100):
        await runtime.running()
        runtime.let_through(1)
    classes = [batch[0] for batch in runtime.batches[:100]]
    # The first batches of the lanes may come before all have been submitted; lanes may report in another order.
    assert abs(classes.count(Priority.EXPLAIN) - 25) <= 1 + lanes
    assert abs(classes.count(Priority.BULK) - 5) <= 1 + lanes
    gaps = np.diff(np.flatnonzero(np.array(classes) == Priority.BULK))
    assert gaps.max() <= 20 + lanes, "BULK had to wait for longer than its share allows"
    runtime.let_through(10_000)
    await asyncio.to_thread(batcher.close)


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
    assert batcher.statistics[Priority.EXPLAIN].dropped_rows == 10


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
    assert batcher.statistics[Priority.PREDICT].refused_rows == 13


async def test_each_class_is_bounded_by_itself_and_an_explanation_that_was_admitted_is_never_refused(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    batcher.submit(rows_of(*range(32)), priority=Priority.BULK)
    batcher.submit(rows_of(*range(32)), priority=Priority.PREDICT)
    batcher.submit(rows_of(*range(500)), priority=Priority.EXPLAIN)
    with pytest.raises(Overloaded):
        batcher.submit(rows_of(1), priority=Priority.BULK)
    batcher.submit(rows_of(*range(100)), priority=Priority.BULK, admitted=True)
    assert batcher.queued_rows == {Priority.PREDICT: 32, Priority.EXPLAIN: 500, Priority.BULK: 132}


async def test_statistics_tell_rows_padding_and_waits_of_each_class(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    ticket = batcher.submit(rows_of(1, length=13) + rows_of(2, length=16), priority=Priority.BULK)
    runtime.let_through(2)
    assert await batcher.wait(ticket, timeout_s=None)
    bulk = batcher.statistics[Priority.BULK]
    assert (bulk.batches, bulk.rows, bulk.tokens, bulk.padded_tokens) == (1, 2, 29, 32)
    assert sum(bulk.queue_times.counts) == 2
    assert bulk.queue_times.sum_s == pytest.approx(2 * ticket.queue_s)
    assert batcher.statistics[Priority.EXPLAIN].rows == 0


async def test_closing_answers_everyone_who_still_waits(runtime: GatedRuntime) -> None:
    batcher = Batcher(
        [Instance(runtime)],
        collate,
        outputs=1,
        max_queued_rows={Priority.PREDICT: 64, Priority.BULK: 64},
        name="closing",
    )
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


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_callers_do_each_gets_its_own_values_and_nothing_is_left(seed: int) -> None:
    """Callers of all classes come, run out of time, are cancelled, meet bad rows, and the gate opens at random."""
    stream = random.Random(seed)
    runtime = GatedRuntime(lanes=stream.choice([1, 2, 3]))
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={Priority.PREDICT: 20}, name="random")

    async def call() -> None:
        numbers = stream.choices([*range(1, 400), CRASH, NOT_FINITE], k=stream.randint(0, 12))
        rows = [row for number in numbers for row in rows_of(number, length=stream.randint(1, 40))]
        try:
            ticket = batcher.submit(rows, priority=stream.choice(list(Priority)), caller=stream.choice("abc"))
        except Overloaded:
            return
        try:
            complete = await batcher.wait(ticket, timeout_s=stream.choice([None, None, 0.0, 0.002]))
            assert not complete or ticket.done.all()
        except ModelFault:
            assert not ticket.done.all()
        finally:
            batcher.abandon(ticket)
            for number, done, value in zip(numbers, ticket.done, ticket.values[:, 0], strict=True):
                assert not done or (number not in (CRASH, NOT_FINITE) and value == 2.0 * number)

    calls: list[asyncio.Task[None]] = []
    for _ in range(60):
        step = stream.random()
        if step < 0.5:
            calls.append(asyncio.create_task(call()))
        elif step < 0.7:
            runtime.let_through(stream.randint(1, 3))
        elif calls:
            stream.choice(calls).cancel()
        await asyncio.sleep(0)
    runtime.let_through(10_000)
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)
    assert sum(batcher.queued_rows.values()) == 0
    assert batcher.waiting_tickets == 0
    assert not any(queue.callers for queue in batcher.queues.values())
    assert batcher.turns.callers == []
    await asyncio.to_thread(batcher.close)
