"""The console's HTTP application: the gateway, the page, and what the page reads beside the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources

import grpc
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from explicate._wire.channel import channel_credentials, channel_options
from explicate_console.audit_log import log_routes
from explicate_console.console_settings import ConsoleSettings
from explicate_console.gateway.connect import Gateway
from explicate_console.security import Guard
from explicate_console.style import style_sheet

STATIC = resources.files("explicate_console") / "static"


def console_app(settings: ConsoleSettings) -> Starlette:
    """The application for one server."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _channel(settings) as channel:
            app.state.gateway = Gateway(channel)
            yield

    return Starlette(
        routes=[
            Route("/", _page),
            Route("/style.css", _style),
            Mount("/static", StaticFiles(directory=str(STATIC))),
            *log_routes.routes(settings),
            Route("/{service:path}", _call, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, settings=settings)],
        lifespan=lifespan,
    )


async def _page(_request: Request) -> Response:
    return FileResponse(str(STATIC / "index.html"))


async def _style(_request: Request) -> Response:
    return Response(style_sheet(), media_type="text/css")


async def _call(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    return await gateway.answer(request)


def _channel(settings: ConsoleSettings) -> grpc.aio.Channel:
    options = channel_options(settings.server, settings.tls)
    credentials = channel_credentials(settings.tls)
    if credentials is None:
        return grpc.aio.insecure_channel(settings.server, options=options)
    return grpc.aio.secure_channel(settings.server, credentials, options=options)
