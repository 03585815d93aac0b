"""How far a command with many inputs is: a line on stderr every few seconds, where no terminal shows the answers."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from explicate.reading import notes

INTERVAL_S = 5.0


class Progress:
    """Counts inputs; says how many while the block lasts, and at its end if there are more than it has said last.

    failed: how many do not have an answer.
    """

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.failed = 0
        self._inputs = 0
        self._interval_s = interval_s
        self._begin_s = self._said_s = time.monotonic()
        self._said_inputs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if 0 < self._said_inputs < self._inputs:
            self._say(time.monotonic())

    def count(self, *, failed: bool = False) -> None:
        """One more input has its answer, or its failure."""
        self._inputs += 1
        self.failed += failed
        now_s = time.monotonic()
        if now_s - self._said_s >= self._interval_s and not sys.stdout.isatty():
            self._say(now_s)

    def _say(self, now_s: float) -> None:
        self._said_s, self._said_inputs = now_s, self._inputs
        failed = f", {self.failed:,} of them failed" if self.failed else ""
        rate = self._inputs / max(now_s - self._begin_s, 1e-9)
        noun = "input" if self._inputs == 1 else "inputs"
        notes.say(f"{self._inputs:,} {noun}{failed}, {rate:,.3g} a second")
