"""The addresses of the Rows page: GET /rows/folders, and POST /rows/{page,summary,swarm,slices,row} with JSON.

Failures are as those of the gateway: {"code", "message"}, with a `google.rpc.BadRequest` for a field that is wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any  # JSON

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway.bodies import read_object
from explicate_console.gateway.failures import STATUS_OF, Failure
from explicate_console.rows.row_errors import RowsRefused, Stop, invalid
from explicate_console.waiting import waited_for

if TYPE_CHECKING:
    from explicate_console.rows.row_requests import RowRequests

_LIMIT_S = 60.0
_AT_ONCE, _MOST_WAITING = 2, 16
_BODY_BYTES = 64 * 1024
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
            asked = await read_object(request, _BODY_BYTES)
        except Failure as failure:
            return _failure(invalid("", str(failure)))
        except ClientDisconnect:
            return _failure(RowsRefused("canceled", "the request was cut off"))
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
            return await waited_for(request, asyncio.wrap_future(self._threads.submit(work, stop)), stop.cancel)
        finally:
            stop.cancel()
            self._waiting -= 1


def _failure(error: RowsRefused) -> Response:
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.field:
        violation = {"field": error.field, "description": str(error)}
        told["details"] = [{"type": "google.rpc.BadRequest", "debug": {"fieldViolations": [violation]}}]
    if error.at is not None:
        told["at"] = error.at
    return JSONResponse(told, status_code=STATUS_OF[error.code])
