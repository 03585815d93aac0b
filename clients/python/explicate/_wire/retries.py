"""Which calls are asked again, when, and for how long: the one place that says so, for both clients.

gRPC's own retries are off: they end after five attempts, within two seconds, whatever time the call has.
"""

from __future__ import annotations

import random
import time

from explicate.errors import ServerError, Unavailable

# Calls that change nothing. A stream is asked again until its first message only, so no estimate comes twice.
REPEATABLE = frozenset({"Predict", "Explain", "StreamExplain", "ListModels", "GetModel", "Check"})

# The pauses between attempts, in seconds, unless the server says how long. The first four attempts are over within a
# second: enough for a balancer to route around a server that stops.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
FIRST_ATTEMPTS = 4

_SPREAD = 0.2  # of a pause, at random, so that the clients of a server that restarts do not all come at once


class Attempts:
    """The attempts of one call, all within its own timeout of `timeout_s` seconds (None: no limit).

    A server that has never answered this client is asked four times within a second: a wrong address is reported soon.
    One that has answered is waited for until the call's time is over, since most likely it restarts. The reason is
    UNAVAILABLE in each case: an overloaded server is not helped by being asked again at once.
    """

    def __init__(self, method: str, timeout_s: float | None) -> None:
        self._repeatable = method in REPEATABLE
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._failures = 0

    @property
    def left_s(self) -> float | None:
        """Seconds that the call still has, 0 or more; None for no limit."""
        return None if self._end_s is None else max(0.0, self._end_s - time.monotonic())

    def pause_s(self, failure: ServerError, *, has_answered: bool) -> float | None:
        """Seconds to wait before the next attempt; None when `failure` is the call's answer."""
        self._failures += 1
        if not (self._repeatable and isinstance(failure, Unavailable)):
            return None
        if self._failures >= FIRST_ATTEMPTS and not has_answered:
            return None
        pause_s = min(FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)
        if failure.retry_after_s is not None:
            pause_s = max(pause_s, failure.retry_after_s)
        pause_s *= 1 + random.uniform(-_SPREAD, _SPREAD)  # noqa: S311 - not a secret
        left_s = self.left_s
        return pause_s if left_s is None or pause_s < left_s else None
