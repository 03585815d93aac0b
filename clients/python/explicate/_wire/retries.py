"""Which calls are asked again, when, and for how long: the one place that says so, for both clients.

gRPC's own retries are off: they end after five attempts, within two seconds, whatever time the call has, and go by the
status code alone, so that a message that is too large would be sent again. What they have besides is here: a budget
(retryThrottling) and the servers' word (push-back), https://github.com/grpc/proposal/blob/master/A6-client-retries.md.
"""

from __future__ import annotations

import time

from explicate._wire.channel import may_have_others
from explicate.errors import Overloaded, ServerError, is_for_later

# Calls that change nothing. A stream is asked again until its first message only, so no estimate comes twice.
REPEATABLE = frozenset({"Predict", "Explain", "StreamExplain", "ExplainTable", "ListModels", "GetModel", "Check"})

# The pauses between attempts, in seconds, unless the server says how long. The first ones, together about a second, are
# enough for a balancer to route around a server that stops.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
BRIEF_S = 1.0
# Where another address may have room: at once, but a call that meets the same full server again and again slows down.
FIRST_PAUSE_ELSEWHERE_S = 0.01

_SPREAD = 0.2  # of a pause, at random, so that the clients of a server that restarts do not all come at once


class RetryBudget:
    """Keeps retries of refusals from making an overload worse: a refusal takes 1, an answer gives `PER_ANSWER` back.

    Above half of `MOST` refusals are asked elsewhere, as with gRPC's retryThrottling. gRPC gives .1 for an answer; of
    two servers one of which is full every other attempt is refused, so that would end at once what this is for. 2 lets
    two thirds of the servers be full, and at most trebles the calls to servers that are all full.
    """

    MOST = 100.0
    PER_ANSWER = 2.0

    def __init__(self) -> None:
        self._left = self.MOST

    def refused(self) -> bool:
        """Take one; whether there is enough for another attempt."""
        self._left = max(0.0, self._left - 1.0)
        return self._left > self.MOST / 2

    def answered(self) -> None:
        """Give back."""
        self._left = min(self.MOST, self._left + self.PER_ANSWER)


class Retries:
    """What one client knows of its servers: whether any has answered, whether `target` may be several, their budget."""

    def __init__(self, target: str) -> None:
        self.has_answered = False
        self.may_have_others = may_have_others(target)
        self.budget = RetryBudget()

    def attempts(self, method: str, timeout_s: float | None, *, waits: bool = True) -> Attempts:
        """The attempts of one call, all within its own timeout of `timeout_s` seconds (None: no limit).

        waits: False for a call that is asked again by whoever asks it: its own attempts are over within a second.
        """
        return Attempts(self, method, timeout_s, waits=waits)


class Attempts:
    """The attempts of one call.

    A server that has never answered this client is asked four times within a second: a wrong address is reported soon.
    One that has answered, be it that it is still loading, is waited for until the call's time is over, since most
    likely it restarts. A full server is not helped by being asked again at once, so what it refuses is asked again
    only where another address may have room.
    """

    def __init__(self, retries: Retries, method: str, timeout_s: float | None, *, waits: bool) -> None:
        self._retries = retries
        self._repeatable = method in REPEATABLE
        self._waits = waits
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._failures = 0
        self._paused_s = 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that the call still has, 0 or more; None for no limit."""
        return None if self._end_s is None else max(0.0, self._end_s - time.monotonic())

    def answered(self) -> None:
        """The call has, or begins to have, its answer."""
        self._retries.has_answered = True
        self._retries.budget.answered()

    def pause_s(self, failure: ServerError) -> float | None:
        """Seconds to wait before the next attempt; None when `failure` is the call's answer."""
        self._failures += 1
        if failure.reason:  # a server's own word, not gRPC's that nobody is there
            self._retries.has_answered = True
        is_refusal = isinstance(failure, Overloaded)
        if is_refusal and not (self._retries.budget.refused() and self._retries.may_have_others):
            return None
        if not (self._repeatable and is_for_later(failure)):
            return None
        pause_s = self._next_pause_s(failure)
        lasts = self._waits and (is_refusal or self._retries.has_answered)
        if not lasts and self._paused_s + pause_s > BRIEF_S:
            return None
        self._paused_s += pause_s
        left_s = self.left_s
        return pause_s if left_s is None or pause_s < left_s else None

    def _next_pause_s(self, failure: ServerError) -> float:
        doublings = float(1 << min(self._failures - 1, 10))
        asked_s = failure.retry_after_s
        if self._retries.may_have_others and self._retries.has_answered:
            # The wish is that of one server; the others have not said anything.
            longest_s = LONGEST_PAUSE_S if asked_s is None else max(asked_s, FIRST_PAUSE_S)
            pause_s = min(FIRST_PAUSE_ELSEWHERE_S * doublings, longest_s)
        else:
            pause_s = max(min(FIRST_PAUSE_S * doublings, LONGEST_PAUSE_S), asked_s or 0.0)
        import random  # only when something is wrong

        return pause_s * (1 + random.uniform(-_SPREAD, _SPREAD))  # noqa: S311 - not a secret
