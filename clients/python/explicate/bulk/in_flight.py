"""How many calls one program has in flight: a window that finds out by itself what the servers take, and its turns.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681): the window doubles until the first refusal, then
grows by one for each window of answers and is halved when a server refuses for lack of room. `InFlight` decides and
knows neither calls nor event loops; `Turns` makes calls of asyncio wait for it. both serve `explicate.bulk.many`.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from explicate.errors import DeadlineExceeded, Overloaded, ServerError, Unavailable, invalid_argument, is_for_later

FIRST_SIZE = 4  # enough to fill the batches of one small server, few enough to ask of a busy one
MOST = 128  # calls in flight unless said otherwise: two servers' `--max-explanations`
PATIENCE_S = 300.0  # a server that restarts and loads a large model takes a minute or two

# Pauses while nobody answers, in seconds, unless the server says how long.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_SPREAD = 0.5  # of a pause, added at random: never before the time that the server named, and not all at once


@dataclass(frozen=True)
class Place:
    """The place of one call in flight: how many had begun, itself included, and when it began."""

    number: int
    began_s: float


class InFlight:
    """The window of a run of many calls. It is told of each call's begin and end; times are seconds of `clock`.

    size: "auto", or a number of calls that stays as it is. most: "auto" does not go beyond it.
    rate: inputs a second at most, None for no limit.
    patience_s: seconds for which nobody answers, or everybody refuses, before that ends the run. None: PATIENCE_S, but
        a server that has never answered is not waited for at all. has_answered: whether it has, before this run.
    slow_s: a call that takes longer than this does not let the window grow; a share of the calls' timeout.

    Raises InvalidArgument for a value that makes no sense.
    """

    def __init__(
        self,
        size: int | Literal["auto"] = "auto",
        *,
        most: int = MOST,
        rate: float | None = None,
        patience_s: float | None = None,
        has_answered: bool = False,
        slow_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        _check(size, most, rate, patience_s)
        self.count = 0
        self._adapts = size == "auto"
        self._size = float(min(FIRST_SIZE, most) if size == "auto" else size)
        self._most = most if size == "auto" else int(self._size)
        self._rate = rate
        self._patience_s = patience_s
        self._has_answered = has_answered
        self._slow_s = slow_s
        self._clock, self._uniform = clock, uniform
        self._grows_fast = True
        self._started = 0
        self._next_s = -math.inf  # the rate's, of the next call
        self._held_until_s = -math.inf
        self._settled = 0  # calls that began before this number do not shrink the window again
        self._failing_since_s: float | None = None
        self._pauses = 0  # one after another without an answer

    @property
    def size(self) -> int:
        """How many calls may be in flight now; `count` is how many are."""
        return int(self._size)

    def wait_s(self) -> float:
        """Seconds until another call may begin: 0 for now, infinity for once another one has ended."""
        if self.count >= self.size:
            return math.inf
        return max(0.0, max(self._held_until_s, self._next_s) - self._clock())

    def begin(self, inputs: int = 1) -> Place:
        """Count a call of so many inputs as in flight."""
        now_s = self._clock()
        if self._rate is not None:
            self._next_s = max(self._next_s, now_s) + inputs / self._rate
        self.count += 1
        self._started += 1
        return Place(self._started, now_s)

    def leave(self) -> None:
        """A call has ended that says nothing of the server, such as one that was cancelled here."""
        self.count -= 1

    def end(self, place: Place, failure: ServerError | None = None) -> bool:
        """A call has ended, without or with a failure; whether the same call is to begin again in its turn.

        False: the call has its answer, which may be that failure. Raises the failure when patience is over.
        """
        was_full = self.count >= self.size
        self.leave()
        if failure is not None and (is_for_later(failure) or _is_silence(failure)):
            self._lose_patience(failure)
        if failure is not None and (is_for_later(failure) or isinstance(failure, DeadlineExceeded)):
            self._slow_down(place, failure)
            return is_for_later(failure)
        self._has_answered, self._failing_since_s, self._pauses = True, None, 0
        if was_full and self._adapts and self._clock() - place.began_s <= self._slow_s:
            self._size = min(self._size + (1.0 if self._grows_fast else 1.0 / self._size), self._most)
        return False

    def _slow_down(self, place: Place, failure: ServerError) -> None:
        """Halve the window or pause, unless that was done since the call began: its failure tells nothing new."""
        if place.number <= self._settled:
            return
        self._settled = self._started
        if self._adapts and not isinstance(failure, Unavailable):
            self._size, self._grows_fast = float(max(1, self.size // 2)), False
        if not isinstance(failure, DeadlineExceeded):
            self._pauses += 1
            self._hold(failure.retry_after_s)

    def _lose_patience(self, failure: ServerError) -> None:
        now_s = self._clock()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if isinstance(failure, Overloaded) and self.count:
            return  # what has the room may be our own calls, which will answer
        patience_s = self._patience_s
        if patience_s is None:
            somebody_is_there = self._has_answered or failure.reason or isinstance(failure, Overloaded)
            patience_s = PATIENCE_S if somebody_is_there else 0.0
        if now_s - self._failing_since_s >= patience_s:
            raise failure

    def _hold(self, asked_s: float | None) -> None:
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(self._pauses - 1, 10), _LONGEST_PAUSE_S)
        pause_s = max(pause_s, asked_s or 0.0) * (1 + self._uniform(0.0, _SPREAD))
        self._held_until_s = max(self._held_until_s, self._clock() + pause_s)


def _is_silence(failure: ServerError) -> bool:
    """Whether a call ran out of time without a word of a server: perhaps nobody is there."""
    return isinstance(failure, DeadlineExceeded) and not failure.reason


def _check(size: int | str, most: int, rate: float | None, patience_s: float | None) -> None:
    if size != "auto" and (isinstance(size, str) or size < 1):
        raise invalid_argument("in_flight", f'must be "auto" or a number of calls from 1, not {size!r}')
    if most < 1:
        raise invalid_argument("most_in_flight", f"must be 1 or more calls, not {most}")
    if rate is not None and not 0 < rate < math.inf:
        raise invalid_argument("rate", f"must be more than 0 inputs a second, not {rate}")
    if patience_s is not None and not patience_s >= 0:
        raise invalid_argument("patience_s", f"must be 0 or more seconds, not {patience_s}")


class Turns:
    """Makes calls of one event loop wait for their place in a window, the earliest input first.

    Several runs may share one: they are then in flight together within the same window.
    """

    def __init__(self, window: InFlight) -> None:
        self.window = window
        self._waiting: list[tuple[int, int, int, asyncio.Future[Place]]] = []
        self._asked = 0
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, order: int, inputs: int = 1) -> Place:
        """Wait for a place for a call of so many inputs; among those that wait, the lowest `order` is next."""
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._waiting, (order, self._asked, inputs, turn))
        self._give()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it came at the same moment
            raise

    def end(self, place: Place, failure: ServerError | None = None) -> bool:
        """See `InFlight.end`."""
        try:
            return self.window.end(place, failure)
        finally:
            self._give()

    def leave(self) -> None:
        """See `InFlight.leave`."""
        self.window.leave()
        self._give()

    def _give(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            wait_s = self.window.wait_s()
            if wait_s == math.inf:
                return  # the end of a call comes here again
            if wait_s > 0:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._give)
                return
            _, _, inputs, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(self.window.begin(inputs))
