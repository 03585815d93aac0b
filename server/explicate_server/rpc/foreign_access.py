"""The same rules for the services that are not our own, health and reflection, and the mark of the admin port.

Their handlers come from gRPC's own packages. A refused call gets another handler, which refuses it.
"""

from __future__ import annotations  # grpcio's handler class takes type arguments in its stubs only

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from explicate_server.errors import ServerError
from explicate_server.rpc.calls import OWN_SERVICES
from explicate_server.rpc.error_catalogue import abort_with
from explicate_server.rpc.reception import authorizations
from explicate_server.security.access import Access
from explicate_server.security.caller import on_admin_port

_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]


class ForeignAccess(grpc.aio.ServerInterceptor):
    """Lets calls of other services in, or not; our own have their reception."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """gRPC's hook."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(OWN_SERVICES):
            return handler
        try:
            self._access.check(method, authorizations(handler_call_details.invocation_metadata))
        except ServerError as error:
            return _refusal(error)
        return handler


class AdminPort(grpc.aio.ServerInterceptor):
    """Marks every call of the server it belongs to as one that came to the admin port."""

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """gRPC's hook; it runs in the task, and so in the context, that answers the call."""
        on_admin_port.set(True)
        return await continuation(handler_call_details)


def _refusal(error: ServerError) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
        await abort_with(context, error, uuid.uuid4().hex)
        yield b""  # never reached; makes this the generator that gRPC expects

    # A stream of requests fits calls of all four kinds, and none is read.
    return grpc.stream_stream_rpc_method_handler(refuse)
