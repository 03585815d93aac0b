"""What the page Audit asks the console for: records of the log, one of them, and a replay.

No request names a file: there is one, given with `--audit` when the console was started.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any  # JSON

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from explicate.errors import (
    DeadlineExceeded,
    ExplicateError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    UsageError,
)
from explicate_console.audit_log import log_access, log_replay
from explicate_console.audit_log.log_file import LogFile, LogUnreadableError
from explicate_console.audit_log.log_replay import RecordUnfitError
from explicate_console.audit_log.log_search import Bounds, Found, Wanted, read_line, search, summary, written
from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway.bodies import read_object
from explicate_console.gateway.failures import Failure
from explicate_console.waiting import waited_for

_MOST_RECORDS = 200
# Searches at once: each reads at the speed of the disk.
_AT_ONCE = 2
_CALL_STATUS: Mapping[type[ExplicateError], int] = {
    Unauthenticated: 401,
    PermissionDenied: 403,
    Overloaded: 429,
    Unavailable: 503,
    DeadlineExceeded: 504,
}
_Ask = Callable[[Request, Path], Awaitable[Any]]


def routes(settings: ConsoleSettings) -> list[Route]:
    """The routes under /audit/."""
    pages = _AuditPages(settings)
    return [
        Route("/audit/records", pages.answered(pages.records), methods=["GET"]),
        Route("/audit/record", pages.answered(pages.record), methods=["GET"]),
        Route("/audit/replay", pages.answered(pages.replay), methods=["POST"]),
    ]


class _RefusedError(Exception):
    """A request that cannot be answered as it is."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class _AuditPages:
    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def answered(self, ask: _Ask) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a route: access first, and every failure a sentence."""

        async def handler(request: Request) -> Response:
            try:
                return _json(await ask(request, await self._allowed(request)))
            except ClientDisconnect:
                return Response(status_code=499)  # to nobody
            except _RefusedError as error:
                return _json({"reason": error.reason, "message": str(error)}, error.status)
            except LogUnreadableError as error:
                return _json({"reason": "unreadable", "message": str(error)}, 409)
            except RecordUnfitError as error:
                return _json({"reason": "unfit", "message": str(error)}, 422)
            except Failure as failure:
                return _json({"reason": "bad_request", "message": failure.document["message"]}, failure.status)
            except UsageError as error:
                return _json({"reason": "bad_request", "message": str(error)}, 400)
            except ExplicateError as error:
                return _json({"reason": "call_failed", "message": str(error)}, _CALL_STATUS.get(type(error), 502))

        return handler

    async def _allowed(self, request: Request) -> Path:
        """The log, for a browser that may read it."""
        if self._settings.audit is None:
            # A page asks for it to learn whether there is one: no failure, of which browsers would complain.
            raise _RefusedError(200, "no_log", "This console was started without --audit.")
        refused = await log_access.refusal(self._settings, _token(request))
        if refused is not None:
            raise _RefusedError(refused.status, refused.reason, refused.message)
        return self._settings.audit

    async def records(self, request: Request, path: Path) -> Any:
        """Records that fit, the newest first, from the end of the log or from where an earlier answer ended."""
        asked = request.query_params
        wanted = _wanted(asked)
        before = _number(asked, "before")
        size = min(_number(asked, "size") or 50, _MOST_RECORDS)
        gone = threading.Event()

        def look() -> Found:
            with LogFile(path) as log:
                if before is not None:
                    log.check(asked.get("log", ""), before)
                return search(log, wanted, before=before, bounds=Bounds(records=size, stop=gone.is_set))

        async with self._turns:
            try:
                return asdict(await waited_for(request, asyncio.to_thread(look), gone.set))
            finally:
                gone.set()

    async def record(self, request: Request, path: Path) -> Any:
        """One record in full, and whether it can be asked for again."""
        at, text = await asyncio.to_thread(_read, path, request.query_params)
        fields = read_line(text)
        if fields is None:
            raise RecordUnfitError("This line of the audit log cannot be read: it was cut off, or changed.")
        told = {
            "summary": summary(at, len(text), fields),
            "fields": fields,
            "changed": False,
            "wanted": {},
            "unfit": "",
        }
        try:
            line = log_replay.line_of(text, fields)
        except RecordUnfitError as error:
            return told | {"unfit": str(error)}
        return told | {"changed": line.was_changed, "wanted": log_replay.wanted(line)}

    async def replay(self, request: Request, path: Path) -> Any:
        """The explanation of a record asked for again, and compared."""
        document = await read_object(request, self._settings.max_body_bytes)
        _, text = await asyncio.to_thread(_read, path, document)
        line = log_replay.line_of(text, read_line(text) or {})
        given = log_replay.given_of(document)
        asked = asyncio.ensure_future(log_replay.replay(self._settings, line, given, token=_token(request)))
        return await waited_for(request, asked, asked.cancel)


def _read(path: Path, asked: Mapping[str, Any]) -> tuple[int, bytes]:
    at = _number(asked, "at")
    if at is None:
        raise _RefusedError(400, "bad_request", "at, the place of the record in the log, is missing")
    with LogFile(path) as log:
        log.check(str(asked.get("log", "")), at)
        return at, log.line_at(at)


def _wanted(asked: Mapping[str, str]) -> Wanted:
    times = {name: written(asked[name]) for name in ("since", "until") if asked.get(name)}
    for name, told in times.items():
        if not told:
            raise _RefusedError(400, "bad_request", f"{name} must be a time such as 2026-11-27T11:35:19Z")
    texts = {name: asked.get(name, "").strip() for name in ("request_id", "model", "caller", "method")}
    return Wanted(version=_number(asked, "version"), **texts, **times)


def _number(asked: Mapping[str, Any], name: str) -> int | None:
    told = str(asked.get(name, ""))
    if told and not (told.isascii() and told.isdecimal() and len(told) <= 16):
        raise _RefusedError(400, "bad_request", f"{name} must be a whole number")
    return int(told) if told else None


def _token(request: Request) -> str | None:
    """The browser's token; None where it sends none. Another scheme is no token that a server knows."""
    told = request.headers.get("authorization")
    return None if told is None else told.removeprefix("Bearer ").strip()


def _json(document: Any, status: int = 200) -> Response:
    """JSON in ASCII: a log may hold halves of surrogate pairs, which UTF-8 cannot."""
    try:
        body = json.dumps(document, allow_nan=False)
    except ValueError:  # such as 1e999, which JSON may say and no number is
        return _json({"reason": "unfit", "message": "This line holds a number that no browser can read."}, 422)
    return Response(body, status, media_type="application/json")
