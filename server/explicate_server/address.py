"""Addresses to listen on, as they are written in settings: ``HOST:PORT``, or ``unix:PATH``.

What is not of that form is refused by name: gRPC takes "127.0.0.1" for port 443, and "0.0.0.0:99999" for port 34463.
"""

import errno
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_UNIX = "unix:"
_FORM = "it must be HOST:PORT, such as 127.0.0.1:8500, [::1]:8500 or localhost:8500"
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})", re.ASCII)
# Of RFC 1123; one of digits and dots only is an IPv4 address, or none.
_NAME = re.compile(r"(?=.{1,253}\.?$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63})*\.?")
# sun_path of unix(7) with the zero at its end.
_MOST_PATH_BYTES = 107
# A name may stand for addresses that this machine does not have, such as localhost for ::1.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class AddressInUseError(Exception):
    """Nothing can listen there; the message says why."""


@dataclass(frozen=True)
class Address:
    """Where to listen: a host and a port, of which 0 is any that is free; or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def at(self, port: int) -> "Address":
        """The same once it is known which port it is."""
        return self if self.path else replace(self, port=port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path or self.host.rstrip(".").lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """See that nobody listens there, and keep others of us from it while the block binds it.

        A unix socket that nobody answers on is what a server left that was killed; it is removed.

        Raises:
            AddressInUseError: somebody does; or it cannot be listened on at all.
        """
        if self.path:
            with _alone_in(Path(self.path).absolute().parent):
                _remove_stale(Path(self.path))
                yield
        else:
            _try_to_bind(self.host, self.port)
            yield

    @contextmanager
    def reserved(self) -> Iterator["Address"]:
        """Keep a port for processes of ours that share it, for as long as the block lasts; yields it with its port.

        Raises:
            AddressInUseError: somebody listens there, or nothing can.
        """
        _try_to_bind(self.host, self.port)
        with ExitStack() as held:
            # Sockets that share a port say nothing of each other, so of two servers that start at once neither would
            # see the other. A name of unix(7) without a path belongs to one, and goes with its process.
            if self.port:
                _bind_one(held, socket.AF_UNIX, f"\0explicate {self}")
            address = self
            for family, where in _found(self.host, self.port):
                bound = _bind_one(held, family, (where[0], address.port, *where[2:]))
                if bound is not None:
                    address = self.at(bound.getsockname()[1])
            yield address


def parse_address(text: str, *, unix: bool = True) -> Address:
    """An address as it is written.

    Raises:
        ValueError: it is none; the message goes on after "it is …".
    """
    form = f"{_FORM}, or unix:PATH" if unix else _FORM
    if text.startswith(_UNIX) and unix:
        return Address(path=_socket_path(text.removeprefix(_UNIX)))
    parts = _HOST_AND_PORT.fullmatch(text)
    if parts is None:
        brackets = "; an IPv6 address goes in brackets" if text.count(":") > 1 else ""
        raise ValueError(f"{form}{brackets}")
    port = int(parts["port"])
    if port >= 1 << 16:
        raise ValueError(f"{form}; ports end at 65535")
    if parts["v6"] is not None:
        return Address(_ipv6(parts["v6"], form), port)
    return Address(_host(parts["host"], form), port)


def _socket_path(path: str) -> str:
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path or path.startswith("//") or "\0" in path:
        raise ValueError("it must be unix:PATH, such as unix:/run/explicate.sock")
    if len(os.fsencode(path)) > _MOST_PATH_BYTES:
        raise ValueError(f"the path of a unix socket has at most {_MOST_PATH_BYTES} bytes")
    return path


def _ipv6(host: str, form: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise ValueError(f"{form}; {host!r} is not an IPv6 address") from None


def _host(host: str, form: str) -> str:
    if not host:
        raise ValueError(f"{form}; for every interface give 0.0.0.0 or [::]")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(f"{form}; {host!r} is not an IPv4 address") from None
    if not _NAME.fullmatch(host):
        raise ValueError(f"{form}; {host!r} is not the name of a host")
    return host


def _try_to_bind(host: str, port: int) -> None:
    """See by the system's own word whether the port is free, on each address of a name."""
    found = _found(host, port)
    refusals = []
    for family, where in found:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(where)
        except OSError as error:
            refusals.append(error)
    others = [error for error in refusals if error.errno not in _NOT_HERE]
    if others or len(refusals) == len(found):
        refusal = (others or refusals)[0]
        hint = "; is another server there?" if refusal.errno == errno.EADDRINUSE else ""
        raise AddressInUseError(f"{os.strerror(refusal.errno or 0)}{hint}")


def _found(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    """What a name stands for: family and address of each."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressInUseError(f"{host!r} is not known: {error.strerror}") from None
    return [(family, where) for family, _, _, _, where in found]


def _bind_one(held: ExitStack, family: socket.AddressFamily, where: Any) -> socket.socket | None:
    """A socket that others of ours may share, and that does not listen; None where the machine has no such address."""
    bound = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
    if family != socket.AF_UNIX:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(where)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return None
        raise AddressInUseError(f"{os.strerror(error.errno or 0)}; is another server there?") from None
    return bound


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, so that of two servers that start at once one sees the other's socket."""
    import fcntl  # Windows does not have it, nor unix sockets in gRPC

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise AddressInUseError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AddressInUseError(f"another server is starting in {folder}") from None
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody answers on."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise AddressInUseError("there is something that is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)
            trial.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        with suppress(FileNotFoundError):
            path.unlink()
        return
    except BlockingIOError:  # its queue is full: somebody listens
        pass
    except OSError as error:
        raise AddressInUseError(error.strerror or str(error)) from None
    raise AddressInUseError("another server answers there")
