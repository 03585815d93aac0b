"""What a request about rows is refused with, and what ends one that takes too long."""

from __future__ import annotations

import threading
import time

from explicate.errors import ExplicateError


class RowsRefused(ExplicateError):
    """A request that cannot be answered: `code` as the Connect protocol has it.

    field: of the request, such as "filter"; at: the character of it that is wrong, if one is.
    """

    def __init__(self, code: str, message: str, *, field: str = "", at: int | None = None) -> None:
        super().__init__(message)
        self.code, self.field, self.at = code, field, at


def invalid(field: str, message: str, at: int | None = None) -> RowsRefused:
    """A field of the request is wrong."""
    return RowsRefused("invalid_argument", message, field=field, at=at)


class Stop:
    """Ends the reading of a request: `check` is called between row groups."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ends = time.monotonic() + limit_s
        self._gone = threading.Event()

    def cancel(self) -> None:
        """The one who asked is gone."""
        self._gone.set()

    def check(self) -> None:
        """Raise RowsRefused if nobody waits for the answer, or it takes too long."""
        if self._gone.is_set():
            raise RowsRefused("canceled", "the page did not wait for this answer")
        if time.monotonic() > self._ends:
            raise RowsRefused(
                "deadline_exceeded", f"reading took more than {self._limit_s:.0f} s: ask about fewer rows by a filter"
            )
