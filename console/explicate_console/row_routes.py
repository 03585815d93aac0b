"""The addresses of the Rows page: GET /rows/folders, and POST /rows/{page,summary,swarm,slices,row} with JSON.

Failures are as those of the gateway: {"code", "message"}, with a `google.rpc.BadRequest` for a field that is wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any  # JSON

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from explicate_console.console_settings import ConsoleSettings
from explicate_console.rows.row_errors import RowsRefused, Stop, invalid

if TYPE_CHECKING:
    from explicate_console.rows.row_requests import RowRequests

_LIMIT_S = 60.0
_AT_ONCE, _MOST_WAITING = 2, 16
_BODY_BYTES = 64 * 1024
_LOOKS_EVERY_S = 0.2
_STATUS = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "not_found": 404,
    "aborted": 409,
    "resource_exhausted": 429,
    "canceled": 499,
    "data_loss": 500,
    "internal": 500,
    "unimplemented": 501,
    "deadline_exceeded": 504,
}
_LOGGER = logging.getLogger(__name__)


def routes(settings: ConsoleSettings) -> list[Route]:
    """The routes of a console with these folders."""
    rows = _Rows(settings)
    return [Route("/rows/folders", rows.get), Route("/rows/{what}", rows.post, methods=["POST"])]


class _Rows:
    """Reads in threads of its own, two requests at once, and stops when nobody waits for an answer."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rows")
        self._waiting = 0

        @cache
        def requests() -> RowRequests:
            if not settings.rows:
                raise RowsRefused("failed_precondition", "the console was started without --rows FOLDER")
            try:
                from explicate_console.rows.row_requests import RowRequests
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] != "pyarrow":
                    raise
                why = "the Rows page needs a package that is not installed (pyarrow): pip install 'explicate[batch]'"
                raise RowsRefused("unimplemented", why) from None
            return RowRequests(settings.rows)

        self._requests = requests

    async def get(self, request: Request) -> Response:
        """The folders; none where the console was started without, which is not a failure."""
        if not self._settings.rows:
            return JSONResponse({"folders": []})
        return await self._told(request, "folders", {})

    async def post(self, request: Request) -> Response:
        """Any other request."""
        try:
            asked = await _asked(request)
        except RowsRefused as error:
            return _failure(error)
        return await self._told(request, request.path_params["what"], asked)

    async def _told(self, request: Request, what: str, asked: dict[str, Any]) -> Response:
        try:
            return JSONResponse(await self._read(request, lambda stop: self._requests().answer(what, asked, stop)))
        except RowsRefused as error:
            return _failure(error)
        except Exception:
            _LOGGER.exception("rows: %s", what)
            return _failure(RowsRefused("internal", "reading the rows failed; the console's log says where"))

    async def _read(self, request: Request, work: Callable[[Stop], dict[str, Any]]) -> dict[str, Any]:
        if self._waiting >= _MOST_WAITING:
            raise RowsRefused("resource_exhausted", "too many requests about rows are under way: ask again in a moment")
        stop = Stop(_LIMIT_S)
        self._waiting += 1
        try:
            running = asyncio.wrap_future(self._threads.submit(work, stop))
            while not (await asyncio.wait([running], timeout=_LOOKS_EVERY_S))[0]:
                if await request.is_disconnected():
                    stop.cancel()
            return running.result()
        finally:
            stop.cancel()
            self._waiting -= 1


async def _asked(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise invalid("", "a request about rows is JSON: send content-type: application/json")
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_BYTES:
                raise invalid("", f"a request about rows has at most {_BODY_BYTES:,} bytes")
    except ClientDisconnect:
        raise RowsRefused("canceled", "the request was cut off") from None
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("", "the request is not JSON") from None
    if not isinstance(asked, dict):
        raise invalid("", "the request is not a JSON object")
    return asked


def _failure(error: RowsRefused) -> Response:
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.field:
        violation = {"field": error.field, "description": str(error)}
        told["details"] = [{"type": "google.rpc.BadRequest", "debug": {"fieldViolations": [violation]}}]
    if error.at is not None:
        told["at"] = error.at
    return JSONResponse(told, status_code=_STATUS[error.code])
