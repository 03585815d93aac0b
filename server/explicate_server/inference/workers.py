"""The threads that do what would hold up the event loop, in which callers take turns.

There are three pools: for predictions, for short steps of explanations, and for long ones. With one pool for all, a
text's explanation that takes 0.06 s had no answer in 2 s while four callers sent images of 31 million pixels, and a
prediction of 5,500 characters took 0.3 s instead of 0.06 beside explanations in the lowest class: each step waited
behind steps of others.
"""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from explicate_server.runtime.batcher import Priority

# Tokenising, converting and fitting; more threads than that would only fight the model for the cores.
_SHORT_THREADS = 2
# Decoding and cutting images. Their number also bounds the memory that decoding takes.
_LONG_THREADS = 2
# An encoding that costs as much as this many characters of a text is short: about 10 ms.
_MOST_SHORT_CHARACTERS = 1 << 17

_T = TypeVar("_T")
_Turn = tuple[str, Priority]
_Step = tuple["Future[Any]", Callable[[], Any]]


class Pool:
    """Threads that take one step of each caller in turn, however many steps one of them has waiting.

    What a caller asks for in the lowest class has turns of its own, so that it does not hold up what it waits for.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._slowest = (0.0, time.monotonic())
        self._waiting: OrderedDict[_Turn, deque[_Step]] = OrderedDict()

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
        with self._lock:
            self._waiting.setdefault((caller, priority), deque()).append((future, step))
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
            turn, steps = self._waiting.popitem(last=False)
            future, step = steps.popleft()
            if steps:
                self._waiting[turn] = steps
        if future.set_running_or_notify_cancel():
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
