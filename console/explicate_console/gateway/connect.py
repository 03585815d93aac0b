"""The Connect protocol over HTTP: unary calls and server streams, in JSON and in protobuf.

https://connectrpc.com/docs/protocol. A unary call is a POST with the message as its body; a stream's body is
enveloped: one byte of flags, the length in four bytes, the message; the last envelope has the flag 2 and says how the
stream ended. What it does not do: compression, and calls by GET.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from explicate import errors
from explicate._wire import health_check
from explicate._wire.channel import channel_credentials, channel_options, is_local
from explicate._wire.rpc_errors import from_rpc_error
from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway import failures
from explicate_console.gateway.bodies import END_STREAM, Codec, codec, enveloped, read_body, unwrapped
from explicate_console.gateway.failures import Failure, invalid
from explicate_console.gateway.rpc_methods import METHODS, Method

_PASSED_ON = ("authorization", "x-request-id", "traceparent", "tracestate")
_MOST_TIMEOUT_S = 3600.0  # of any call, and of a stream that does not say
_LOOK_S = 5.0
_IDENTITY = {"accept-encoding": "identity", "connect-accept-encoding": "identity"}


@dataclass(frozen=True)
class _Call:
    """What a request asks for, once it is read; the message is in protobuf."""

    method: Method
    codec: Codec
    message: bytes
    metadata: tuple[tuple[str, str], ...]
    ends_at: float

    @property
    def left_s(self) -> float:
        return max(0.0, self.ends_at - asyncio.get_running_loop().time())


class Gateway:
    """Answers HTTP by calls over one gRPC channel: an ASGI application."""

    def __init__(self, channel: grpc.aio.Channel, settings: ConsoleSettings) -> None:
        self._channel = channel
        self._settings = settings
        self._may_send_tokens = settings.tls is not False or settings.allow_plain_token or is_local(settings.server)
        self._calls = 0
        self._open: set[grpc.aio.Call] = set()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call; every failure is an error of the protocol."""
        request = Request(scope, receive)
        streams = False
        try:
            method = _method(request)
            wanted = codec(request, method)
            streams = method.streams
            with self._admitted():
                call = await self._read(request, method, wanted)
                answer = self._streamed(call, send) if streams else self._unary(call, scope, receive, send)
                await _unless_gone(receive, answer)
        except ClientDisconnect:
            return
        except Failure as failure:
            await _refuse(failure, scope, receive, send, media=wanted.media if streams else None)

    def close(self) -> None:
        """End the open calls, each with an error that says so, and take no new ones."""
        self._closing = True
        for call in tuple(self._open):
            call.cancel()

    async def why_unreachable(self) -> str:
        """A sentence where the server does not answer within a few seconds, else ""."""
        check: Any = self._channel.unary_unary(health_check.CHECK)  # of bytes
        try:
            await check(health_check.request_bytes(""), timeout=_LOOK_S)
        except grpc.aio.AioRpcError as error:
            known = from_rpc_error(error, self._settings.server)
            return str(known) if isinstance(known, errors.Unavailable | errors.DeadlineExceeded) else ""
        return ""

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._closing:
            raise _stopping()
        if self._calls >= self._settings.max_calls:
            raise Failure(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"this console has {self._calls} calls in progress, the most that it takes; try again in a moment",
                headers={"retry-after": "1"},
            )
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    async def _read(self, request: Request, method: Method, wanted: Codec) -> _Call:
        version = request.headers.get("connect-protocol-version", "1")
        if version != "1":
            raise invalid(f'connect-protocol-version must be "1", not {version[:20]!r}')
        timeout_s = _timeout_s(request, _MOST_TIMEOUT_S if method.streams else self._settings.timeout_s)
        ends_at = asyncio.get_running_loop().time() + timeout_s
        metadata = self._metadata(request)
        body = await read_body(request, self._settings.max_body_bytes)
        message = await wanted.read(method.request, unwrapped(body) if method.streams else body)
        return _Call(method, wanted, message, metadata, ends_at)

    def _metadata(self, request: Request) -> tuple[tuple[str, str], ...]:
        given = tuple((name, request.headers[name]) for name in _PASSED_ON if name in request.headers)
        for name, value in given:
            if not (value.isascii() and value.isprintable()):
                raise invalid(f"the header {name} has characters that it may not have")
        if "authorization" in request.headers and not self._may_send_tokens:
            raise Failure(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"a token is not sent to {self._settings.server} unencrypted, where others could read it; start the "
                "console with --tls, or say that plain text is meant (--allow-plain-token)",
            )
        return given

    async def _unary(self, call: _Call, scope: Scope, receive: Receive, send: Send) -> None:
        ask: Any = self._channel.unary_unary(call.method.path)
        async with self._under_way(ask(call.message, timeout=call.left_s, metadata=call.metadata)) as asked:
            answer = await asked
            headers = failures.passed_back(await asked.trailing_metadata())
        body = await call.codec.written(call.method.response, answer)
        await Response(body, media_type=call.codec.media, headers=_IDENTITY | headers)(scope, receive, send)

    async def _streamed(self, call: _Call, send: Send) -> None:
        ask: Any = self._channel.unary_stream(call.method.path)
        await _begin(send, call.codec.media)
        end: dict[str, Any] = {}
        try:
            async with self._under_way(ask(call.message, timeout=call.left_s, metadata=call.metadata)) as asked:
                async for answer in asked:
                    await _more(send, enveloped(await call.codec.written(call.method.response, answer)))
                headers = failures.passed_back(await asked.trailing_metadata())
        except Failure as failure:
            end, headers = {"error": failure.document}, failure.headers
        await _end(send, end, headers)

    @asynccontextmanager
    async def _under_way(self, asked: Any) -> AsyncIterator[Any]:  # Any: a call of grpc.aio, of either kind
        """A call that ends with the block, and at the latest when this is closed; raises Failure where it fails."""
        self._open.add(asked)
        try:
            yield asked
        except grpc.aio.AioRpcError as error:
            raise failures.of_call(error, self._settings.server) from None
        except asyncio.CancelledError:
            if self._closing:
                raise _stopping() from None
            raise
        finally:
            self._open.discard(asked)
            asked.cancel()  # the reader has gone, or it is over anyway


