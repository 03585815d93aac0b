"""Requests about rows as they come over HTTP: what is taken, what is refused, and how that is said."""

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from explicate_console import row_routes, waiting
from explicate_console.console_settings import ConsoleSettings
from support.scored_folders import FolderPlan, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("rows") / "scored", FolderPlan(rows=200, part_rows=100))


def application(*folders: Path) -> Starlette:
    return Starlette(routes=row_routes.routes(ConsoleSettings(server="", rows=folders)))


async def answered(
    app: Starlette, path: str, body: bytes | None, media: str = "application/json", gone: asyncio.Event | None = None
) -> tuple[int, Any]:
    """The status and JSON of a request; `gone` is when the one who asks goes away."""
    sent: list[Any] = []
    told = iter([{"type": "http.request", "body": body or b"", "more_body": False}])

    async def receive() -> Any:
        for message in told:
            return message
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET" if body is None else "POST", "path": path, "query_string": b""}
    await app({**scope, "headers": [(b"content-type", media.encode())]}, receive, send)
    return sent[0]["status"], json.loads(b"".join(each.get("body", b"") for each in sent[1:]))


def ask(app: Starlette, path: str, asked: Any = None, **how: Any) -> tuple[int, Any]:
    body = None if asked is None else asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    return asyncio.run(answered(app, path, body, **how))


def test_folders_and_a_page_are_answered(folder: Path) -> None:
    app = application(folder)
    status, told = ask(app, "/rows/folders")
    assert (status, told["folders"][0]["rows"]) == (200, 200)
    status, told = ask(app, "/rows/page", {"folder": "scored", "count": 3})
    assert (status, told["total"], len(told["rows"])) == (200, 200, 3)


def test_a_wrong_filter_is_a_violation_with_its_place(folder: Path) -> None:
    status, told = ask(application(folder), "/rows/page", {"folder": "scored", "filter": "age >"})
    assert (status, told["code"], told["at"]) == (400, "invalid_argument", 5)
    assert told["details"][0]["debug"]["fieldViolations"][0]["field"] == "filter"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 60_000, b'{"folder": "' + b"x" * 70_000 + b'"}']
)
def test_what_is_not_a_small_json_object_is_refused(folder: Path, body: bytes) -> None:
    status, told = ask(application(folder), "/rows/page", body)
    assert (status, told["code"]) == (400, "invalid_argument")


def test_a_form_of_another_page_cannot_ask(folder: Path) -> None:
    status, told = ask(application(folder), "/rows/page", {"folder": "scored"}, media="text/plain")
    assert (status, told["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("what", ["nothing", "__init__", "%2e%2e"])
def test_an_unknown_request_is_not_found(folder: Path, what: str) -> None:
    assert ask(application(folder), f"/rows/{what}", {"folder": "scored"})[0] == 404


def test_a_console_without_folders_has_none_to_show_and_says_how_to_start_one_with_some() -> None:
    assert ask(application(), "/rows/folders") == (200, {"folders": []})
    status, told = ask(application(), "/rows/page", {"folder": "scored"})
    assert (status, told["message"]) == (400, "the console was started without --rows FOLDER")


def test_a_missing_pyarrow_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("explicate_console.rows.row_") and "pages" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "explicate_console.rows.row_requests", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    status, told = ask(application(folder), "/rows/folders")
    assert (status, told["code"]) == (501, "unimplemented")
    assert "pip install 'explicate[batch]'" in told["message"]


def test_reading_ends_when_the_browser_goes_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_LOOKS_EVERY_S", 0.01)
    app, begun = application(folder), threading.Event()

    def endless(_requests: Any, _what: str, _asked: Any, stop: Any) -> Any:
        begun.set()
        while True:
            stop.check()

    monkeypatch.setattr("explicate_console.rows.row_requests.RowRequests.answer", endless)

    async def leave() -> tuple[int, Any]:
        gone = asyncio.Event()
        running = asyncio.create_task(answered(app, "/rows/page", b"{}", gone=gone))
        await asyncio.to_thread(begun.wait)
        gone.set()
        return await running

    assert asyncio.run(leave())[1]["code"] == "canceled"


def test_too_many_requests_at_once_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_routes, "_MOST_WAITING", 2)
    app, enough = application(folder), threading.Event()
    monkeypatch.setattr(
        "explicate_console.rows.row_requests.RowRequests.answer", lambda *_: (enough.wait(60) and {}) or {}
    )

    async def crowd() -> list[tuple[int, Any]]:
        waiting = [asyncio.create_task(answered(app, "/rows/page", b"{}")) for _ in range(3)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        enough.set()
        assert len(done) == 1
        return [await each for each in waiting]

    assert sorted(status for status, _ in asyncio.run(crowd())) == [200, 200, 429]
