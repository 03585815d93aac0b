"""Many inputs, each with its own call, as many in flight as the servers take: the core of whatever asks in bulk.

It gives each input's `Outcome`, and does not know what a call is.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from explicate.bulk.in_flight import Place, Turns
from explicate.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidArgument,
    MessageTooLarge,
    Overloaded,
    ServerError,
)

_Input = TypeVar("_Input")
_Answer = TypeVar("_Answer")

# Inputs that are read and whose outcomes are not taken yet, for each call that may be in flight: one slow call at the
# head must not stop the others at once, and an endless iterator must not fill the memory.
_HELD_PER_CALL = 2


@dataclass(frozen=True)
class Outcome(Generic[_Input, _Answer]):
    """What became of one input: its place among the inputs, from 0, and its answer or the error of its call."""

    index: int
    input: _Input
    answer: _Answer | ServerError

    @property
    def error(self) -> ServerError | None:
        """Why there is no result; None if there is one."""
        return self.answer if isinstance(self.answer, ServerError) else None

    @property
    def result(self) -> _Answer:
        """The answer; raises the error of the call where there is none."""
        if isinstance(self.answer, ServerError):
            raise self.answer
        return self.answer


Inputs: TypeAlias = Iterable[_Input] | AsyncIterable[_Input]


def is_about_the_input(error: ServerError) -> bool:
    """Whether another input may fare better; a wrong option, model or right, by contrast, is wrong for all."""
    if isinstance(error, InvalidArgument):
        return bool(error.violations) and all(path.startswith("input") for path, _ in error.violations)
    return isinstance(error, MessageTooLarge | Overloaded | DeadlineExceeded | InternalError)


async def ask_many(
    inputs: Inputs[_Input],
    ask: Callable[[_Input], Awaitable[_Answer]],
    turns: Turns,
    *,
    ordered: bool = True,
    costs_one: Callable[[ServerError], bool] = is_about_the_input,
) -> AsyncGenerator[Outcome[_Input, _Answer]]:
    """Ask for each input, and give their outcomes in the inputs' order, or as they are done.

    ask: one call; it raises a ServerError. What says that no server has room, or that none can be reached, is asked
        again in its turn; that a call ran out of time, or its server failed, once more.
    costs_one: whether another error is one input's outcome; else it ends all, and so does what `inputs` raises.

    Closing the generator cancels the calls under way. Inputs are read as there is room for their calls.
    """
    asking = _Asking(ask, turns, costs_one)
    running = asyncio.create_task(asking.run(inputs))
    try:
        async for outcome in _in_order(asking.outcomes()) if ordered else asking.outcomes():
            yield outcome
            asking.forget_one()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class _Asking(Generic[_Input, _Answer]):
    """The calls of one run."""

    def __init__(
        self,
        ask: Callable[[_Input], Awaitable[_Answer]],
        turns: Turns,
        costs_one: Callable[[ServerError], bool],
    ) -> None:
        self._ask = ask
        self._turns = turns
        self._costs_one = costs_one
        self._held = 0
        self._forgotten = asyncio.Event()
        self._done: asyncio.Queue[Outcome[_Input, _Answer] | None] = asyncio.Queue()

    async def outcomes(self) -> AsyncIterator[Outcome[_Input, _Answer]]:
        """The outcomes as they are done, until `run` ends, in whatever way."""
        while (outcome := await self._done.get()) is not None:
            yield outcome

    def forget_one(self) -> None:
        """An outcome is taken: there is room for another input."""
        self._held -= 1
        self._forgotten.set()

    async def run(self, inputs: Inputs[_Input]) -> None:
        """Ask for all; raises what ends them all."""
        try:
            async with asyncio.TaskGroup() as calls, aclosing(_asynchronous(inputs)) as values:
                index = 0
                async for value in values:
                    self._held += 1
                    place = await self._turns.take(index)
                    calls.create_task(self._answer(index, value, place))
                    index += 1
                    await self._room()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._done.put_nowait(None)

    async def _room(self) -> None:
        while self._held >= _HELD_PER_CALL * self._turns.window.size:
            self._forgotten.clear()
            await self._forgotten.wait()

    async def _answer(self, index: int, value: _Input, place: Place) -> None:
        has_failed = False
        while (answer := await self._attempt(value, place)) is None or (_is_worth_another(answer) and not has_failed):
            has_failed = has_failed or answer is not None
            place = await self._turns.take(index)
        self._done.put_nowait(Outcome(index, value, answer))

    async def _attempt(self, value: _Input, place: Place) -> _Answer | ServerError | None:
        """The answer, or the error that costs this input alone; None where no server had room for it, or was there."""
        try:
            answer = await self._ask(value)
        except ServerError as error:
            if self._turns.end(place, error):
                return None
            if not self._costs_one(error):
                raise
            return error
        except BaseException:
            self._turns.leave()
            raise
        self._turns.end(place)
        return answer


def _is_worth_another(answer: object) -> bool:
    """Whether it may have been the moment's fault, or one server's of several."""
    return isinstance(answer, DeadlineExceeded | InternalError | Overloaded)


async def _asynchronous(inputs: Inputs[_Input]) -> AsyncGenerator[_Input]:
    if isinstance(inputs, AsyncIterable):
        async for value in inputs:
            yield value
    else:
        for value in inputs:
            yield value


async def _in_order(
    outcomes: AsyncIterator[Outcome[_Input, _Answer]],
) -> AsyncIterator[Outcome[_Input, _Answer]]:
    early: dict[int, Outcome[_Input, _Answer]] = {}
    following = 0
    async for outcome in outcomes:
        early[outcome.index] = outcome
        while following in early:
            yield early.pop(following)
            following += 1
