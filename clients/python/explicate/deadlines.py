"""Timeouts and defaults that both clients share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from explicate.errors import DeadlineExceeded, ErrorDetails, invalid_argument
from explicate.results import ModelStatus

DEFAULT_TARGET = "127.0.0.1:8500"
DEFAULT_TIMEOUT_S = 30.0  # an explanation of a long text takes seconds on a CPU; a hang should still be noticed
POLL_INTERVAL_S = 0.1  # of wait_ready, between two looks at a server that is up and still loading


def call_timeout(timeout_s: float | None, default_s: float) -> float | None:
    """The timeout to give gRPC: the call's own or the client's; None, no deadline, for infinity."""
    chosen = default_s if timeout_s is None else timeout_s
    if math.isnan(chosen) or chosen < 0:
        raise invalid_argument("timeout_s", f"must be 0 or more seconds, not {chosen}")
    return None if math.isinf(chosen) else chosen


def not_ready(target: str, model: str | None, statuses: Sequence[ModelStatus]) -> DeadlineExceeded:
    """The error of wait_ready, with the states the server last told."""
    seen = ", ".join(f"{s.model} {s.version} is {s.state}{': ' if s.reason else ''}{s.reason}" for s in statuses)
    wanted = f"model {model}" if model else "any model"
    message = f"the server at {target} does not serve {wanted} yet ({seen or 'it knows no models'})"
    return DeadlineExceeded(message, ErrorDetails(code="DEADLINE_EXCEEDED"))
