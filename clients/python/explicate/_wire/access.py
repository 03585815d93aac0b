"""How a client proves who it is and whom it talks to: TLS, client certificates and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.errors import UsageError

if TYPE_CHECKING:
    import grpc

_LOOPBACK_NAMES = ("localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Tls:
    """Files in PEM for an encrypted connection.

    ca: certificates that the server's must come from; the usual public ones when not given.
    cert, key: this client's own, for servers that ask for one; both or none.
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("a client's certificate and its key belong together; give both or none")


def channel_credentials(tls: Tls | bool) -> grpc.ChannelCredentials | None:
    """Credentials for a channel; None for a plain one. Raises UsageError for a file that cannot be read."""
    if tls is False:
        return None
    import grpc  # `import explicate` does not: Tls is part of it

    files = Tls() if tls is True else tls
    return grpc.ssl_channel_credentials(_read(files.ca), _read(files.key), _read(files.cert))


def token_metadata(
    token: str | None, target: str, *, encrypted: bool, allow_plain: bool
) -> tuple[tuple[str, str], ...] | None:
    """The metadata that brings a token with every call.

    Raises UsageError when whoever listens on the way could read the token: over a connection that is not encrypted,
    to another machine, unless `allow_plain` says that this is wanted.
    """
    if token is None:
        return None
    if not (encrypted or allow_plain or is_local(target)):
        raise UsageError(
            f"a token is not sent to {target} unencrypted, where others could read it; use TLS, "
            "or say that plain text is meant (allow_plain_token, --allow-plain-token)"
        )
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("the token is empty or has characters that no token has")
    return (("authorization", f"Bearer {token}"),)


def is_local(target: str) -> bool:
    """Whether a gRPC target is this machine, by its spelling; names are not looked up."""
    if target.startswith("unix:"):
        return True
    for scheme in ("dns:", "ipv4:", "ipv6:", "passthrough:"):
        target = target.removeprefix(scheme)
    hosts = [address.rpartition(":")[0] or address for address in target.rpartition("/")[2].split(",")]
    return all(host in _LOOPBACK_NAMES or _is_loopback_ipv4(host) for host in hosts)


def _is_loopback_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() for part in parts)


def _read(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
