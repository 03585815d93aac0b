"""What every answer of the console says to a browser, and what is refused before it reaches a handler.

A page from elsewhere that is open in the same browser can send requests to 127.0.0.1 too. It cannot read the answers
(no CORS header is ever sent); it is refused by where it says it comes from, and by the name it asks for: a name of its
own that it points to this machine (DNS rebinding) is not among ours.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explicate_console.console_settings import ConsoleSettings
from explicate_console.listening import Place

_HEADERS = {
    # 'self' alone: no inline script or style, nothing from elsewhere. Pictures that the page draws are blobs.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_PORTS = {"http": 80, "https": 443}
_METHODS = ("GET", "HEAD", "POST")


class Guard:
    """ASGI middleware: the headers above on every answer, and refusals by method, host and origin."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        self._app = app
        self._hosts = Hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await _refuse(*refusal, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if scope["method"] not in _METHODS:
            return 405, f"{scope['method'][:20]} is not answered here"
        host = headers.get("host", "")
        name = _host_name(host)
        if name is None or not self._hosts.has(name):
            return 421, f"this console is not known by the name {host[:200]!r}; --host NAME makes it so"
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "same-origin")
        own = site in ("same-origin", "none") or _opens_the_page(scope, headers)
        if own and (origin is None or _is_of(origin, host)):
            return None
        return 403, "a page from elsewhere may not ask this console"


class Hosts:
    """The names by which a console may be asked.

    An address needs no list where others may ask: a page can point only a name of its own at this machine.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._others = settings.others
        names = {"localhost", *settings.hosts, Place.of(settings.listen).host}
        if settings.others:
            names |= {socket.gethostname(), socket.getfqdn()}
        self._names = {name.rstrip(".").lower() for name in names}

    def has(self, name: str) -> bool:
        """Whether a name, or an address without brackets, is one."""
        if name in self._names:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback or self._others
        except ValueError:
            return False


def _host_name(host: str) -> str | None:
    """The name in a Host header, without port and brackets; None where it is not one."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host or not parts.hostname:
        return None
    return parts.hostname.rstrip(".").lower()


def _is_of(origin: str, host: str) -> bool:
    """Whether an Origin header names the host and port that were asked; the scheme may be that of a proxy with TLS."""
    scheme = origin.partition(":")[0]
    if scheme not in _PORTS:  # "null" of a page without an origin, too
        return False
    try:
        asked, told = urlsplit(f"{scheme}://{host}"), urlsplit(origin)
        same_port = (asked.port or _PORTS[scheme]) == (told.port or _PORTS[scheme])
    except ValueError:
        return False
    return same_port and asked.hostname == told.hostname


def _opens_the_page(scope: Scope, headers: Headers) -> bool:
    """A link to the page, from wherever: it shows what the browser's own user may see anyway."""
    return scope["method"] == "GET" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"


async def _refuse(status: int, message: str, send: Send) -> None:
    code = "unimplemented" if status == 405 else "permission_denied"
    body = json.dumps({"code": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 405:
        headers.append((b"allow", ", ".join(_METHODS).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
