"""Bodies of requests and answers: read within bounds of size and time, and JSON or protobuf as the caller says.

A large one is read and written in a thread, so that it does not hold up the others.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any  # JSON

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from starlette.requests import Request

from explicate_console.gateway.failures import Failure, invalid
from explicate_console.gateway.rpc_methods import Method

END_STREAM = 2
_COMPRESSED = 1
# What json_format lets through of values of the wrong kind.
_OF_JSON = (ValueError, TypeError, OverflowError, AttributeError, LookupError)
_ENVELOPE = struct.Struct(">BI")
_BODY_WITHIN_S = 60.0  # 24 MiB at 3.4 Mbit/s
_LARGE_BYTES = 32 * 1024  # JSON of that size takes a millisecond or two
# JSON's objects take protobuf 12 µs each, the interpreter held, so this is 2.5 s: 2,000 rows of a table of 100 columns.
_MOST_OBJECTS = 200_000
# json reads an array without letting another thread in between: a quarter of a second. Packed tables have 2 million.
_MOST_VALUES = 2_500_000
_BESIDE = ThreadPoolExecutor(2, "explicate-console-bodies")  # more would leave the event loop less than a third


@dataclass(frozen=True)
class Codec:
    """How the messages of a call are written. media: the content type of the answer, which is that of the request."""

    media: str
    in_json: bool

    async def read(self, kind: type[Message], body: bytes) -> bytes:
        """The body as protobuf; raises Failure where it is not a message of the kind."""
        return await _off_the_loop(body, lambda: self._read(kind, body))

    async def written(self, kind: type[Message], answer: bytes) -> bytes:
        """What the server said, in protobuf, as the caller wants it; raises Failure where it is not of the kind."""
        return await _off_the_loop(answer, lambda: self._write(kind, answer)) if self.in_json else answer

    def _read(self, kind: type[Message], body: bytes) -> bytes:
        if self.in_json and (body.count(b"{") > _MOST_OBJECTS or body.count(b",") > _MOST_VALUES):
            most = f"{_MOST_OBJECTS:,} objects of JSON or {_MOST_VALUES:,} commas"
            raise _too_large(most, "; or pack tables, or send protobuf")
        try:
            if self.in_json:
                return json_format.Parse(body.decode("utf-8"), kind()).SerializeToString()
            kind.FromString(body)
        except UnicodeDecodeError as error:
            raise invalid(f"the body is not UTF-8 from byte {error.start} on") from None
        except RecursionError:
            raise invalid("the body is nested too deeply") from None
        except (DecodeError, json_format.ParseError, *_OF_JSON) as error:
            raise invalid(f"the body is not of type {kind.DESCRIPTOR.full_name}: {_clipped(str(error))}") from None
        return body

    def _write(self, kind: type[Message], answer: bytes) -> bytes:
        try:
            return json_format.MessageToJson(kind.FromString(answer), indent=None, ensure_ascii=False).encode()
        except DecodeError:
            message = f"the server's answer is not of type {kind.DESCRIPTOR.full_name}; is it of another version?"
            raise Failure(grpc.StatusCode.INTERNAL, message) from None


def codec(request: Request, method: Method) -> Codec:
    """By the content type; raises Failure for one that the method does not take."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media, parameters = media.strip().lower(), parameters.replace(" ", "").lower()
    prefix = "application/connect+" if method.streams else "application/"
    for kind in ("json", "proto"):
        if media == prefix + kind and parameters in ("", "charset=utf-8"):
            return Codec(media, kind == "json")
    raise invalid(f"content-type must be {prefix}json or {prefix}proto", status=415)


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The whole body; raises Failure for one that is too large, compressed or too slow."""
    for name in ("content-encoding", "connect-content-encoding"):
        if request.headers.get(name, "identity").strip().lower() != "identity":
            raise _compressed()
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > most_bytes:
        raise _too_large(f"{most_bytes:,} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise _too_large(f"{most_bytes:,} bytes")
    except TimeoutError:
        raise Failure(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"the body did not come within {_BODY_WITHIN_S:g} s", status=408
        ) from None
    return bytes(body)


async def read_object(request: Request, most_bytes: int) -> dict[str, Any]:
    """A body that is a JSON object; raises Failure for what is not, or is too large or too slow."""
    # Only scripts of the console's own page can send this type without the browser asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise invalid("content-type must be application/json", status=415)
    try:
        document = json.loads(await read_body(request, most_bytes))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid("the body must be a JSON object")
    return document


def unwrapped(body: bytes) -> bytes:
    """The message in the one envelope of a stream's request."""
    if len(body) < _ENVELOPE.size:
        raise invalid("the body is not an envelope: a byte of flags, four of length, the message")
    flags, length = _ENVELOPE.unpack_from(body)
    if flags == _COMPRESSED and length == len(body) - _ENVELOPE.size:
        raise _compressed()
    if flags or length != len(body) - _ENVELOPE.size:
        raise invalid("the body must be one envelope without flags whose length is that of the message")
    return body[_ENVELOPE.size :]


def enveloped(message: bytes, *, flags: int = 0) -> bytes:
    """One message of a stream."""
    return _ENVELOPE.pack(flags, len(message)) + message


async def _off_the_loop(of: bytes, make: Callable[[], bytes]) -> bytes:
    if len(of) < _LARGE_BYTES:
        return make()
    return await asyncio.get_running_loop().run_in_executor(_BESIDE, make)


def _clipped(text: str, most: int = 500) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"


def _compressed() -> Failure:
    return Failure(grpc.StatusCode.UNIMPLEMENTED, "compressed messages are not taken; send it as it is (identity)")


def _too_large(most: str, hint: str = "") -> Failure:
    message = f"the body has more than {most}, the most that is taken; send fewer inputs at once{hint}"
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, message, status=413)
