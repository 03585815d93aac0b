"""Callers beside each other in one batcher: who goes next, and how much each gets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batcher import GatedRuntime, collate, occupy, rows_of

from explicate_server.errors import Overloaded
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.turns import Turns

_A, _B = 1, 2  # what rows of these callers hold; a batch has 8 of them


@pytest.fixture
def runtime() -> GatedRuntime:
    return GatedRuntime()


@pytest.fixture
async def batcher(runtime: GatedRuntime) -> AsyncIterator[Batcher]:
    batcher = Batcher([Instance(runtime)], collate, outputs=1, max_queued_rows={Priority.PREDICT: 1024}, name="callers")
    yield batcher
    runtime.let_through(10_000)
    await asyncio.to_thread(batcher.close)


def send(batcher: Batcher, number: int, *, priority: Priority, rows: int = 1, length: int = 8) -> None:
    batcher.submit(rows_of(*[number] * rows, length=length), priority=priority, caller=str(number))


async def run(runtime: GatedRuntime, batches: int) -> list[list[int]]:
    """Let so many batches through; returns those that have begun."""
    for _ in range(batches):
        runtime.let_through(1)
        await runtime.running()
    return runtime.batches[1:]


@pytest.mark.parametrize("length", [4, 8, 24])
async def test_a_prediction_goes_next_however_many_of_another_caller_wait(
    batcher: Batcher, runtime: GatedRuntime, length: int
) -> None:
    await occupy(batcher, runtime)
    send(batcher, _A, priority=Priority.PREDICT, rows=500)
    send(batcher, _A, priority=Priority.EXPLAIN, rows=500)
    await run(runtime, 20)  # as many as leave nothing owed to a class
    send(batcher, _B, priority=Priority.PREDICT, length=length)
    following = (await run(runtime, 2))[-2:]
    assert any(_B in batch for batch in following), following
    # Explanations are owed a batch now and then; nothing else may come before.
    assert _B in following[0] or batcher.statistics[Priority.EXPLAIN].batches


async def test_who_has_one_row_does_not_wait_for_a_whole_batch_of_anothers(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    send(batcher, _A, priority=Priority.PREDICT, rows=100)
    send(batcher, _B, priority=Priority.PREDICT)
    assert await run(runtime, 2) == [[_B, _A], [_A] * 8]


async def test_an_explanation_gets_half_of_the_rows_beside_one_who_explains_and_predicts_without_end(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    send(batcher, _A, priority=Priority.PREDICT, rows=500)
    for _ in range(64):
        send(batcher, _A, priority=Priority.EXPLAIN, rows=20)
    send(batcher, _B, priority=Priority.EXPLAIN, rows=400)
    rows = Counter(number for batch in await run(runtime, 60) for number in batch)
    assert abs(rows[_B] - rows[_A]) <= 24, rows


async def test_lower_classes_keep_their_share_however_many_callers_predict(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    explaining, bulk, predicting = 100, 101, range(1, 21)
    for number in predicting:
        send(batcher, number, priority=Priority.PREDICT, rows=40)
    send(batcher, explaining, priority=Priority.EXPLAIN, rows=400)
    send(batcher, bulk, priority=Priority.BULK, rows=400)
    batches = await run(runtime, 80)
    rows = Counter(number for batch in batches for number in batch)
    assert abs(sum(explaining in batch for batch in batches) - 20) <= 2
    assert abs(sum(bulk in batch for batch in batches) - 4) <= 2
    assert max(rows[number] for number in predicting) - min(rows[number] for number in predicting) <= 8


async def test_bulk_work_of_one_caller_gets_its_share_and_no_more_beside_explanations_of_another(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    send(batcher, _A, priority=Priority.BULK, rows=500)
    send(batcher, _B, priority=Priority.EXPLAIN, rows=700)
    batches = await run(runtime, 80)
    assert abs(sum(_A in batch for batch in batches) - 4) <= 1


async def test_ever_new_callers_do_not_starve_one_who_waits(batcher: Batcher, runtime: GatedRuntime) -> None:
    await occupy(batcher, runtime)
    send(batcher, _A, priority=Priority.PREDICT, rows=100, length=40)
    for number in range(100, 140):  # each is gone when the next comes
        send(batcher, number, priority=Priority.PREDICT, rows=2)
        await run(runtime, 1)
    assert sum(_A in batch for batch in runtime.batches) >= 8


async def test_a_caller_with_its_share_of_the_queue_is_refused_and_others_are_not(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    for _ in range(8):
        send(batcher, _A, priority=Priority.PREDICT, rows=64)
    with pytest.raises(Overloaded) as caught:
        send(batcher, _A, priority=Priority.PREDICT, rows=1)
    assert caught.value.reason == "CALLER_LIMIT"
    assert batcher.queued_rows[Priority.PREDICT] == 512
    send(batcher, _B, priority=Priority.PREDICT, rows=256)
    with pytest.raises(Overloaded):
        send(batcher, _B, priority=Priority.PREDICT, rows=64)
    for number in range(10, 16):
        send(batcher, number, priority=Priority.PREDICT, rows=1)


async def test_an_explanation_that_fits_between_its_rows_gets_half_of_them_beside_one_that_always_waits(
    batcher: Batcher, runtime: GatedRuntime
) -> None:
    await occupy(batcher, runtime)
    send(batcher, _A, priority=Priority.EXPLAIN, rows=800)
    for _ in range(30):
        send(batcher, _B, priority=Priority.EXPLAIN, rows=16)  # a round of two batches
        while batcher.queues[Priority.EXPLAIN].held(str(_B)):
            await run(runtime, 1)
        await run(runtime, 2)  # while its values are fitted
    rows = Counter(number for batch in runtime.batches[1:] for number in batch)
    assert rows[_B] >= 0.45 * (rows[_A] + rows[_B]), rows


def test_who_was_away_for_long_has_two_batches_coming_and_no_more() -> None:
    turns = Turns()
    for caller in ("busy", "away"):
        turns.come(caller)
    turns.charge("away", 1.0)
    turns.leave(["away"])
    for _ in range(100):
        turns.charge("busy", 1.0)
    turns.come("away")
    served = []
    for _ in range(6):
        served.append(turns.order({"busy": 1.0, "away": 1.0})[0])
        turns.charge(served[-1], 1.0)
    assert served[:2] == ["away", "away"]
    assert sum(caller == "away" for caller in served) <= 5  # three are its half, and two were coming


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), min_size=60, max_size=120))
def test_two_who_always_wait_are_never_more_than_two_batches_apart(parts: list[tuple[float, float]]) -> None:
    turns, had = Turns(), {"a": 0.0, "b": 0.0}
    for caller in had:
        turns.come(caller)
    for a, b in parts:
        waiting = {"a": a, "b": b}
        first = turns.order(waiting)[0]
        turns.charge(first, waiting[first])
        had[first] += waiting[first]
        assert abs(had["a"] - had["b"]) <= 2.0
