"""What a console is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explicate._wire.channel import DEFAULT_TIMEOUT_S, Tls


@dataclass(frozen=True)
class ConsoleSettings:
    """One console.

    server: the gRPC target that all calls go to. timeout_s: of a call that does not say how long it waits.
    allow_plain_token: send browsers' tokens unencrypted to a server on another machine.
    listen: host:port of the page; port 0 takes a free one. others: other machines may reach it. cert, key: PEM files
    with which the page is served encrypted.
    hosts: names, beside those of this machine, by which browsers may ask for the page (the Host header).
    rows: folders of `explicate score` that the Rows page shows, by name. audit: the server's audit log, for the Audit
    page. max_body_bytes: the largest request, of which base64 takes a quarter where it is JSON. max_calls: calls to the
    server at once.
    """

    server: str
    tls: Tls | bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    allow_plain_token: bool = False
    listen: str = "127.0.0.1:8600"
    others: bool = False
    cert: Path | None = None
    key: Path | None = None
    hosts: tuple[str, ...] = ()
    rows: tuple[Path, ...] = ()
    audit: Path | None = None
    max_body_bytes: int = 24 * 1024 * 1024
    max_calls: int = 64
