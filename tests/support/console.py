"""The console as a process of its own or inside the test's event loop, what asks it, and servers made for a test."""

import asyncio
import http.client
import inspect
import json
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc

from explicate_console import listening
from explicate_console.console_settings import ConsoleSettings
from explicate_console.serving import console_server
from support.harness import started_process, until


@contextmanager
def console_process(target: str, *flags: str, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """`explicate console` for the server at `target`; yields the URL of its page once it answers."""
    with started_console(target, *flags, environ=environ) as (_, url):
        yield url


@contextmanager
def started_console(
    target: str, *flags: str, environ: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The same, with its process; a later --listen among the flags counts."""
    command = ("console", "--server", target, "--listen", "127.0.0.1:0", *flags)
    with started_process(*command, environ=environ) as started:
        yield started


@asynccontextmanager
async def running_console(target: str, **changes: Any) -> AsyncIterator[str]:
    """A console in this process and event loop, for the server at `target`; yields its URL."""
    settings = ConsoleSettings(**{"server": target, "listen": "127.0.0.1:0", **changes})
    with listening.listener(settings) as listener:
        server = console_server(settings)
        serving = asyncio.create_task(server._serve([listener]))  # without the process's signals
        try:
            await until(lambda: server.started or serving.done())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@dataclass(frozen=True)
class Answer:
    """What the console said; headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def messages(self) -> list[bytes]:
        """Of a stream."""
        return [message for flags, message in envelopes(self.body) if flags == 0]

    @property
    def end(self) -> Any:
        """How a stream ended."""
        flags, message = envelopes(self.body)[-1]
        assert flags == 2
        return json.loads(message)


def ask(url: str, path: str, body: Any = b"{}", *, method: str = "POST", **headers: str) -> Answer:
    """One request; header names with _ for -, a dict as body is sent as JSON, an iterator in chunks."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    given = {"content-type": "application/json"} if method == "POST" else {}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    if method != "POST":
        body = None
    try:
        connection.request(method, path, body, given)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, response.read())
    finally:
        connection.close()


async def asked(url: str, path: str, body: Any = b"{}", **how: str) -> Answer:
    """The same beside the event loop."""
    return await asyncio.to_thread(ask, url, path, body, **how)


def envelope(message: bytes, flags: int = 0) -> bytes:
    """One message of a stream."""
    return struct.pack(">BI", flags, len(message)) + message


def envelopes(body: bytes) -> list[tuple[int, bytes]]:
    """Flags and bytes of each."""
    found = []
    while body:
        flags, length = struct.unpack_from(">BI", body)
        found.append((flags, body[5 : 5 + length]))
        assert len(found[-1][1]) == length
        body = body[5 + length :]
    return found


Handler = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Any]


@asynccontextmanager
async def made_server(handlers: Mapping[str, Handler]) -> AsyncIterator[tuple[grpc.aio.Server, str]]:
    """A gRPC server that answers by functions of bytes, by path; one that yields is a stream. And its target."""

    class Made(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            handler: Any = handlers.get(str(details.method))
            if handler is None:
                return None
            streams = inspect.isasyncgenfunction(handler)
            make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
            return make(handler)

    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((Made(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield server, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
