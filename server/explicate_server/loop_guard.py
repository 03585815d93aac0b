"""Ends a process whose event loop is held by a runtime that does not come back.

Short batches run on the event loop. While one does not end, no call is answered, no probe, and no signal is heard, so
that whoever watches the process could only kill it. It ends by itself instead, and is started again as after a crash.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)
MOST_HELD_S = 10.0
"""Seconds: batches on the event loop are expected to take a thousandth of one."""

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h, as for a server whose processes do not live
_LOOKS = 20  # within that time: a process that was stopped for a while, its guard with it, is not taken for held


class LoopGuard:
    """One thread for the process, which begins with the first batch and looks now and then whether one does not end."""

    def __init__(self, most_held_s: float = MOST_HELD_S, end: Callable[[int], object] = os._exit) -> None:
        self._pause_s = most_held_s / _LOOKS
        self._end = end
        self._what = ""
        self._number = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, what: str) -> Iterator[None]:
        """Around a batch of the model ``what``, on the event loop."""
        if self._thread is None:
            self._start()
        self._number += 1
        self._what = what
        try:
            yield
        finally:
            self._what = ""

    def _start(self) -> None:
        with self._lock:  # loops of several threads, in tests
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="loop-guard", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        seen, looks = 0, 0
        while looks < _LOOKS:
            time.sleep(self._pause_s)
            number = self._number if self._what else 0
            looks = looks + 1 if number and number == seen else 0
            seen = number
        _log.critical("a batch of %s does not end and holds the event loop; the process ends", self._what)
        self._end(EXIT_CODE)


GUARD = LoopGuard()
