"""The outermost layer of every call: admission, decoding, and one place where errors become statuses.

Letting a call in and receiving its request: token and right, room for one more, and a request that comes in time.

The request is read here and not by gRPC, so that a call without a token or over the limit is refused before its request
is received, and a sender that never finishes cannot hold a place for ever.
"""

from __future__ import annotations  # grpcio's handler class takes type arguments in its stubs only

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message

from explicate_server import tracing
from explicate_server.call_record import CallRecord, counted_as, current_call, request_id_of
from explicate_server.errors import AccessDenied, InvalidRequest, NotServing, Overloaded, ServerError
from explicate_server.inference.admission import caller_of
from explicate_server.rpc.error_catalogue import abort_with, is_internal
from explicate_server.rpc.message_bytes import Reader
from explicate_server.security.access import Access, caller_key
from explicate_server.shared_room import Lack, lack

AUTHORIZATION_KEY = "authorization"
_RETRY_AFTER_S = 1.0


class Reception:
    """What every call of our own services passes first."""

    def __init__(self, access: Access, *, max_calls: int, max_receive_s: float) -> None:
        """``max_calls`` may be in progress; a request has ``max_receive_s`` to arrive."""
        self._access = access
        self._max_calls = max_calls
        self._calls_of: Counter[str] = Counter()
        self._max_receive_s = max_receive_s

    def admit(self, record: CallRecord, context: _Context, *, in_flight: int) -> None:
        """Let a call in, and write down whose token it brought.

        Raises:
            AccessDenied: it has no token with the right, or came to the wrong port.
            Overloaded: ``in_flight`` calls, this one included, are too many, or too many of them are the caller's.
        """
        try:
            name = self._access.check(record.method, authorizations(context.invocation_metadata()))
        except AccessDenied as error:
            record.caller = caller_key(error.token_name, record.caller)
            raise
        record.caller = caller_key(name, record.caller)
        caller = counted_as(record.caller)
        missing = lack(1, held=self._calls_of[caller], taken=in_flight - 1, most=self._max_calls)
        if missing is Lack.SHARE:
            detail = f"{self._calls_of[caller]:,} calls of yours are in progress; the rest is kept for others"
            raise Overloaded("CALLER_LIMIT", detail, retry_after_s=_RETRY_AFTER_S)
        if missing:
            detail = f"{self._max_calls:,} are allowed; come back later or ask another server"
            raise Overloaded("TOO_MANY_CALLS", detail, retry_after_s=_RETRY_AFTER_S)
        record.admitted_as = caller
        self._calls_of[caller] += 1

    def leave(self, record: CallRecord) -> None:
        """A call has ended, whether it was let in or not."""
        if record.admitted_as is not None:
            self._calls_of[record.admitted_as] -= 1
            if not self._calls_of[record.admitted_as]:
                del self._calls_of[record.admitted_as]

    async def receive(self, context: _Context) -> bytes:
        """The bytes of the request.

        Raises:
            InvalidRequest: the caller sent none.
            ServerError: they did not come in time.
        """
        try:
            async with asyncio.timeout(self._max_receive_s):
                request = await context.read()
        except TimeoutError:
            raise ServerError("REQUEST_TOO_SLOW", f"it had {self._max_receive_s:g} s") from None
        if request is grpc.aio.EOF:
            raise InvalidRequest([], reason="MALFORMED_MESSAGE")
        return bytes(request)


def authorizations(metadata: Any) -> list[str]:
    """All values of ``authorization`` in the metadata of a call, as gRPC gives it."""
    return [str(value) for key, value in metadata or () if key == AUTHORIZATION_KEY]


_log = logging.getLogger(__name__)
OWN_SERVICES = "/explicate."
REQUEST_ID_KEY = "x-request-id"
# Characters of a request in the log, where requests are logged at all; an image would be millions.
_MOST_LOGGED = 16384
_Context = grpc.aio.ServicerContext[Any, Any]


class CallsInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every call of our own services; others pass untouched."""

    def __init__(
        self,
        reception: Reception,
        reader: Reader,
        ended: Callable[[CallRecord, str], None],
        *,
        log_requests: bool = False,
    ) -> None:
        """``ended`` is told of every call, with its status code's name; ``log_requests`` logs what callers sent."""
        self._reception = reception
        self._reader = reader
        self._ended = ended
        self._log_requests = log_requests
        self._admitted = _InFlight()
        self._draining = False
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new calls and wait for the accepted ones; whether all finished within ``timeout_s``."""
        self._draining = True
        try:
            await asyncio.wait_for(self._admitted.none.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    @property
    def in_flight(self) -> int:
        """Calls accepted and not answered yet."""
        return self._admitted.count

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """gRPC's hook: the handler of a call, wrapped once for each method."""
        method = handler_call_details.method
        if method in self._handlers:
            return self._handlers[method]
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(OWN_SERVICES):
            return handler
        self._handlers[method] = self._wrapped(handler, method[1:])
        return self._handlers[method]

    def _wrapped(self, handler: Any, method: str) -> grpc.RpcMethodHandler[Any, Any]:
        """To gRPC the request is a stream, so that it is read when we say so; to the client nothing differs."""
        serializer = _serializer(handler.response_serializer)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(handler, method), response_serializer=serializer)
        return grpc.stream_unary_rpc_method_handler(self._unary(handler, method), response_serializer=serializer)

    def _unary(self, handler: Any, method: str) -> Callable[[AsyncIterator[bytes], _Context], Awaitable[Message]]:
        async def call(_: AsyncIterator[bytes], context: _Context) -> Message:
            with self._admitted, self._recorded(method, context) as record:
                try:
                    request = await self._request(handler, context, record)
                    answer: Message = await handler.unary_unary(request, context)
                except Exception as error:
                    await _abort(context, error, record)
                    raise
                return answer

        return call

    def _stream(self, handler: Any, method: str) -> Callable[[AsyncIterator[bytes], _Context], AsyncIterator[Message]]:
        async def call(_: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Message]:
            with self._admitted, self._recorded(method, context) as record:
                try:
                    request = await self._request(handler, context, record)
                    async with aclosing(handler.unary_stream(request, context)) as answers:
                        async for answer in answers:
                            yield answer
                except Exception as error:
                    await _abort(context, error, record)

        return call

    @contextmanager
    def _recorded(self, method: str, context: _Context) -> Iterator[CallRecord]:
        """The record of a call for as long as it lasts; its request id also goes back to the caller."""
        given = dict(context.invocation_metadata() or ()).get(REQUEST_ID_KEY)
        record = CallRecord(request_id_of(given), method, peer=context.peer(), caller=caller_of(context.peer()))
        current_call.set(record)  # each call runs in a task, and so in a context, of its own
        context.set_trailing_metadata(((REQUEST_ID_KEY, record.request_id),))
        span = tracing.call(method, context.invocation_metadata())
        code = grpc.StatusCode.CANCELLED.name  # unless it comes to an end here
        try:
            yield record
            code = grpc.StatusCode.OK.name
        except grpc.aio.AbortError:
            code = context.code().name
            raise
        finally:
            self._reception.leave(record)
            span.set(request_id=record.request_id, model=record.model, version=record.version, code=code)
            span.end(failed=code != grpc.StatusCode.OK.name)
            self._ended(record, code)

    async def _request(self, handler: Any, context: _Context, record: CallRecord) -> Message:
        """Let the call in and receive its request.

        Raises:
            NotServing: the server drains.
            ServerError: whatever the reception refuses it for.
        """
        if self._draining:
            raise NotServing("DRAINING", "try another server", retry_after_s=1.0)
        self._reception.admit(record, context, in_flight=self._admitted.count)
        data = await self._reception.receive(context)
        record.request_bytes = len(data)
        return await self._decode(handler, data)

    async def _decode(self, handler: Any, request: bytes) -> Message:
        """The request message. Deserialised here, because gRPC answers garbage with INTERNAL and no details.

        Raises:
            InvalidRequest: the bytes are no such message, or show that it is over a limit.
        """
        try:
            message = await self._reader.read(handler.request_deserializer, request)
        except (DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest([], reason="MALFORMED_MESSAGE") from error
        if self._log_requests:
            text = await self._reader.run(lambda: MessageToJson(message, indent=None)[:_MOST_LOGGED])
            _log.info("request: %s", text)
        return message


def _serializer(serialize: Callable[[Message], bytes]) -> Callable[[Message | bytes], bytes]:
    """What sends answers, and those that are bytes already as they are."""
    return lambda answer: answer if isinstance(answer, bytes) else serialize(answer)


class _InFlight:
    """Counts the calls inside its ``with`` block, and tells when there are none."""

    def __init__(self) -> None:
        self.count = 0
        self.none = asyncio.Event()
        self.none.set()

    def __enter__(self) -> None:
        self.count += 1
        self.none.clear()

    def __exit__(self, *_: object) -> None:
        self.count -= 1
        if not self.count:
            self.none.set()


async def _abort(context: _Context, error: Exception, record: CallRecord) -> None:
    if is_internal(error):
        _log.error("call %s failed: %s", record.request_id, error, exc_info=error)
    await abort_with(context, error, record.request_id, (REQUEST_ID_KEY, record.request_id))


def time_left_s(context: _Context, most_s: float) -> float:
    """Seconds until the caller's deadline, or the server's own limit where that is shorter or none was set."""
    remaining_s = context.time_remaining()
    return most_s if remaining_s is None else min(most_s, remaining_s)


class Pacer:
    """Says when the next intermediate answer may be sent."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = 0.0

    def due(self) -> bool:
        """Whether the interval since the last time it said yes is over."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._interval_s
        return True
