"""The threads that do what would hold up the event loop, in which callers take turns.

There are three pools: for predictions, for short steps of explanations, and for long ones. With one pool for all, a
text's explanation that takes 0.06 s had no answer in 2 s while four callers sent images of 31 million pixels, and a
prediction of 5,500 characters took 0.3 s instead of 0.06 beside explanations in the lowest class: each step waited
behind steps of others.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.turns import Turns

# Tokenising, converting and fitting; more threads than that would only fight the model for the cores.
_SHORT_THREADS = 2
# Decoding and cutting images. Their number also bounds the memory that decoding takes.
_LONG_THREADS = 2
# An encoding that costs as much as this many characters of a text is short: about 10 ms.
_MOST_SHORT_CHARACTERS = 1 << 17

# A part in the count of turns: about what a fit takes.
_PART_S = 0.01

_T = TypeVar("_T")
_Step = tuple["Future[Any]", Callable[[], Any]]


class Pool:
    """Threads that callers share by the time that their steps take, however many steps one of them has waiting.

    The next step is of the caller who had the least; whose steps are short goes before one whose steps are long, or who
    has some in progress. What a caller asks for in the lowest class has turns of its own, so that it does not hold up
    what it waits for.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._slowest = (0.0, time.monotonic())
        self._waiting: dict[str, deque[_Step]] = {}
        self._begun: Counter[str] = Counter()
        self._turns = Turns()

    async def run(self, step: Callable[[], _T], *, caller: str, priority: Priority) -> _T:
        """The result of a step. If the task that waits is cancelled, a step that has not begun never does."""
        asked_s, worked_s = time.monotonic(), 0.0

        def timed() -> _T:
            nonlocal worked_s
            begun_s = time.monotonic()
            try:
                return step()
            finally:
                worked_s = time.monotonic() - begun_s

        result = await asyncio.wrap_future(self.submit(timed, caller=caller, priority=priority))
        now_s = time.monotonic()
        self._slowest = (max(self.hand_over_s, now_s - asked_s - worked_s), now_s)
        return result

    @property
    def hand_over_s(self) -> float:
        """About the longest that a step took lately beside its own work: the wait for a thread, and for the event loop.

        What was noted counts half after each second.
        """
        slowest_s, noted_s = self._slowest
        return float(slowest_s * 0.5 ** (time.monotonic() - noted_s))

    def submit(self, step: Callable[[], _T], *, caller: str, priority: Priority) -> "Future[_T]":
        """The same for any thread."""
        future: Future[_T] = Future()
        turn = f"{priority.name} {caller}"
        with self._lock:
            self._turns.come(turn)
            self._waiting.setdefault(turn, deque()).append((future, step))
        self._threads.submit(self._next)
        return future

    @property
    def waiting(self) -> int:
        """Steps that have not begun."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def close(self) -> None:
        """Wait for the steps that have begun, and drop the others."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            dropped = [future for steps in self._waiting.values() for future, _ in steps]
            self._waiting.clear()
        for future in dropped:
            future.cancel()

    def _next(self) -> None:
        """Do one step; there are as many waiting as this was submitted for."""
        with self._lock:
            turn, (future, step) = self._take()
        begun_s = time.monotonic()
        try:
            if future.set_running_or_notify_cancel():
                _do(step, future)
        finally:
            with self._lock:
                self._end(turn, time.monotonic() - begun_s)

    def _take(self) -> tuple[str, _Step]:
        """The step that is next, and whose turn it was; called with the lock."""
        turn = self._turns.order({turn: 1.0 + self._begun[turn] for turn in self._waiting})[0]
        step = self._waiting[turn].popleft()
        if not self._waiting[turn]:
            del self._waiting[turn]
        self._begun[turn] += 1
        return turn, step

    def _end(self, turn: str, seconds: float) -> None:
        """A step of a turn took so long; called with the lock."""
        self._turns.charge(turn, seconds / _PART_S)
        self._begun[turn] -= 1
        if not self._begun[turn]:
            del self._begun[turn]
            if turn not in self._waiting:
                self._turns.leave([turn])


def _do(step: Callable[[], _T], future: "Future[_T]") -> None:
    try:
        result = step()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class Workers:
    """The threads of one server.

    Attributes:
        predict: for steps of milliseconds that predictions wait for, and for conversions of messages.
        explain: for those of explanations, such as a fit.
        long: for images, and whatever else takes long to encode.
    """

    def __init__(self) -> None:
        self.predict = Pool(_SHORT_THREADS, "worker-predict")
        self.explain = Pool(_SHORT_THREADS, "worker-explain")
        self.long = Pool(_LONG_THREADS, "worker-long")

    def encoding(self, cost: int, short: Pool) -> Pool:
        """``short``, or the threads for what costs more to encode than a long text does, in characters of one."""
        return short if cost <= _MOST_SHORT_CHARACTERS else self.long

    def close(self) -> None:
        """Wait for the steps that have begun, and drop the others."""
        for pool in (self.predict, self.explain, self.long):
            pool.close()
