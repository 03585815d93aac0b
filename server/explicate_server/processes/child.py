"""A process that was started to serve, as the one that started it sees it."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from explicate_server.processes.birth import Birth
from explicate_server.processes.line_channel import Channel, Gone, Refused

# -P: what lies in the folder that the server was started in is not to be imported.
COMMAND = (sys.executable, "-P", "-c", "from explicate_server.processes.entry import main; main()")
_log = logging.getLogger(__name__)


class Child:
    """A process and the channel to it.

    Attributes:
        number: counted from 1.
        joins: whether others served when it began.
        follows: whether it has what all have of the models.
        gone: whether it has ended.
        ready_s: when it began to serve (monotonic seconds); None before.
        silent: what its health does not serve.
        fatal: why it could not start, in its own words, and its exit code; empty where it did not say.
    """

    def __init__(self, birth: Birth, end: socket.socket, answer: Callable[..., Awaitable[Any]]) -> None:
        """``answer(child, name, **arguments)`` does what it asks for."""

        async def of_this(name: str, **arguments: Any) -> Any:
            return await answer(self, name, **arguments)

        self.number, self.joins = birth.number, birth.joins
        self.follows = False
        self.gone = False
        self.ready_s: float | None = None
        self.silent: frozenset[str] = frozenset()
        self.fatal: tuple[str, int] = ("", 0)
        self._channel = Channel(end, of_this)
        self._process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, birth: Birth, answer: Callable[..., Awaitable[Any]], command: Sequence[str]) -> "Child":
        """Start one: a fresh interpreter, in a session of its own, for a terminal's signals are this process's."""
        ours, theirs = socket.socketpair()
        child = cls(birth, ours, answer)
        with theirs:
            child._process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        with suppress(OSError):  # it has ended already
            ours.sendall(birth.line())
        await child._channel.open()
        return child

    async def run(self) -> int:
        """Answer it until it has ended; returns its exit code."""
        await self._channel.run()
        code = await self._process.wait()
        self.gone = True
        return code

    async def call(self, name: str, **arguments: Any) -> Any:
        """Ask it; raises as a channel does."""
        return await self._channel.call(name, **arguments)

    async def tell(self, name: str, **arguments: Any) -> None:
        """The same, where it does not matter whether it can."""
        try:
            await self._channel.call(name, **arguments)
        except Gone:
            pass
        except Refused as refusal:
            _log.warning("process %d did not %s: %s", self.number, name, refusal)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    @property
    def served_s(self) -> float:
        """Seconds that it has served."""
        return 0.0 if self.ready_s is None else time.monotonic() - self.ready_s


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
