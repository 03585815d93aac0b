"""How much of a call's time goes to evaluations, and what is kept back for the answer."""

import asyncio
import itertools
import threading
from functools import partial
from types import SimpleNamespace

import pytest

from explicate_server.inference import workers as workers_module
from explicate_server.inference.explain_call import Deadline
from explicate_server.inference.workers import Workers
from explicate_server.runtime.batcher import Priority


class _Clock:
    """Timings that say how long ago a call came."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s


@pytest.mark.parametrize(
    ("limit_s", "fits_s", "usable_s"),
    [
        (1.0, [], 0.95),  # a first fit has not been measured
        (1.0, [0.001], 0.95),
        (1.0, [0.1, 0.02], 0.8),  # twice the slowest
        (1.0, [0.4], 0.75),  # three quarters of the time at the least
        (0.1, [], 0.075),
    ],
)
def test_time_is_kept_back_for_the_answer(limit_s: float, fits_s: list[float], usable_s: float) -> None:
    deadline = Deadline(limit_s, _Clock(0.02))  # type: ignore[arg-type] # it asks for nothing else
    for fit_s in fits_s:
        deadline.fit_took(fit_s)
    assert deadline.seconds_left() == pytest.approx(usable_s - 0.02)


def test_more_time_is_kept_back_where_handing_over_to_a_thread_takes_long() -> None:
    hand_over_s = 0.0
    deadline = Deadline(4.0, _Clock(0.0), lambda: hand_over_s)  # type: ignore[arg-type]
    assert deadline.seconds_left() == pytest.approx(3.95)
    hand_over_s = 0.1
    assert deadline.seconds_left() == pytest.approx(3.65)
    hand_over_s = 5.0
    assert deadline.seconds_left() == pytest.approx(3.0)  # three quarters of the time at the least


async def test_the_time_of_a_hand_over_is_the_wait_and_not_the_step() -> None:
    workers = Workers()
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        go_on.acquire()

    holding = [asyncio.create_task(workers.explain.run(hold, caller="a", priority=Priority.BULK)) for _ in range(2)]
    for _ in holding:
        await asyncio.to_thread(begun.acquire)
    waits = asyncio.create_task(workers.explain.run(lambda: None, caller="b", priority=Priority.EXPLAIN))
    await asyncio.sleep(0)
    assert workers.explain.waiting == 1
    await asyncio.to_thread(threading.Event().wait, 0.05)
    go_on.release(2)
    await asyncio.gather(*holding)
    await waits
    assert workers.explain.hand_over_s > 0.02
    workers.close()


async def test_threads_take_equal_steps_of_each_caller_in_turn_and_bulk_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count()  # each step takes 1/128 s by this clock
    monkeypatch.setattr(workers_module, "time", SimpleNamespace(monotonic=lambda: next(readings) / 128))
    workers = Workers()
    done: list[tuple[str, Priority]] = []
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        go_on.acquire()

    held = [workers.explain.submit(hold, caller="x", priority=Priority.EXPLAIN) for _ in range(2)]
    for _ in held:
        await asyncio.to_thread(begun.acquire)
    steps = [("a", Priority.EXPLAIN)] * 4 + [("b", Priority.EXPLAIN)] * 2 + [("a", Priority.BULK)] * 2
    waiting = [workers.explain.submit(partial(done.append, turn), caller=turn[0], priority=turn[1]) for turn in steps]
    waiting[3].cancel()
    go_on.release()  # one thread goes on
    for future in (*waiting[:3], *waiting[4:]):
        await asyncio.wrap_future(future)
    go_on.release()
    a, b, bulk = steps[0], steps[4], steps[6]
    assert done == [a, b, bulk, a, b, bulk, a]
    workers.close()
