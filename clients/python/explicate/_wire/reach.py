"""How a server is reached, and what sends each method there: what clients share that are made from one another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

from explicate._wire.calls import Metadata
from explicate._wire.channel import Tls, channel_credentials, channel_options, token_metadata
from explicate._wire.retries import Retries
from explicate.errors import UsageError
from explicate.v1.inference_service_pb2_grpc import InferenceServiceStub
from explicate.v1.model_service_pb2_grpc import ModelServiceStub

ChannelOptions = Mapping[str, str | int | bytes]


class Connection:
    """A channel with what sends each method on it, by the method's name."""

    def __init__(self, channel: Any) -> None:  # Any: grpc.Channel or grpc.aio.Channel, as are their methods
        self.channel = channel
        self.methods: dict[str, Callable[..., Any]] = {
            **vars(InferenceServiceStub(channel)),
            **vars(ModelServiceStub(channel)),
            "Check": channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=UInt32Value.FromString,
            ),
        }


@dataclass(frozen=True)
class Reach:
    """How a server is reached.

    interceptors: of gRPC, asyncio's or not. through: what an asyncio client asks through if they are not: the
    connection of the blocking client that it works for.
    """

    target: str
    credentials: grpc.ChannelCredentials | None
    options: Sequence[tuple[str, str | int | bytes]]
    interceptors: Sequence[Any]
    affinity: bool
    allow_plain_token: bool
    retries: Retries
    through: Connection | None = None

    @classmethod
    def made(
        cls,
        target: str,
        *,
        tls: Tls | bool,
        credentials: grpc.ChannelCredentials | None,
        options: ChannelOptions | None,
        interceptors: Sequence[Any],
        affinity: bool,
        allow_plain_token: bool,
    ) -> Reach:
        """From what a client is given; raises UsageError for a file that cannot be read or an option of no type."""
        credentials = credentials or channel_credentials(tls)
        chosen = {**dict(channel_options(target, tls)), **_checked(options)}
        return cls(
            target,
            credentials,
            tuple(chosen.items()),
            tuple(interceptors),
            affinity,
            allow_plain_token,
            Retries(target),
        )

    def token(self, token: str | None) -> Metadata:
        """The metadata that brings a token with every call; raises UsageError if others could read it on the way."""
        encrypted = self.credentials is not None
        return token_metadata(token, self.target, encrypted=encrypted, allow_plain=self.allow_plain_token) or ()


def _checked(options: ChannelOptions | None) -> ChannelOptions:
    if not isinstance(options, Mapping | None):
        raise UsageError("channel_options must be a dict from names, such as grpc.keepalive_time_ms, to values")
    for name, value in (options or {}).items():
        if not isinstance(name, str) or not isinstance(value, str | int | bytes):
            raise UsageError(f"channel_options[{name!r}] must be a number, a text or bytes, not {value!r}")
    return options or {}


@dataclass(frozen=True)
class Flavour:
    """One of gRPC's two ways to call: what its interceptors are, where they are found, and how a channel is opened."""

    interceptors: tuple[type, ...]
    told: str
    connect: Callable[[Reach], Connection]

    def check(self, interceptors: Sequence[object]) -> None:
        """Raise UsageError for what is not an interceptor of this way to call."""
        for i, each in enumerate(interceptors):
            if not isinstance(each, self.interceptors):
                raise UsageError(
                    f"interceptors[{i}] is a {type(each).__name__}; this client takes those of {self.told}"
                )


def _connect_blocking(reach: Reach) -> Connection:
    if reach.credentials is None:
        channel = grpc.insecure_channel(reach.target, reach.options)
    else:
        channel = grpc.secure_channel(reach.target, reach.credentials, reach.options)
    return Connection(grpc.intercept_channel(channel, *reach.interceptors) if reach.interceptors else channel)


def _connect_aio(reach: Reach) -> Connection:
    if reach.through is not None:
        return _Awaited(reach.through)
    if reach.credentials is None:
        return Connection(grpc.aio.insecure_channel(reach.target, reach.options, interceptors=reach.interceptors))
    return Connection(
        grpc.aio.secure_channel(reach.target, reach.credentials, reach.options, interceptors=reach.interceptors)
    )


BLOCKING = Flavour(
    (
        grpc.UnaryUnaryClientInterceptor,
        grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor,
        grpc.StreamStreamClientInterceptor,
    ),
    "grpc, such as grpc.UnaryUnaryClientInterceptor (those of grpc.aio go with AsyncClient)",
    _connect_blocking,
)
AIO = Flavour(
    (grpc.aio.ClientInterceptor,),
    "grpc.aio, such as grpc.aio.UnaryUnaryClientInterceptor (those of grpc go with Client)",
    _connect_aio,
)


class _Awaited(Connection):
    """What an asyncio client sees of a blocking connection, whose channel is not its own to close."""

    def __init__(self, connection: Connection) -> None:
        self.channel = self
        self.methods = {name: _awaitable(send) for name, send in connection.methods.items()}

    async def close(self) -> None:
        """Nothing."""


def _awaitable(send: Any) -> Callable[..., Any]:  # Any: a method of one answer, of a type that gRPC does not name
    async def ask(request: object, **how: object) -> object:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[object] = loop.create_future()

        def settle(call: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, call)

        call = send.future(request, **how)
        call.add_done_callback(settle)
        try:
            return await answer
        finally:
            call.cancel()  # does nothing to a call that has ended

    return ask


def _settle(answer: asyncio.Future[object], call: Any) -> None:
    if answer.done():
        return
    if call.cancelled():
        answer.cancel()
    elif (error := call.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(call.result())
