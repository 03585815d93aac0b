"""The outermost layer of every call: admission, decoding, sending, and one place where errors become statuses.

To gRPC every request is a stream, and every answer bytes, so that requests are read and answers are measured here; to
the client nothing differs. Health and reflection pass here as our own services do.
"""

from __future__ import annotations  # grpcio's handler class takes type arguments in its stubs only

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message

from explicate_server import tracing
from explicate_server.call_record import CallRecord, current_call, request_id_of
from explicate_server.errors import InvalidRequest, NotServing, ServerError
from explicate_server.inference.admission import caller_of
from explicate_server.rpc.error_catalogue import abort_with, is_internal
from explicate_server.rpc.message_bytes import MOST_INLINE_BYTES, Reader
from explicate_server.rpc.reception import Context, InFlight, Metadata, Reception, is_own
from explicate_server.settings import Settings

_log = logging.getLogger(__name__)
REQUEST_ID_KEY = "x-request-id"
# Calls without an end of their own: each of their messages has the time that others have for the whole call.
_LASTING = frozenset(
    {
        "explicate.v1.ModelService/WatchModels",
        "inference.GRPCInferenceService/ModelStreamInfer",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
# An answer that is ready when its call's time is over has this long to leave, and so has any status.
_LAST_WRITE_S = 0.5
# The caller's deadline passes before the server's, and ends the call: that begins when the call arrives, and gRPC has
# sent the time in two or three digits, rounded up.
_ON_ITS_WAY_S = 0.02
_ROUNDED_UP = 0.01
# Characters of a request in the log, where requests are logged at all; an image would be millions.
_MOST_LOGGED = 16384
# What calls that the server does not have are counted as: callers must not make up labels of metrics.
UNKNOWN_METHOD = "unknown"
_OK = grpc.StatusCode.OK.name
_Respond = Callable[[Any, CallRecord, Context], Awaitable[bytes | None]]


class Calls:
    """The calls of all ports of one server.

    Attributes:
        reception: what each passes first; it counts those in progress.
    """

    def __init__(
        self, reception: Reception, reader: Reader, ended: Callable[[CallRecord, str], None], settings: Settings
    ) -> None:
        """``ended`` is told of every call, with its status code's name."""
        self.reception = reception
        self._reader = reader
        self._ended = ended
        self._settings = settings
        self._draining = False

    def of_port(self, *, on_admin_port: bool = False) -> PortHandlers:
        """The handlers of one port, to which its services are added."""
        return PortHandlers(self, on_admin_port=on_admin_port)

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new calls and wait for the accepted ones; whether all finished within ``timeout_s``."""
        self._draining = True
        try:
            await asyncio.wait_for(self.reception.own.none.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    @property
    def in_flight(self) -> int:
        """Calls of our own services that are accepted and not answered yet."""
        return self.reception.own.count

    def handler(self, handler: Any, method: str, *, on_admin_port: bool) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler that does the same after the reception; ``method`` is ``package.Service/Method``."""
        if handler.response_streaming:
            call = self._wrapped(self._answer_all, handler, method, on_admin_port=on_admin_port)
            return grpc.stream_stream_rpc_method_handler(call)
        call = self._wrapped(self._answer, handler, method, on_admin_port=on_admin_port)
        return grpc.stream_unary_rpc_method_handler(call)

    def refusal(self, method: str, why: str) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler for a method that does not exist. A stream of requests fits calls of all kinds; none is read."""

        refused = ServerError("UNKNOWN_CALL", f"{method!r} is not one" + (f": {why}" if why else ""))
        call = self._wrapped(self._answer, None, UNKNOWN_METHOD, on_admin_port=False, refused=refused)
        return grpc.stream_stream_rpc_method_handler(call)

    def _wrapped(
        self,
        respond: _Respond,
        handler: Any,
        method: str,
        *,
        on_admin_port: bool,
        refused: ServerError | None = None,
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
        """A call of a method: ``respond`` gives its answer, or sends its answers, once it is let in, unless it is
        ``refused`` in any case.
        """

        async def call(_: AsyncIterator[bytes], context: Context) -> bytes | None:
            metadata = context.invocation_metadata() or ()
            record = _record(method, metadata, context)
            span = tracing.call(method, metadata) if is_own(method) else tracing.NO_SPAN
            code = ""
            try:
                try:
                    place = self._let_in(record, metadata, on_admin_port, refused)
                    try:
                        answer = await respond(handler, record, context)
                    finally:
                        place.leave(record)
                except Exception as error:
                    await _abort(context, error, record)
                    raise
                code = _OK
                return answer
            finally:
                code = code or _how_it_ended(record, context).name
                span.set(request_id=record.request_id, model=record.model, version=record.version, code=code)
                span.end(failed=code != _OK)
                self._ended(record, code)

        return call

    def _let_in(
        self, record: CallRecord, metadata: Metadata, on_admin_port: bool, refused: ServerError | None
    ) -> InFlight:
        """Where the call has a place now, and leaves it at its end.

        Raises ``refused``, NotServing while the server drains, and whatever the reception refuses a call for.
        """
        if refused is not None:
            raise refused
        if self._draining and is_own(record.method):
            raise NotServing("DRAINING", "try another server", retry_after_s=1.0)
        return self.reception.let_in(record, metadata, on_admin_port=on_admin_port)

    # The frames of these two hold the request, those above must not: see `_forget_frames`.

    async def _answer(self, handler: Any, record: CallRecord, context: Context) -> bytes:
        request = await self._decode(handler, await self.reception.receive(record, context))
        return self._encode(handler, await handler.unary_unary(request, context))

    async def _answer_all(self, handler: Any, record: CallRecord, context: Context) -> None:
        answer_all = handler.stream_stream if handler.request_streaming else handler.unary_stream
        # By itself: gRPC could not send a status after a first answer that never left with it.
        await context.send_initial_metadata(())
        async with (
            self._received(handler, record, context) as request,
            aclosing(answer_all(request, context)) as answers,
        ):
            async for answer in answers:
                await self._send(record, context, self._encode(handler, answer))

    @asynccontextmanager
    async def _received(self, handler: Any, record: CallRecord, context: Context) -> AsyncIterator[Any]:
        """The request, or where a caller may send many an iterator over them."""
        if handler.request_streaming:
            async with aclosing(self._requests(handler, record, context)) as requests:
                yield requests
        else:
            yield await self._decode(handler, await self.reception.receive(record, context))

    async def _requests(self, handler: Any, record: CallRecord, context: Context) -> AsyncGenerator[Message]:
        while (request := await self.reception.next_request(record, context)) is not None:
            yield await self._decode(handler, request)

    async def _decode(self, handler: Any, request: bytes) -> Message:
        """The request message. Deserialised here, because gRPC answers garbage with INTERNAL and no details.

        Raises:
            InvalidRequest: the bytes are no such message, or show that it is over a limit.
        """
        try:
            if len(request) <= MOST_INLINE_BYTES:
                message: Message = handler.request_deserializer(request)
            else:
                message = await self._reader.read(handler.request_deserializer, request)
        except (DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest([], reason="MALFORMED_MESSAGE") from error
        if self._settings.log_inputs:
            text = await self._reader.run(lambda: MessageToJson(message, indent=None)[:_MOST_LOGGED])
            _log.info("request: %s", text)
        return message

    def _encode(self, handler: Any, answer: Message | bytes) -> bytes:
        """The bytes of an answer; a large one is bytes already.

        Measured here, because gRPC would count one that it cannot send as sent.

        Raises:
            ServerError: they are more than a message may have.
        """
        data: bytes = answer if isinstance(answer, bytes) else handler.response_serializer(answer)
        most = self._settings.max_message_bytes
        if len(data) > most:
            raise ServerError("ANSWER_TOO_LARGE", f"it has {len(data):,} bytes, {most:,} are allowed; ask for less")
        return data

    async def _send(self, record: CallRecord, context: Context, answer: bytes) -> None:
        """Send one of several answers; returns once there is room for it on its way.

        Raises:
            ServerError: the caller does not read.
        """
        within_s = self._settings.max_call_s
        if record.method not in _LASTING:
            within_s = max(within_s - record.seconds, _LAST_WRITE_S)
        try:
            async with asyncio.timeout(within_s):
                await context.write(answer)
        except TimeoutError:
            raise ServerError("ANSWER_NOT_READ", f"{within_s:.3g} s were not enough to send it") from None


class PortHandlers(grpc.GenericRpcHandler):
    """The methods of one port, each wrapped once. Two ports have different handlers for one method, or none.

    In the place of an interceptor, which costs two coroutines a call. Generated code adds services to it as to a
    server.

    Attributes:
        not_offered: methods that clients may expect, with what to do instead.
    """

    def __init__(self, calls: Calls, *, on_admin_port: bool) -> None:
        self._calls = calls
        self._on_admin_port = on_admin_port
        self.not_offered: dict[str, str] = {}
        self._services: list[grpc.GenericRpcHandler] = []
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Add services."""
        self._services.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Do nothing: they are among the generic ones too. Where methods are registered, each call that comes has
        grpc.aio look at all of them.
        """

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """gRPC's hook: the handler of a method."""
        name = handler_call_details.method
        if name not in self._handlers:
            method = name.removeprefix("/")
            found = (each.service(handler_call_details) for each in self._services)
            handler = next(filter(None, found), None)
            if handler is None:
                return self._calls.refusal(method, self.not_offered.get(method, ""))
            self._handlers[name] = self._calls.handler(handler, method, on_admin_port=self._on_admin_port)
        return self._handlers[name]


def _record(method: str, metadata: Metadata, context: Context) -> CallRecord:
    """The record of the call that begins; its request id also goes back to the caller."""
    given = next((value for key, value in metadata if key == REQUEST_ID_KEY), None)
    peer = context.peer()
    record = CallRecord(request_id_of(given), method, peer=peer, caller=caller_of(peer))
    current_call.set(record)  # each call runs in a task, and so in a context, of its own
    context.set_trailing_metadata(((REQUEST_ID_KEY, record.request_id),))
    return record


async def _abort(context: Context, error: Exception, record: CallRecord) -> None:
    """End a call with the status of an error. Never returns.

    A status waits behind answers that the caller does not read. gRPC for Python has no way to reset such a call: the
    status stays with gRPC until the caller reads on or leaves, and nothing else of the call does.
    """
    if is_internal(error):
        _log.error("call %s failed: %s", record.request_id, error, exc_info=error)
    _forget_frames(error)
    try:
        async with asyncio.timeout(_LAST_WRITE_S):
            await abort_with(context, error, record.request_id, (REQUEST_ID_KEY, record.request_id))
    except TimeoutError:
        raise asyncio.CancelledError from None


def _forget_frames(error: BaseException | None) -> None:
    """Drop what an error's trace holds, the request first of all.

    gRPC keeps the exception of an abort, whose context is the error, in a circle with the call. Until the garbage
    collector came by, 24 refused requests of 15 MB took 460 MB.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _how_it_ended(record: CallRecord, context: Context) -> grpc.StatusCode:
    """The code of a call without an answer."""
    if context.code() is not None:
        return context.code()
    if record.refused_by_grpc:
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    remaining_s = context.time_remaining()
    out_of_time = remaining_s is not None and remaining_s <= _ON_ITS_WAY_S + _ROUNDED_UP * record.seconds
    return grpc.StatusCode.DEADLINE_EXCEEDED if out_of_time else grpc.StatusCode.CANCELLED


def time_left_s(context: Context, most_s: float) -> float:
    """Seconds until the caller's deadline, or the server's own limit where that is shorter or none was set."""
    remaining_s = context.time_remaining()
    return most_s if remaining_s is None else min(most_s, remaining_s)
