"""How the process of a server is told to end, and how it tells that it serves."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
# What stopping may take once calls are answered or given up. Freeing a model takes a second at most.
HANG_S = 10.0


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class Ending:
    """Whether the server is to end: ``stop`` once it is to finish its calls, ``force`` once it is to drop them."""

    def __init__(self) -> None:
        self.stop, self.force = asyncio.Event(), asyncio.Event()

    def follow_signals(self) -> None:
        """The first signal stops, the second one forces."""
        for number in _signals():
            asyncio.get_running_loop().add_signal_handler(
                number, lambda: (self.force if self.stop.is_set() else self.stop).set()
            )


def _signals() -> Iterator[int]:
    """The signals that end the server.

    SIGHUP drains as SIGTERM does: what a reload would read again (tokens, certificates, with --model-control watch the
    repository) is read when it changes, and a terminal that was closed has nobody who could end the server in another
    way. nohup has it ignored, and so it stays.
    """
    yield from (signal.SIGTERM, signal.SIGINT)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


async def tell_address(address: str) -> None:
    """Print the address, for scripts, once it serves. Where nobody can be told, the server serves all the same."""
    try:
        print(address, flush=True)
    except OSError as error:
        _log.warning("cannot write the address %s to standard output: %s", address, error.strerror)
        with suppress(OSError, ValueError):  # else Python tries once more at its end, and exits with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of ``work``, or None when ``event`` comes first, which cancels it."""
    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    watch.cancel()
    if task.done():
        return task.result()
    task.cancel()
    return None
