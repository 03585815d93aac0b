"""Who gets a worker next."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from explicate_server.inference import workers
from explicate_server.inference.workers import Pool
from explicate_server.runtime.batcher import Priority


class Steps:
    """Steps that take as long as a test says, by a clock of its own, and the order in which they were done."""

    def __init__(self, pool: Pool) -> None:
        self.done: list[str] = []
        self.now_s = 0.0
        self._pool = pool

    def put(self, caller: str, seconds: float, *, times: int, priority: Priority = Priority.EXPLAIN) -> None:
        for _ in range(times):
            self._pool.submit(self._step(caller, seconds), caller=caller, priority=priority)

    def _step(self, caller: str, seconds: float) -> Callable[[], None]:
        def step() -> None:
            self.done.append(caller)
            self.now_s += seconds

        return step


@pytest.fixture
def held() -> Iterator[tuple[Pool, threading.Event]]:
    """A pool of one thread, which is busy until the event is set."""
    pool, gate = Pool(1, "test"), threading.Event()
    pool.submit(gate.wait, caller="gate", priority=Priority.EXPLAIN)
    yield pool, gate
    gate.set()
    pool.close()


def test_who_had_less_of_the_threads_goes_next(
    held: tuple[Pool, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken in turns by count, long steps would have as much more of the threads as they are longer."""
    pool, gate = held
    steps = Steps(pool)
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: steps.now_s))
    steps.put("long", 0.05, times=3)
    steps.put("short", 0.01, times=4)
    gate.set()
    last = pool.submit(lambda: None, caller="long", priority=Priority.EXPLAIN)
    assert last.result(timeout=30) is None
    assert steps.done == ["long", *["short"] * 4, "long", "long"]


def test_a_caller_who_comes_late_goes_before_one_who_was_served_all_the_time(
    held: tuple[Pool, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, gate = held
    steps = Steps(pool)
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: steps.now_s))
    steps.put("crowd", 0.02, times=2)
    pool.submit(lambda: steps.put("single", 0.02, times=1), caller="crowd", priority=Priority.EXPLAIN)
    steps.put("crowd", 0.02, times=2)
    gate.set()
    last = pool.submit(lambda: None, caller="crowd", priority=Priority.EXPLAIN)
    assert last.result(timeout=30) is None
    assert steps.done == ["crowd", "crowd", "single", "crowd", "crowd"]


def test_what_failed_tells_its_caller_and_the_next_step_is_done(held: tuple[Pool, threading.Event]) -> None:
    pool, gate = held

    def fail() -> None:
        raise ValueError("told to")

    failed = pool.submit(fail, caller="a", priority=Priority.EXPLAIN)
    dropped = pool.submit(lambda: None, caller="a", priority=Priority.EXPLAIN)
    assert dropped.cancel()
    done = pool.submit(lambda: 7, caller="b", priority=Priority.BULK)
    gate.set()
    assert done.result(timeout=30) == 7
    with pytest.raises(ValueError, match="told to"):
        failed.result(timeout=30)
    assert pool.waiting == 0