def open_channel(settings: ConsoleSettings) -> grpc.aio.Channel:
    """The channel to the console's server; raises UsageError for a file of TLS that cannot be read."""
    options = channel_options(settings.server, settings.tls)
    credentials = channel_credentials(settings.tls)
    if credentials is None:
        return grpc.aio.insecure_channel(settings.server, options=options)
    return grpc.aio.secure_channel(settings.server, credentials, options=options)


def _method(request: Request) -> Method:
    method = METHODS.get(request.url.path)
    if method is None:
        raise Failure(grpc.StatusCode.UNIMPLEMENTED, f"there is no method {request.url.path[:200]}", status=404)
    if request.method != "POST":
        message = f"{request.url.path} is called by POST"
        raise Failure(grpc.StatusCode.UNIMPLEMENTED, message, status=405, headers={"allow": "POST"})
    return method


def _timeout_s(request: Request, default_s: float) -> float:
    told = request.headers.get("connect-timeout-ms")
    if told is None:
        return default_s
    if not (told.isascii() and told.isdecimal()) or len(told) > 10:
        raise invalid("connect-timeout-ms must be a whole number of milliseconds of at most 10 digits")
    return min(int(told) / 1000, _MOST_TIMEOUT_S)


async def _unless_gone(receive: Receive, answer: Coroutine[Any, Any, None]) -> None:
    """Answer, and stop where the caller goes away."""
    working = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait((working, gone))
    if not working.cancelled():
        working.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _stopping() -> Failure:
    return Failure(grpc.StatusCode.UNAVAILABLE, "the console is stopping")


async def _refuse(failure: Failure, scope: Scope, receive: Receive, send: Send, *, media: str | None) -> None:
    if media is None:
        headers = _IDENTITY | failure.headers
        response = Response(failure.body, failure.status, media_type="application/json", headers=headers)
        await response(scope, receive, send)
        return
    await _begin(send, media)  # of a stream the protocol wants status 200 and the error at its end
    await _end(send, {"error": failure.document}, failure.headers)


async def _begin(send: Send, media: str) -> None:
    headers = [(b"content-type", media.encode()), (b"connect-accept-encoding", b"identity")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _more(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _end(send: Send, end: dict[str, Any], headers: dict[str, str]) -> None:
    metadata = {"metadata": {name: [value] for name, value in headers.items()}} if headers else {}
    last = enveloped(json.dumps(end | metadata).encode(), flags=END_STREAM)
    await send({"type": "http.response.body", "body": last, "more_body": False})
