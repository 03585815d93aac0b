"""Failures of a call as the Connect protocol writes them: a code, a sentence and google.rpc details in JSON.

https://connectrpc.com/docs/protocol#error-codes
"""

from __future__ import annotations

import base64
from typing import Any  # JSON

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from explicate._wire.rpc_errors import DETAILS_KEY

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


def document(code: grpc.StatusCode, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The error as JSON; CANCELLED is "canceled" in the protocol."""
    name = "canceled" if code is grpc.StatusCode.CANCELLED else code.name.lower()
    return {"code": name, "message": message, **({"details": details} if details else {})}


def of_call(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, dict[str, Any]]:
    """The code and the JSON of a failed call; details are kept, with the fields of known ones under "debug"."""
    packed = dict(error.trailing_metadata() or ()).get(DETAILS_KEY)
    details = [] if packed is None else _details(status_pb2.Status.FromString(bytes(packed)))
    return error.code(), document(error.code(), error.details() or "", details)


def _details(status: status_pb2.Status) -> list[dict[str, Any]]:
    told = []
    for detail in status.details:
        name = detail.type_url.rpartition("/")[2]
        one: dict[str, Any] = {"type": name, "value": base64.b64encode(detail.value).decode().rstrip("=")}
        if kind := _KNOWN.get(name):
            one["debug"] = json_format.MessageToDict(kind.FromString(detail.value))
        told.append(one)
    return told
