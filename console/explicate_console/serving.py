"""The console's own HTTP server: uvicorn with h11, with an end to waiting and to open streams.

What uvicorn lacks: a client that sends its request slowly, or none, is let go (slowloris).
"""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from explicate.reading import notes
from explicate_console import listening
from explicate_console.application import console_app
from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway.connect import Gateway

_REQUEST_WITHIN_S = 15.0  # from the opening of a connection, or the last answer on it, to the end of the next headers
_HEADER_BYTES = 32 * 1024
_MOST_CONNECTIONS = 512  # a browser opens at most six
_END_WITHIN_S = 2  # from Ctrl-C on; open calls are ended at once, and what is left is cut off then


def serve(settings: ConsoleSettings) -> None:
    """Serve until SIGINT or SIGTERM; print the page's URL on stdout once it answers.

    Raises:
        UsageError: it cannot listen there, or is not to.
    """
    listening.check(settings)
    with listening.listener(settings) as listener:
        console_server(settings).run(sockets=[listener])


def console_server(settings: ConsoleSettings) -> ConsoleServer:
    """The server that is to be given a socket that listens."""
    config = uvicorn.Config(
        console_app(settings),
        http=LimitedProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=settings.cert,
        ssl_keyfile=settings.key,
        timeout_graceful_shutdown=_END_WITHIN_S,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    return ConsoleServer(config, settings)


class ConsoleServer(uvicorn.Server):
    """Says its URL when it is ready, and ends open calls when it is told to end."""

    def __init__(self, config: uvicorn.Config, settings: ConsoleSettings) -> None:
        super().__init__(config)
        self._settings = settings
        self._looking: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            scheme = "http" if self._settings.cert is None else "https"
            place = listening.Place.of(self._settings.listen)
            print(place.url(scheme, sockets[0].getsockname()[1]), flush=True)
            self._looking = asyncio.create_task(self._look())

    @property
    def _gateway(self) -> Gateway:
        gateway: Gateway = self.lifespan.state["gateway"]
        return gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._gateway.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """End, which is what Ctrl-C is for here; a second one does not wait for anything."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def _look(self) -> None:
        if reason := await self._gateway.why_unreachable():
            notes.say(f"{reason} The page is there already, and finds the server when it comes")


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
