"""The health check of grpc.health.v1 by gRPC alone, without protobuf: a container's probe starts a process for each.

The messages have one field with the number 1 each, the service's name and the status, so their bytes are written here:
https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from explicate._wire.channel import Tls, channel_credentials, channel_options, token_metadata
from explicate.errors import invalid_argument

if TYPE_CHECKING:
    import grpc

INFERENCE = "explicate.v1.InferenceService"
STATES: dict[int, str] = {0: "", 1: "serving", 2: "not-serving", 3: "service-unknown"}
CHECK = "/grpc.health.v1.Health/Check"
_SERVICE_TAG, _STATUS_TAG = b"\x0a", b"\x08"  # field 1 as bytes of a length, and as a number (protobuf's encoding)


def service_of(model: str | None, *, alive: bool) -> str:
    """The service that stands for any model, for one, or for the process that is `alive`; "" is the last."""
    if alive:
        return ""
    return INFERENCE if model is None else f"{INFERENCE}/{model}"


def health(
    target: str,
    service: str,
    *,
    timeout_s: float,
    tls: Tls | bool = False,
    token: str | None = None,
    allow_plain_token: bool = False,
) -> str:
    """The state of a service, one of `STATES`; raises as `Client.health` does, and retries as it does."""
    import grpc

    options, credentials = channel_options(target, tls), channel_credentials(tls)
    metadata = token_metadata(token, target, encrypted=credentials is not None, allow_plain=allow_plain_token)
    request = request_bytes(service)
    if credentials is None:
        channel = grpc.insecure_channel(target, options)
    else:
        channel = grpc.secure_channel(target, credentials, options)
    with channel:
        return state_of(_ask(channel.unary_unary(CHECK), request, metadata, target, timeout_s))


def _ask(
    send: grpc.UnaryUnaryMultiCallable[bytes, bytes],
    request: bytes,
    metadata: tuple[tuple[str, str], ...] | None,
    target: str,
    timeout_s: float,
) -> bytes:
    import grpc

    from explicate._wire.retries import Retries

    attempts = Retries(target).attempts("Check", timeout_s)
    while True:
        try:
            return send(request, timeout=attempts.left_s, metadata=metadata)
        except grpc.RpcError as error:
            from explicate._wire.rpc_errors import from_rpc_error  # with protobuf: only when something is wrong

            failure = from_rpc_error(error, target)
            pause_s = attempts.pause_s(failure)
            if pause_s is None:
                raise failure from error
            time.sleep(pause_s)


def request_bytes(service: str) -> bytes:
    """A HealthCheckRequest; raises InvalidArgument for a name that is not Unicode."""
    try:
        name = service.encode("utf-8")
    except UnicodeEncodeError:
        raise invalid_argument("model", "is not valid Unicode: it has a lone surrogate") from None
    return _SERVICE_TAG + _varint(len(name)) + name if name else b""


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def state_of(response: bytes) -> str:
    """What a HealthCheckResponse says; a state that this client does not know is its number."""
    number = response[1] if response[:1] == _STATUS_TAG and len(response) > 1 else 0
    return STATES.get(number, str(number))
