"""How both clients are made, and from one another: the part of them that does not wait for anything."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from explicate._wire.channel import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Tls
from explicate._wire.defaults import Defaults
from explicate._wire.reach import ChannelOptions, Connection, Flavour, Reach
from explicate.contexts.chosen import chosen
from explicate.options import ClientOptions

if TYPE_CHECKING:
    import grpc

    from explicate._wire.calls import Call, Metadata


class ClientSetup:
    """What `Client` and `AsyncClient` share."""

    _flavour: ClassVar[Flavour]

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: Tls | bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        allow_plain_token: bool = False,
        affinity: bool = False,
        channel_options: ChannelOptions | None = None,
        interceptors: Sequence[object] = (),
    ) -> None:
        self._flavour.check(interceptors)
        self._reach = Reach.made(
            target,
            tls=tls,
            credentials=credentials,
            options=channel_options,
            interceptors=interceptors,
            affinity=affinity,
            allow_plain_token=allow_plain_token,
        )
        self._defaults = Defaults(timeout_s, token=self._reach.token(token))
        self._is_copy = False
        self._open()

    @classmethod
    def from_env(
        cls,
        context: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        channel_options: ChannelOptions | None = None,
        interceptors: Sequence[object] = (),
    ) -> Self:
        """A client as the command line would have it: from EXPLICATE_SERVER, EXPLICATE_TOKEN and EXPLICATE_MODEL, or a
        `context` of ~/.config/explicate/config.toml: the one named here, by EXPLICATE_CONTEXT, or current in the file.

        Where a model is named, calls may leave it out: `client.explain(text)`. Raises UsageError for a broken file or
        an unknown context.
        """
        found = chosen(context=context)
        client = cls(
            found.server,
            timeout_s=timeout_s,
            tls=found.tls,
            token=found.token,
            allow_plain_token=found.allow_plain_token,
            channel_options=channel_options,
            interceptors=interceptors,
        )
        client._defaults = replace(client._defaults, model=found.model)
        return client

    def with_options(self, **changes: Unpack[ClientOptions]) -> Self:
        """A client with other defaults, those of `explicate.ClientOptions`, on the same connection.

        It costs nothing to make, and closing it leaves the connection to this one. Raises UsageError for a name or a
        value that cannot be; what only a server can tell, such as whether it has the method, it says at the first call.
        """
        made = copy(self)
        made._is_copy = True
        if "token" in changes:
            made._defaults = replace(made._defaults, token=self._reach.token(changes.pop("token")))
        made._defaults = made._defaults.changed(changes)
        return made

    @property
    def target(self) -> str:
        """Where calls go."""
        return self._reach.target

    @property
    def timeout_s(self) -> float:
        """Seconds that a call may take which does not say otherwise."""
        return self._defaults.timeout_s

    def _open(self) -> None:
        """Connect, or make ready for it."""
        raise NotImplementedError

    def _connect(self) -> Connection:
        return self._flavour.connect(self._reach)

    def _metadata(self, call: Call[Any]) -> Metadata | None:
        return call.metadata(self._defaults.token + self._defaults.metadata, affinity=self._reach.affinity)
