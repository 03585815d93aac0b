"""Where the console listens: HOST:PORT as it is written, who can reach it there, and the socket."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import ssl
from dataclasses import dataclass

from explicate.errors import UsageError
from explicate_console.console_settings import ConsoleSettings

_FORM = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]\s/]+)):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A host, without brackets, and a port, of which 0 is any that is free."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Place:
        """Raises UsageError for what is not HOST:PORT."""
        parts = _FORM.fullmatch(text)
        if parts is None or int(parts[3]) >= 1 << 16:
            raise UsageError(f"--listen {text}: give HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600")
        return cls(parts[1] or parts[2], int(parts[3]))

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host.rstrip(".").lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, scheme: str, port: int) -> str:
        """Of the page; where it listens on every address, this machine's own."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def check(settings: ConsoleSettings) -> None:
    """See that what is asked for is meant; raises UsageError where it is not said, or the files do not fit."""
    place = Place.of(settings.listen)
    if not place.is_local and not settings.others:
        can = ["ask the server"]
        can += ["see the --rows folders"] if settings.rows else []
        can += ["read the audit log"] if settings.audit else []
        raise UsageError(
            f"--listen {settings.listen}: other machines could open the page there, {' and '.join(can)}; "
            "say that this is meant with --allow-others, or listen on 127.0.0.1 behind a proxy with TLS and a login"
        )
    if (settings.cert is None) != (settings.key is None):
        raise UsageError("--console-cert and --console-key belong together; give both or none")
    if settings.cert is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.cert, settings.key)
        except OSError as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(f"cannot use {settings.cert} with {settings.key}: {reason}") from None


def listener(settings: ConsoleSettings) -> socket.socket:
    """A socket that listens; raises UsageError where it cannot."""
    place = Place.of(settings.listen)
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--listen {settings.listen}: {place.host} is not known ({error.strerror})") from None
    family, kind, protocol, _, where = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        bound.listen()
    except OSError as error:
        bound.close()
        hint = "; is another console there? --listen HOST:PORT takes another" if error.errno == errno.EADDRINUSE else ""
        raise UsageError(f"cannot listen on {settings.listen}: {os.strerror(error.errno or 0)}{hint}") from None
    return bound
