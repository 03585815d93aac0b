"""Calls between two processes over a pair of sockets, in both directions: a line of JSON each way.

Calls begin in the order in which they were made, and end in any. A call that the other end refuses raises
:class:`Refused` here; one that nobody answers any more, because the other process has ended, raises :class:`Gone`.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

# The longest line: metrics of hundreds of models.
_MOST_BYTES = 64 << 20
_log = logging.getLogger(__name__)


class Refused(Exception):
    """The other process could not do it.

    Attributes:
        reason: in one word of the error catalogue.
        detail: in a sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Gone(Exception):
    """The other process has ended."""


class Channel:
    """One end. Used on the event loop only."""

    def __init__(self, end: socket.socket, answer: Callable[..., Awaitable[Any]]) -> None:
        """``answer(name, **arguments)`` does what the other end asks for."""
        self._end = end
        self._answer = answer
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._gone = False

    async def open(self) -> None:
        """Calls can be made from now on; they are answered while the other end runs."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._end, limit=_MOST_BYTES)

    async def run(self) -> None:
        """Answer the other end, until it has gone."""
        assert self._reader is not None
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError) as error:  # a line that was cut off by a process that was killed
            _log.debug("a channel broke: %s", error)
        finally:
            self.close()

    async def call(self, name: str, **arguments: Any) -> Any:
        """Ask the other end, and return what it answers.

        Raises:
            Refused: it could not do it.
            Gone: it has ended.
        """
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"call": name, "number": number, "with": arguments})
            return await answered
        finally:
            del self._waiting[number]

    def _take(self, message: dict[str, Any]) -> None:
        if "call" in message:
            task = asyncio.create_task(self._answer_to(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        waiting = self._waiting.get(message["number"])
        if waiting is None or waiting.done():
            return
        if "refused" in message:
            waiting.set_exception(Refused(*message["refused"]))
        else:
            waiting.set_result(message["answer"])

    async def _answer_to(self, message: dict[str, Any]) -> None:
        told: dict[str, Any]
        try:
            told = {"answer": await self._answer(message["call"], **message["with"])}
        except Refused as refusal:
            told = {"refused": [refusal.reason, refusal.detail]}
        except Exception as error:  # the other end must not wait for ever
            _log.exception("%s failed", message["call"])
            told = {"refused": ["INTERNAL", f"{type(error).__name__}: {error}"]}
        with suppress(Gone):
            self._send({"number": message["number"], **told})

    def _send(self, message: dict[str, Any]) -> None:
        if self._gone or self._writer is None:
            raise Gone("the other process has ended")
        self._writer.write(json.dumps(message).encode("ascii") + b"\n")

    def close(self) -> None:
        """Ask and answer no more."""
        self._gone = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Gone("the other process has ended"))
        if self._writer is not None:
            self._writer.close()
