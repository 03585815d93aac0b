"""What an asynchronous generator makes of inputs, for a program without an event loop, or within one: a notebook's."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from explicate.bulk.many import Inputs

_Input = TypeVar("_Input")
_Item = TypeVar("_Item")


class _NoMore(Exception):
    """The inputs are at their end."""


class _Stopped(Exception):
    """The loop's thread has nothing more to say; its cause is the error, if there was one."""


def in_thread(
    items: Callable[[Inputs[_Input]], AsyncGenerator[_Item]],
    inputs: Inputs[_Input],
    *,
    close: Callable[[], Awaitable[None]],
) -> Generator[_Item]:
    """The items that an asynchronous generator makes of `inputs`.

    The generator runs in a thread of its own; `inputs` are read in this one while an item is waited for, unless they
    are asynchronous. Closing this generator closes the other one, and waits for it. `close` is awaited at the end.
    """
    loop = asyncio.new_event_loop()
    said: queue.SimpleQueue[_Item | asyncio.Future[_Input] | _Stopped] = queue.SimpleQueue()
    iterator, given = _in_two_halves(inputs, said)
    running = loop.create_task(_say_all(items(given), said, close))
    thread = threading.Thread(target=_run, args=(loop, running), name="explicate-many", daemon=True)
    thread.start()
    try:
        while not isinstance(word := said.get(), _Stopped):
            if isinstance(word, asyncio.Future):
                _hand_over(loop, word, iterator)
            else:
                yield word
        if word.__cause__ is not None:
            raise word.__cause__
    finally:
        _tell(loop, running.cancel)
        thread.join()


def _in_two_halves(
    inputs: Inputs[_Input],
    said: queue.SimpleQueue[Any],  # Any: what else is said does not matter here
) -> tuple[Iterator[_Input], AsyncIterable[_Input]]:
    """What is read in the caller's thread, and what the loop sees of it."""
    if isinstance(inputs, AsyncIterable):
        return iter(()), inputs

    async def handed_over() -> AsyncGenerator[_Input]:
        while True:
            wanted: asyncio.Future[_Input] = asyncio.get_running_loop().create_future()
            said.put(wanted)
            try:
                value = await wanted
            except _NoMore:
                return
            yield value

    return iter(inputs), handed_over()


def _hand_over(loop: asyncio.AbstractEventLoop, wanted: asyncio.Future[_Input], iterator: Iterator[_Input]) -> None:
    try:
        value = next(iterator)
    except StopIteration:
        _tell(loop, _end, wanted)
    else:
        _tell(loop, _give, wanted, value)


def _tell(loop: asyncio.AbstractEventLoop, deed: Callable[..., object], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed already: an error has ended it meanwhile, and is said next
        loop.call_soon_threadsafe(deed, *arguments)


def _end(wanted: asyncio.Future[_Input]) -> None:
    if not wanted.done():
        wanted.set_exception(_NoMore)


def _give(wanted: asyncio.Future[_Input], value: _Input) -> None:
    if not wanted.done():
        wanted.set_result(value)


async def _say_all(
    items: AsyncGenerator[_Item],
    said: queue.SimpleQueue[_Item | asyncio.Future[_Input] | _Stopped],
    close: Callable[[], Awaitable[None]],
) -> None:
    last = _Stopped()
    try:
        try:
            async with aclosing(items):
                async for item in items:
                    said.put(item)
        finally:
            await close()
    except BaseException as error:
        last.__cause__ = error
    said.put(last)


def _run(loop: asyncio.AbstractEventLoop, running: asyncio.Task[None]) -> None:
    try:
        loop.run_until_complete(running)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
