"""Timeouts and defaults that both clients share."""

from __future__ import annotations

import math
import time

from explicate.errors import DeadlineExceeded, ErrorDetails, invalid_argument
from explicate.model_info import ModelStatus

DEFAULT_TARGET = "127.0.0.1:8500"
DEFAULT_TIMEOUT_S = 30.0  # an explanation of a long text takes seconds on a CPU; a hang should still be noticed
POLL_INTERVAL_S = 0.1  # of wait_ready, between two looks at a server that is up and still loading


def call_timeout(timeout_s: float | None, default_s: float) -> float | None:
    """The timeout to give gRPC: the call's own or the client's; None, no deadline, for infinity."""
    chosen = default_s if timeout_s is None else timeout_s
    if math.isnan(chosen) or chosen < 0:
        raise invalid_argument("timeout_s", f"must be 0 or more seconds, not {chosen}")
    return None if math.isinf(chosen) else chosen


class ReadyWait:
    """Waiting for a server to serve `model`, or any model when None, for `timeout_s` seconds; None waits for ever."""

    def __init__(self, target: str, model: str | None, timeout_s: float | None) -> None:
        self._target = target
        self._model = model
        self._end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left, 0 or more."""
        return max(0.0, self._end_s - time.monotonic())

    def is_over(self, statuses: tuple[ModelStatus, ...]) -> bool:
        """Whether the model is ready; DeadlineExceeded says what the server was doing when the time is over."""
        if any(status.state == "ready" and self._model in (None, status.model) for status in statuses):
            return True
        if self.left_s < POLL_INTERVAL_S:
            raise self._not_ready(statuses)
        return False

    def _not_ready(self, statuses: tuple[ModelStatus, ...]) -> DeadlineExceeded:
        seen = ", ".join(f"{s.model} {s.version} is {s.state}{': ' if s.reason else ''}{s.reason}" for s in statuses)
        wanted = f"model {self._model}" if self._model else "any model"
        message = f"the server at {self._target} does not serve {wanted} yet ({seen or 'it knows no models'})"
        return DeadlineExceeded(message, ErrorDetails(code="DEADLINE_EXCEEDED"))
