"""The console's HTTP application: the gateway, the page, and what the page reads beside the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib import resources

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from explicate.sentences.glossary import glossary
from explicate.views.look.sheets import style_sheet
from explicate_console.audit_log import log_routes
from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway.connect import Gateway, open_channel
from explicate_console.row_routes import routes as row_routes
from explicate_console.security import Guard

STATIC = resources.files("explicate_console") / "static"
# Of what holds no secret and nothing that anybody asked for alone: there compression tells nothing of either (BREACH).
_COMPRESSED = [Middleware(GZipMiddleware)]


def console_app(settings: ConsoleSettings) -> Starlette:
    """The application for one server."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Gateway]]:
        async with open_channel(settings) as channel:
            yield {"gateway": Gateway(channel, settings)}

    return Starlette(
        routes=[
            Route("/", _page),
            Route("/style.css", _style, middleware=_COMPRESSED),
            Route("/words.json", _words, middleware=_COMPRESSED),
            Mount("/static", StaticFiles(directory=str(STATIC)), middleware=_COMPRESSED),
            Route("/healthz", _alive),
            *row_routes(settings),
            *log_routes.routes(settings),
            Route("/{service}/{method}", _Call()),
        ],
        middleware=[Middleware(Guard, settings=settings)],
        lifespan=lifespan,
    )


async def _page(_request: Request) -> Response:
    return FileResponse(str(STATIC / "index.html"))


async def _style(_request: Request) -> Response:
    return Response(style_sheet(), media_type="text/css")


async def _alive(_request: Request) -> Response:
    """Of the console itself; of the server, grpc.health.v1.Health/Check through the gateway tells."""
    return PlainTextResponse("ok\n")


async def _words(request: Request) -> Response:
    """The glossary by group and name, each a title and what it says.

    `?lang=de` for another language, `?group=method` for one group.
    """
    groups = glossary(request.query_params.get("lang", "en"))
    wanted = request.query_params.getlist("group") or groups
    return JSONResponse(
        {g: {name: asdict(term) for name, term in terms.items()} for g, terms in groups.items() if g in wanted}
    )


class _Call:
    """Hands a call to the gateway of this start."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["state"]["gateway"](scope, receive, send)
