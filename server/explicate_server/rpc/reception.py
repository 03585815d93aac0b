"""Letting a call in and receiving its request: token and right, room for one more, and a request that comes in time.

The request is read here and not by gRPC, so that a call without a token or over the limit is refused before its request
is received, and a sender that never finishes cannot hold a place for ever.
"""

import asyncio
from typing import Any

import grpc

from explicate_server.call_record import CallRecord
from explicate_server.errors import AccessDenied, InvalidRequest, Overloaded, ServerError
from explicate_server.security.access import Access
from explicate_server.security.caller import caller_key

AUTHORIZATION_KEY = "authorization"
_RETRY_AFTER_S = 1.0
_Context = grpc.aio.ServicerContext[Any, Any]


class Reception:
    """What every call of our own services passes first."""

    def __init__(self, access: Access, *, max_calls: int, max_receive_s: float) -> None:
        """``max_calls`` may be in progress; a request has ``max_receive_s`` to arrive."""
        self._access = access
        self._max_calls = max_calls
        self._max_receive_s = max_receive_s

    def admit(self, record: CallRecord, context: _Context, *, in_flight: int) -> None:
        """Let a call in, and write down whose token it brought.

        Raises:
            AccessDenied: it has no token with the right, or came to the wrong port.
            Overloaded: ``in_flight`` calls, this one included, are too many.
        """
        try:
            name = self._access.check(record.method, authorizations(context.invocation_metadata()))
        except AccessDenied as error:
            record.caller = caller_key(error.token_name, record.caller)
            raise
        record.caller = caller_key(name, record.caller)
        if in_flight > self._max_calls:
            detail = f"{self._max_calls:,} are allowed; come back later or ask another server"
            raise Overloaded("TOO_MANY_CALLS", detail, retry_after_s=_RETRY_AFTER_S)

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
