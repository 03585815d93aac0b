"""From what gRPC raises to the exceptions of `explicate.errors`.

A server describes an error with a google.rpc.Status in the trailing metadata: ErrorInfo always, and BadRequest,
PreconditionFailure, RetryInfo, ResourceInfo or RequestInfo where they apply (https://google.aip.dev/193). An error that
gRPC itself made, such as a refused connection, has none of these; then the text here says what to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from explicate import errors
from explicate.errors import ErrorDetails, ServerError

_Detail = TypeVar("_Detail", bound=Message)

# gRPC's words where this process cancelled the call, or closed its channel (grpc/_channel.py). Else the server did:
# what comes in while it stops is cancelled with its connection.
_CANCELLED_HERE = frozenset({"Locally cancelled by application!", "Channel closed!", "Channel closed due to fork"})
DETAILS_KEY = "grpc-status-details-bin"  # the trailing metadata that carries google.rpc.Status
# Milliseconds after which to try again, or a negative number for never; also from a proxy or a server of another kind.
# What cannot be read counts as never (gRPC's proposal A6).
PUSHBACK_KEY = "grpc-retry-pushback-ms"

# Handshakes that failed, by the words of gRPC's TLS (grpcio 1.75 to 1.85, BoringSSL).
_HANDSHAKES = {
    "Hostname Verification Check failed": "the certificate of the server at {target} is for another name; give the one "
    "that it must have: Tls(server_name=...), --tls-server-name",
    "CERTIFICATE_VERIFY_FAILED": "the certificate of the server at {target} is not trusted: it is expired, or not from "
    "the authority that is asked for (Tls(ca=...), --tls-ca)",
    "WRONG_VERSION_NUMBER": "the server at {target} does not speak TLS; ask it without tls, or look at the address",
}

_CLASS_OF_CODE: dict[grpc.StatusCode, type[ServerError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.INTERNAL: errors.InternalError,
}

# Unlike the other RESOURCE_EXHAUSTED, coming back later does not help.
_CLASS_OF_REASON: dict[str, type[ServerError]] = {
    "MESSAGE_TOO_LARGE": errors.MessageTooLarge,
    "ANSWER_TOO_LARGE": errors.MessageTooLarge,
}


class _Failure(Protocol):
    """What the sync and the aio flavour of a failed call have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def from_rpc_error(error: grpc.RpcError, target: str) -> ServerError:
    """The typed error for a failed call to the server at `target`, from either flavour of gRPC."""
    if not hasattr(error, "code"):
        message = f"the call did not reach {target}: {error or type(error).__name__}; an interceptor raised that"
        return ServerError(message, ErrorDetails(code="UNKNOWN"))
    failure = cast(_Failure, error)  # every RpcError that a call raises has these three
    code = failure.code()
    text = failure.details() or ""
    status, pushback_s = _rich_status(failure), _pushback_s(failure)
    if status is None:
        return _from_grpc_itself(ErrorDetails(code=code.name, retry_after_s=pushback_s), code, text, target)
    details = _details(code, status, pushback_s)
    kind = _CLASS_OF_REASON.get(details.reason) or _CLASS_OF_CODE.get(code, ServerError)
    return kind(_message(status.message or text, details), details)


def _rich_status(failure: _Failure) -> status_pb2.Status | None:
    for key, value in failure.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:  # not ours, a broken proxy's perhaps; the plain code and text still count
                return None
    return None


def _pushback_s(failure: _Failure) -> float | None:
    """Seconds; None where nothing was said."""
    for key, value in failure.trailing_metadata() or ():
        if key == PUSHBACK_KEY:
            return int(value) / 1e3 if str(value).isdecimal() else math.inf
    return None


def _details(code: grpc.StatusCode, status: status_pb2.Status, pushback_s: float | None) -> ErrorDetails:
    info = _unpack(status, error_details_pb2.ErrorInfo)
    bad_request = _unpack(status, error_details_pb2.BadRequest)
    retry = _unpack(status, error_details_pb2.RetryInfo)
    resource = _unpack(status, error_details_pb2.ResourceInfo)
    request = _unpack(status, error_details_pb2.RequestInfo)
    metadata = dict(info.metadata) if info else {}
    failed = _unpack(status, error_details_pb2.PreconditionFailure)
    violations = [(each.field, each.description) for each in bad_request.field_violations] if bad_request else []
    violations += [(each.subject, each.description) for each in failed.violations] if failed else []
    return ErrorDetails(
        code=code.name,
        reason=info.reason if info else "",
        metadata=metadata,
        violations=tuple(violations),
        resource=(resource.resource_type, resource.resource_name) if resource else None,
        retry_after_s=_retry_after_s(retry, pushback_s),
        request_id=request.request_id if request else metadata.get("request_id", ""),
    )


def _retry_after_s(retry: error_details_pb2.RetryInfo | None, pushback_s: float | None) -> float | None:
    if retry is None or pushback_s == math.inf:
        return pushback_s
    return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)


def _unpack(status: status_pb2.Status, kind: type[_Detail]) -> _Detail | None:
    for packed in status.details:
        message = kind()
        if packed.Is(kind.DESCRIPTOR) and packed.Unpack(message):
            return message
    return None


def _message(text: str, details: ErrorDetails) -> str:
    """The server's text, with the bad fields it leaves out and, for a fault of the server, the request id."""
    missing = [f"{path}: {description}" for path, description in details.violations if description not in text]
    message = "; ".join([text, *missing]) if text else "; ".join(missing) or details.reason or details.code
    if details.code == grpc.StatusCode.INTERNAL.name and details.request_id:  # the one error to be looked up in a log
        message = f"{message} (request {details.request_id})"
    return message


def _from_grpc_itself(details: ErrorDetails, code: grpc.StatusCode, text: str, target: str) -> ServerError:
    """An error without our details: gRPC in this process, a proxy, or a server of another kind made it."""
    if code is grpc.StatusCode.UNAVAILABLE:
        for words, sentence in _HANDSHAKES.items():
            if words in text:
                return errors.Unavailable(sentence.format(target=target), details)
        cause = text.rpartition(": ")[2].rstrip("]")  # gRPC tells the whole way down to it, in brackets at times
        return errors.Unavailable(f"cannot reach a server at {target} ({cause}); is it running there?", details)
    if code is grpc.StatusCode.CANCELLED and text not in _CANCELLED_HERE:
        return errors.Unavailable(f"the server at {target} ended the call, as one does that stops", details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded(
            f"no answer from {target} in time; give it longer, or see whether a server runs there", details
        )
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:  # gRPC's own words
        return errors.MessageTooLarge(f"the message is over the size limit ({text}); send fewer inputs", details)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ServerError(f"{target} does not know this call; is it an Explicate server of this version?", details)
    return _CLASS_OF_CODE.get(code, ServerError)(f"{code.name} from {target}: {text}", details)
