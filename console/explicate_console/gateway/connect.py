"""The Connect protocol over HTTP: unary calls and server streams, in JSON and in protobuf.

https://connectrpc.com/docs/protocol. A unary call is a POST with the message as its body; a stream's body is
enveloped: one byte of flags, the length in four bytes, the message; the last envelope has the flag 2 and says how the
stream ended. What it does not do: compression, and calls by GET.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any  # JSON

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from explicate_console.gateway import failures
from explicate_console.gateway.rpc_methods import METHODS, Method

_PASSED_ON = ("authorization", "x-request-id", "traceparent", "tracestate")
_END_STREAM = 2
_ENVELOPE = struct.Struct(">BI")
_DEFAULT_TIMEOUT_S, _MOST_TIMEOUT_S = 60.0, 3600.0


class Gateway:
    """Answers HTTP by calls over one gRPC channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def answer(self, request: Request) -> Response:
        """One call; every failure is an error of the protocol."""
        method = METHODS.get(request.url.path)
        if method is None:
            return _refused(grpc.StatusCode.UNIMPLEMENTED, f"there is no method {request.url.path}")
        media, _, _ = request.headers.get("content-type", "").partition(";")
        json_body = media.endswith("json")
        wanted = ("application/connect+json", "application/connect+proto") if method.streams else (
            "application/json", "application/proto")  # fmt: skip
        if media not in wanted:
            return _refused(grpc.StatusCode.INVALID_ARGUMENT, f"content-type must be {' or '.join(wanted)}", status=415)
        try:
            body = await request.body()
            message = _parsed(method.request, _first_envelope(body) if method.streams else body, json_body=json_body)
            call = _Call(timeout_s=_timeout_s(request), metadata=_metadata(request))
        except ValueError as error:
            return _refused(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if method.streams:
            return StreamingResponse(self._streamed(method, message, call, json_body=json_body), media_type=media)
        return await self._unary(method, message, call, json_body=json_body)

    async def _unary(self, method: Method, message: Message, call: _Call, *, json_body: bool) -> Response:
        ask = self._channel.unary_unary(method.path, type(message).SerializeToString, method.response.FromString)
        try:
            answer = await ask(message, timeout=call.timeout_s, metadata=call.metadata)
        except grpc.aio.AioRpcError as error:
            code, document = failures.of_call(error)
            return JSONResponse(document, failures.HTTP_STATUS[code])
        media = "application/json" if json_body else "application/proto"
        return Response(_written(answer, json_body=json_body), media_type=media)

    async def _streamed(
        self, method: Method, message: Message, call: _Call, *, json_body: bool
    ) -> AsyncIterator[bytes]:
        ask = self._channel.unary_stream(method.path, type(message).SerializeToString, method.response.FromString)
        answers = ask(message, timeout=call.timeout_s, metadata=call.metadata)
        end: dict[str, Any] = {}
        try:
            async for answer in answers:
                yield _enveloped(_written(answer, json_body=json_body))
        except grpc.aio.AioRpcError as error:
            end = {"error": failures.of_call(error)[1]}
        finally:
            answers.cancel()  # the reader has gone, or it is over anyway
        yield _enveloped(json.dumps(end).encode(), flags=_END_STREAM)


class _Call:
    def __init__(self, *, timeout_s: float, metadata: tuple[tuple[str, str], ...]) -> None:
        self.timeout_s = timeout_s
        self.metadata = metadata


def _refused(code: grpc.StatusCode, message: str, *, status: int | None = None) -> Response:
    return JSONResponse(failures.document(code, message), status or failures.HTTP_STATUS[code])


def _timeout_s(request: Request) -> float:
    told = request.headers.get("connect-timeout-ms")
    if told is None:
        return _DEFAULT_TIMEOUT_S
    if not told.isdecimal() or len(told) > 10:
        raise ValueError("connect-timeout-ms must be a whole number of milliseconds of at most 10 digits")
    return min(int(told) / 1000, _MOST_TIMEOUT_S)


def _metadata(request: Request) -> tuple[tuple[str, str], ...]:
    headers: Mapping[str, str] = request.headers
    return tuple((name, headers[name]) for name in _PASSED_ON if name in headers)


def _first_envelope(body: bytes) -> bytes:
    if len(body) < _ENVELOPE.size:
        raise ValueError("the body is not an envelope: a byte of flags, four of length, the message")
    flags, length = _ENVELOPE.unpack_from(body)
    if flags or length != len(body) - _ENVELOPE.size:
        raise ValueError("the body must be one envelope without flags whose length is that of the message")
    return body[_ENVELOPE.size :]


def _enveloped(message: bytes, *, flags: int = 0) -> bytes:
    return _ENVELOPE.pack(flags, len(message)) + message


def _parsed(kind: type[Message], body: bytes, *, json_body: bool) -> Message:
    try:
        if not json_body:
            return kind.FromString(body)
        return json_format.Parse(body.decode("utf-8"), kind())
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the body is not a {kind.DESCRIPTOR.full_name}: {error}") from None


def _written(message: Message, *, json_body: bool) -> bytes:
    if not json_body:
        return message.SerializeToString()
    return json_format.MessageToJson(message, indent=None).encode()
