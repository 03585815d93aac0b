"""The error catalogue: each reason with its gRPC code and public text, and how it becomes a google.rpc.Status.

What is not in the catalogue is INTERNAL with a fixed text: the wire never carries a trace or an unknown exception's
words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from explicate_server.errors import (
    MOST_VIOLATIONS_TOLD,
    AccessDenied,
    InvalidRequest,
    NotFound,
    NotServable,
    NotServing,
    Overloaded,
    ServerError,
)

DOMAIN = "explicate"
PUSH_BACK_KEY = "grpc-retry-pushback-ms"

# Statuses travel as HTTP/2 headers, of which peers accept 8 KiB in all; a caller's own long words must not break the
# answer.
_MAX_TEXT_BYTES = 320
_MAX_PATH_BYTES = 160


@dataclass(frozen=True)
class CatalogueEntry:
    """How a reason is told: its code, and a text that the error's own detail follows."""

    code: grpc.StatusCode
    text: str


_C = grpc.StatusCode
CATALOGUE: Mapping[str, CatalogueEntry] = {
    "INVALID_FIELD": CatalogueEntry(_C.INVALID_ARGUMENT, "the request has a bad field"),
    "UNKNOWN_METHOD": CatalogueEntry(_C.INVALID_ARGUMENT, "there is no such explanation method"),
    "MALFORMED_MESSAGE": CatalogueEntry(_C.INVALID_ARGUMENT, "the bytes are not the request message of this call"),
    "MESSAGE_TOO_LARGE": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "the request is larger than this server takes"),
    "ANSWER_TOO_LARGE": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "the answer is larger than this server sends"),
    "ANSWER_NOT_READ": CatalogueEntry(_C.DEADLINE_EXCEEDED, "the answer was not read in time"),
    "UNKNOWN_CALL": CatalogueEntry(_C.UNIMPLEMENTED, "there is no such call on this port"),
    "TOKEN_MISSING": CatalogueEntry(_C.UNAUTHENTICATED, "this call needs a token"),
    "TOKEN_INVALID": CatalogueEntry(_C.UNAUTHENTICATED, "the token is not known here"),
    "RIGHT_MISSING": CatalogueEntry(_C.PERMISSION_DENIED, "the token does not allow this call"),
    "ADMIN_PORT_ONLY": CatalogueEntry(_C.PERMISSION_DENIED, "this call is not answered on this port"),
    "SERVICE_NOT_FOUND": CatalogueEntry(_C.NOT_FOUND, "health knows no such service"),
    "MODEL_NOT_FOUND": CatalogueEntry(_C.NOT_FOUND, "there is no such model"),
    "VERSION_NOT_FOUND": CatalogueEntry(_C.NOT_FOUND, "the model has no such version"),
    "LABEL_NOT_FOUND": CatalogueEntry(_C.NOT_FOUND, "the model has no such label"),
    "MODEL_NOT_LOADED": CatalogueEntry(_C.FAILED_PRECONDITION, "the model is known but does not serve"),
    "INPUT_KIND_UNSUPPORTED": CatalogueEntry(_C.FAILED_PRECONDITION, "the model does not read this kind of input"),
    "METHOD_UNSUPPORTED": CatalogueEntry(_C.FAILED_PRECONDITION, "the method cannot explain this model"),
    "MASKING_UNSUPPORTED": CatalogueEntry(_C.FAILED_PRECONDITION, "the model cannot do this masking"),
    "LOAD_FAILED": CatalogueEntry(_C.FAILED_PRECONDITION, "the version was refused; what served before still does"),
    "STANDARD_NOT_MET": CatalogueEntry(_C.FAILED_PRECONDITION, "the version does not meet this server's standard"),
    "OVERRIDE_NOT_AUDITED": CatalogueEntry(
        _C.FAILED_PRECONDITION, "an override is written to the audit log, which cannot be done"
    ),
    "OVERRIDE_NOT_KEPT": CatalogueEntry(_C.FAILED_PRECONDITION, "an override cannot be kept over a restart"),
    "FILES_UNREADABLE": CatalogueEntry(_C.FAILED_PRECONDITION, "the version's files cannot be read now"),
    "NOT_ENOUGH_MEMORY": CatalogueEntry(_C.FAILED_PRECONDITION, "there is too little memory to load the version"),
    "VERSION_IN_USE": CatalogueEntry(_C.FAILED_PRECONDITION, "a labelled version cannot be unloaded"),
    "NO_PREVIOUS_VERSION": CatalogueEntry(_C.FAILED_PRECONDITION, "there is nothing to roll back to"),
    "LABELS_READ_ONLY": CatalogueEntry(_C.FAILED_PRECONDITION, "where labels point cannot be kept"),
    "LABELS_UNREADABLE": CatalogueEntry(_C.FAILED_PRECONDITION, "what the model's labels point at is not known"),
    "TOO_MANY_LABELS": CatalogueEntry(_C.FAILED_PRECONDITION, "the model has too many labels"),
    "LABEL_MOVED": CatalogueEntry(_C.ABORTED, "the label is not where it was expected"),
    "TOO_MANY_WATCHES": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "too many calls watch the models"),
    "QUEUE_FULL": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "too many rows are waiting"),
    "TOO_MANY_EXPLANATIONS": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "too many explanations are in progress"),
    "CALLER_LIMIT": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "this caller has too much in progress"),
    "TOO_MANY_CALLS": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "too many calls are in progress"),
    "STARTING": CatalogueEntry(_C.UNAVAILABLE, "the server is still loading its models"),
    "DRAINING": CatalogueEntry(_C.UNAVAILABLE, "the server is shutting down"),
    "SWAPPING": CatalogueEntry(_C.UNAVAILABLE, "the model is being swapped in place"),
    "MODEL_UNLOADED": CatalogueEntry(_C.UNAVAILABLE, "the model version is going away"),
    "REQUEST_TOO_SLOW": CatalogueEntry(_C.DEADLINE_EXCEEDED, "the request did not arrive in time"),
    "NO_TIME_TO_EXPLAIN": CatalogueEntry(_C.DEADLINE_EXCEEDED, "the deadline left no time for an explanation"),
    "DEADLINE_PASSED": CatalogueEntry(_C.DEADLINE_EXCEEDED, "the deadline left no time for an answer"),
    "DEVICE_LOST": CatalogueEntry(_C.UNAVAILABLE, "no device is left that could run the model"),
    "DEVICE_OUT_OF_MEMORY": CatalogueEntry(_C.RESOURCE_EXHAUSTED, "the device has too little memory for this input"),
    "MODEL_OUTPUT_NOT_FINITE": CatalogueEntry(_C.INTERNAL, "the model gave no usable answer for this input"),
    "MODEL_RUN_FAILED": CatalogueEntry(_C.INTERNAL, "the model failed on this input"),
    "INTERNAL": CatalogueEntry(_C.INTERNAL, "an error inside the server; its log has the request id"),
}


