"""What a console is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explicate._wire.channel import Tls


@dataclass(frozen=True)
class ConsoleSettings:
    """One console.

    server: the gRPC target that all calls go to. listen: host:port of the page; port 0 takes a free one.
    hosts: names, beside those of this machine, by which browsers may ask for the page (the Host header).
    rows: folders of `explicate score` that the Rows page shows, by name. audit: the server's audit log, for the Audit
    page. max_body_bytes: the largest request, of which base64 takes a quarter where it is JSON.
    """

    server: str
    tls: Tls | bool = False
    listen: str = "127.0.0.1:8600"
    hosts: tuple[str, ...] = ()
    rows: tuple[Path, ...] = ()
    audit: Path | None = None
    max_body_bytes: int = 24 * 1024 * 1024
