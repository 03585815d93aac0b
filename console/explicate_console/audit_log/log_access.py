"""Who may read the audit log through the console.

The log tells of everybody's explanations, with `--audit-inputs` what they wrote: more than any call of the server gives
to one caller. Whoever reaches the console could read it, so a browser must present a token that the server lets
administer. The console does not know tokens; it asks the server for something that needs the right and changes nothing.
A server without tokens lets everybody do everything, and so does its console.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from explicate._wire.channel import token_metadata
from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway.connect import open_channel

# Names the versions that the server knows, and asks for the right `admin`; its request has no field that must be set.
ADMIN_METHOD = "/inference.GRPCInferenceService/RepositoryIndex"
_TIMEOUT_S = 10.0
_WITHOUT = (
    "The audit log tells of everybody's requests, so this server wants a token with the right admin for it: give one"
    " at Token above."
)
_NO_RIGHT = (
    "The audit log tells of everybody's requests, and the server does not let this token administer. Ask the operator"
    " for one with the right admin."
)
_OTHER_PORT = (
    "This server takes administration at an address of its own (--admin-listen), so this console cannot learn who may"
    " read the audit log. Start one for operators: explicate console --server THAT-ADDRESS --audit FILE."
)


@dataclass(frozen=True)
class Refusal:
    """Why the log is not shown: the HTTP status, a word for programs, and a sentence."""

    status: int
    reason: str
    message: str


async def refusal(settings: ConsoleSettings, token: str | None) -> Refusal | None:
    """Whether the server lets this token administer, or everybody where there is none; None if it does.

    Where the server cannot be asked, the log is not shown. Raises UsageError for what is no token, or one that others
    on the way could read.
    """
    metadata = token_metadata(
        token, settings.server, encrypted=settings.tls is not False, allow_plain=settings.allow_plain_token
    )
    # A channel of its own: what refuses the gateway's own is no matter of who administers.
    async with open_channel(settings) as channel:
        # Of bytes: an empty message is an empty text.
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ADMIN_METHOD)
        try:
            await ask(b"", timeout=_TIMEOUT_S, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return _refused(error)
    return None


def _refused(error: grpc.aio.AioRpcError) -> Refusal:
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return Refusal(401, "token_wanted", _WITHOUT)
    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
        # The one refusal of the kind that no token can mend; the server names the flag.
        elsewhere = "--admin-listen" in (error.details() or "")
        return Refusal(403, "no_right", _OTHER_PORT if elsewhere else _NO_RIGHT)
    return Refusal(
        503,
        "server_away",
        f"The server does not say whether this browser may read the audit log ({error.details() or error.code().name}),"
        " so it is not shown.",
    )
