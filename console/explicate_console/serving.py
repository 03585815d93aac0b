"""The console's own HTTP server: where it listens, what it says when it is ready, how long it waits for others.

uvicorn with h11, and what it lacks: a client that sends its request slowly, or none, is let go (slowloris).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from explicate.errors import UsageError
from explicate_console.application import console_app
from explicate_console.console_settings import ConsoleSettings

_REQUEST_WITHIN_S = 15.0  # from the opening of a connection, or the last answer on it, to the end of the next headers
_HEADER_BYTES = 32 * 1024
_MOST_CONNECTIONS = 512  # a browser opens at most six
_END_WITHIN_S = 2  # from Ctrl-C on


def serve(settings: ConsoleSettings) -> None:
    """Serve until SIGINT or SIGTERM; print the page's URL on stdout once it answers.

    Raises:
        UsageError: it cannot listen there.
    """
    listener = _listener(settings)
    config = uvicorn.Config(
        console_app(settings),
        http=LimitedProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_END_WITHIN_S,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    host, _, _ = settings.listen.rpartition(":")
    url = f"http://{host}:{listener.getsockname()[1]}"
    ConsoleServer(config, url).run(sockets=[listener])


class ConsoleServer(uvicorn.Server):
    """Says its URL when it is ready, and ends open streams when it is told to end."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._url, flush=True)


class LimitedProtocol(H11Protocol):
    """HTTP that does not wait for ever for a request."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(_REQUEST_WITHIN_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _listener(settings: ConsoleSettings) -> socket.socket:
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) >= 1 << 16:
        raise UsageError(f"--listen {settings.listen}: give HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--listen {settings.listen}: {host} is not known ({error.strerror})") from None
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen()
    except OSError as error:
        listener.close()
        hint = "; is another console there? --listen HOST:PORT takes another" if error.errno == errno.EADDRINUSE else ""
        raise UsageError(f"cannot listen on {settings.listen}: {os.strerror(error.errno or 0)}{hint}") from None
    return listener