def to_status(error: BaseException, request_id: str) -> status_pb2.Status:
    """The status of an error, with ErrorInfo always and the details its kind carries."""
    if not isinstance(error, ServerError) or error.reason not in CATALOGUE:
        error = ServerError("INTERNAL")
    entry = CATALOGUE[error.reason]
    message = f"{entry.text}: {error.detail}" if error.detail else entry.text
    status = status_pb2.Status(code=entry.code.value[0], message=_clip(message))
    metadata = {name: _clip(value) for name, value in error.metadata.items()} | {"request_id": request_id}
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    if isinstance(error, InvalidRequest):
        bad = error_details_pb2.BadRequest()
        for violation in error.violations[:MOST_VIOLATIONS_TOLD]:
            field = _clip(violation.field, _MAX_PATH_BYTES)  # it may name a column as the caller wrote it
            bad.field_violations.add(field=field, description=_clip(violation.description))
        status.details.add().Pack(bad)
    elif isinstance(error, NotServable) and error.violations:
        failed = error_details_pb2.PreconditionFailure()
        for violation in error.violations[:MOST_VIOLATIONS_TOLD]:
            subject = _clip(violation.field, _MAX_PATH_BYTES)
            failed.violations.add(type=error.reason, subject=subject, description=_clip(violation.description))
        status.details.add().Pack(failed)
    elif isinstance(error, NotFound):
        status.details.add().Pack(
            error_details_pb2.ResourceInfo(
                resource_type=error.resource_type,
                resource_name=_clip(error.resource_name),
                description=_clip(error.detail),
            )
        )
    elif isinstance(error, Overloaded | NotServing):
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def push_back(error: BaseException) -> tuple[tuple[str, str], ...]:
    """What tells gRPC's own retries and balancers whether, and in how many milliseconds, to ask again (gRFC A6).

    -1, never, goes with refusals that have the code of an overload and are none: the message stays too large.
    """
    if isinstance(error, Overloaded | NotServing):
        return ((PUSH_BACK_KEY, str(math.ceil(error.retry_after_s * 1e3))),)
    if isinstance(error, ServerError) and error.reason in ("MESSAGE_TOO_LARGE", "ANSWER_TOO_LARGE"):
        return ((PUSH_BACK_KEY, "-1"),)
    return ()


def is_internal(error: BaseException) -> bool:
    """Whether an error is the server's fault, which its log has to explain."""
    reason = error.reason if isinstance(error, ServerError) else "INTERNAL"
    return CATALOGUE.get(reason, CATALOGUE["INTERNAL"]).code is _C.INTERNAL


async def abort_with(
    context: grpc.aio.ServicerContext[Any, Any], error: BaseException, request_id: str, *metadata: tuple[str, str]
) -> None:
    """End a call with the status of an error; ``metadata`` goes along, and the challenge of a refused caller."""
    answer = rpc_status.to_status(to_status(error, request_id))
    if isinstance(error, AccessDenied) and error.challenge:
        metadata = (*metadata, ("www-authenticate", error.challenge))
    metadata = (*metadata, *push_back(error))
    await context.abort(answer.code, answer.details, (*(answer.trailing_metadata or ()), *metadata))


def _clip(text: str, most_bytes: int = _MAX_TEXT_BYTES) -> str:
    encoded = text[: most_bytes + 1].encode("utf-8", "replace")  # a character is a byte at least
    return text if len(encoded) <= most_bytes else encoded[:most_bytes].decode("utf-8", "ignore") + "…"
