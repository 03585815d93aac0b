"""What the console refuses before a handler sees it, and what every answer says to a browser."""

import asyncio
from typing import Any

import pytest

from explicate_console.console_settings import ConsoleSettings
from explicate_console.security import Guard

HERE = "127.0.0.1:8600"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"let in"})


def status(
    *, method: str = "POST", path: str = "/a.B/C", settings: ConsoleSettings | None = None, **headers: str
) -> tuple[int, dict[str, str]]:
    """What a request gets; header names with _ for -."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    guard = Guard(_app, settings or ConsoleSettings(server=""))
    asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize("host", [HERE, "localhost", "LOCALHOST.:8600", "127.0.0.1", "127.8.9.1:1", "[::1]:8600"])
def test_the_names_of_this_machine_are_let_in(host: str) -> None:
    assert status(host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.7:8600", "",
     "[::2]", "[::1", "a b", "localhost:99999", "user@localhost", "localhost/x", "0x7f.1", "0.0.0.0"],
)  # fmt: skip
def test_any_other_name_is_refused_so_that_a_page_cannot_point_its_own_name_here(host: str) -> None:
    assert status(host=host)[0] == 421


def test_a_name_that_is_given_is_let_in() -> None:
    settings = ConsoleSettings(server="", hosts=("Console.Example.",))
    assert status(host="console.example:443", settings=settings)[0] == 200
    assert status(host="other.example", settings=settings)[0] == 421


def test_where_others_may_ask_an_address_needs_no_list_and_a_name_does() -> None:
    settings = ConsoleSettings(server="", listen="0.0.0.0:8600", others=True)
    assert status(host="192.168.1.7:8600", settings=settings)[0] == 200
    assert status(host="[2001:db8::7]:8600", settings=settings)[0] == 200
    assert status(host="evil.example", settings=settings)[0] == 421


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://localhost:8600", "http://127.0.0.1:8601", "http://127.0.0.1", "x",
               "file://127.0.0.1:8600", "http://[::1", "http://127.0.0.1:8600.evil.example", ""]
)  # fmt: skip
def test_a_request_of_a_page_from_elsewhere_is_refused(origin: str) -> None:
    assert status(origin=origin)[0] == 403
    assert status(origin=origin, method="GET", path="/rows/scored")[0] == 403


def test_the_page_itself_is_let_in_also_behind_a_proxy_with_tls() -> None:
    assert status(origin=f"http://{HERE}", sec_fetch_site="same-origin")[0] == 200
    behind = ConsoleSettings(server="", hosts=("console.example",))
    assert status(host="console.example", origin="https://console.example", settings=behind)[0] == 200
    assert status(host="console.example:443", origin="https://console.example", settings=behind)[0] == 200


def test_what_is_not_a_browser_says_no_origin_and_is_let_in() -> None:
    assert status()[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "other"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/a.B/C"), ("GET", "/audit/records"), ("GET", "/static/app.js")])
def test_a_fetch_of_another_site_is_refused_even_without_an_origin(site: str, method: str, path: str) -> None:
    assert status(method=method, path=path, sec_fetch_site=site)[0] == 403


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert status(method="GET", path="/", **link)[0] == 200
    assert status(method="GET", path="/audit/records", **link)[0] == 403
    assert status(method="POST", path="/", **link)[0] == 403


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "X" * 5000])
def test_other_methods_are_refused_a_preflight_too(method: str) -> None:
    code, headers = status(method=method)
    assert (code, headers["allow"]) == (405, "GET, HEAD, POST")
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", [HERE, "evil.example"])
def test_every_answer_forbids_what_is_not_the_page_itself(host: str) -> None:
    _, headers = status(host=host)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "set-cookie" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]
