"""Work for a browser that may not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

_LOOKS_EVERY_S = 0.2
_Answer = TypeVar("_Answer")


async def waited_for(request: Request, work: Awaitable[_Answer], stop: Callable[[], object]) -> _Answer:
    """What the work comes to; `stop` tells it to end when the browser does not wait any more.

    Raises ClientDisconnect for work that was cancelled.
    """
    working = asyncio.ensure_future(work)
    while not (await asyncio.wait({working}, timeout=_LOOKS_EVERY_S))[0]:
        if await request.is_disconnected():
            stop()
    if working.cancelled():
        raise ClientDisconnect
    return await working
