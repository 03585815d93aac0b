"""Failures of a call as the Connect protocol writes them: a code, a sentence and google.rpc details in JSON.

https://connectrpc.com/docs/protocol#error-codes
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any  # JSON

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from explicate import errors
from explicate._wire.rpc_errors import DETAILS_KEY, from_rpc_error

# HTTP status of each code, from the protocol's table.
HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
# Of the server's trailing metadata, what is passed back; the rest is gRPC's own, or a proxy's.
_PASSED_BACK = ("x-request-id", "www-authenticate")
_KNOWN = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RequestInfo,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.QuotaFailure,
        error_details_pb2.Help,
    )
}


def code_name(code: grpc.StatusCode) -> str:
    """As the protocol writes it: CANCELLED is "canceled" there."""
    return "canceled" if code is grpc.StatusCode.CANCELLED else code.name.lower()


STATUS_OF = {code_name(code): status for code, status in HTTP_STATUS.items()}
"""The HTTP status of each code by the protocol's name of it."""


class Failure(Exception):
    """A call that is refused here, or failed at the server.

    status: of HTTP, where it is not the code's own. headers: in lower case; of a stream, its end's metadata.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        status: int | None = None,
        details: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or HTTP_STATUS[code]
        self.details = details or []
        self.headers = dict(headers or {})

    @property
    def document(self) -> dict[str, Any]:
        """The error as JSON."""
        return {
            "code": code_name(self.code),
            "message": str(self),
            **({"details": self.details} if self.details else {}),
        }

    @property
    def body(self) -> bytes:
        """The same in UTF-8."""
        return json.dumps(self.document, ensure_ascii=False).encode("utf-8", "replace")


def invalid(message: str, *, status: int | None = None) -> Failure:
    """A request that is wrong in itself."""
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message, status=status)


def of_call(error: grpc.aio.AioRpcError, target: str) -> Failure:
    """A failed call to the server at `target`.

    The server's details are kept, with the fields of known ones under "debug"; where gRPC in this process, or something
    on the way, made the error, its sentence names the server.
    """
    known = from_rpc_error(error, target)
    trailers = tuple(error.trailing_metadata() or ())
    headers = passed_back(trailers)
    if known.retry_after_s is not None and math.isfinite(known.retry_after_s):
        headers["retry-after"] = str(math.ceil(known.retry_after_s))
    status = _rich_status(trailers)
    if status is not None:
        message, details = status.message or error.details() or "", _details(status)
        return Failure(error.code(), message, details=details, headers=headers)
    code = grpc.StatusCode.UNAVAILABLE if isinstance(known, errors.Unavailable) else error.code()
    return Failure(code, str(known), headers=headers)


def passed_back(trailers: Any) -> dict[str, str]:  # Any: pairs, or gRPC's own class of them
    """What of the server's trailing metadata the caller gets."""
    return {name: str(value) for name, value in trailers or () if name in _PASSED_BACK}


def _rich_status(trailers: tuple[tuple[str, str | bytes], ...]) -> status_pb2.Status | None:
    packed = dict(trailers).get(DETAILS_KEY)
    try:
        return status_pb2.Status.FromString(packed) if isinstance(packed, bytes) else None
    except DecodeError:  # not the server's own; the plain code and text still count
        return None


def _details(status: status_pb2.Status) -> list[dict[str, Any]]:
    told = []
    for detail in status.details:
        name = detail.type_url.rpartition("/")[2]
        one: dict[str, Any] = {"type": name, "value": base64.b64encode(detail.value).decode().rstrip("=")}
        if kind := _KNOWN.get(name):
            with suppress(DecodeError):
                one["debug"] = json_format.MessageToDict(kind.FromString(detail.value))
        told.append(one)
    return told
