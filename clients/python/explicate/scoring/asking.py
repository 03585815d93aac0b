"""Asks the server about the rows of a batch, so that a row it refuses fails alone.

What is in a call is a matter of the rows only, never of time, of other calls or of earlier failures: the same rows are
asked about in the same calls whenever they are asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from explicate.async_client import AsyncClient
from explicate.bulk.in_flight import Turns
from explicate.errors import (
    DeadlineExceeded,
    ExplicateError,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    MessageTooLarge,
    Overloaded,
    ServerError,
)
from explicate.scoring.interfaces import Condition, Refusal, RowBatch
from explicate.scoring.row_answers import RowAnswer
from explicate.scoring.row_calls import (
    Question,
    RowCall,
    RowCalls,
    another_bundle,
    explain_calls,
    is_about_rows,
    predict_calls,
    version_gone,
)

_Answer = TypeVar("_Answer")
Outcomes = dict[int, RowAnswer | Refusal]
"""By the place of the row in its batch."""

# Of one call that ends in an error of the server or without an answer in time, before its rows fail.
_ATTEMPTS = 3
_OF_ROWS = (InvalidArgument, MessageTooLarge, InternalError, DeadlineExceeded, Overloaded)
_VERSION_GONE = frozenset({"MODEL_NOT_FOUND", "VERSION_NOT_FOUND", "MODEL_NOT_LOADED"})


class Asker:
    """Asks about batches of rows, within a window of calls that all batches share."""

    def __init__(self, client: AsyncClient, turns: Turns, question: Question) -> None:
        self._client, self._turns, self._question = client, turns, question
        self._table_rows = question.table_rows

    async def outcomes(self, batch: RowBatch, places: Sequence[int]) -> Outcomes:
        """The answer or the refusal of each row in `places` of the batch.

        Raises the server's error if it is not about a row: the run cannot go on.
        """
        known: Outcomes = {place: batch.refused[place] for place in places if place in batch.refused}
        asked = [place for place in places if place not in known]
        if self._question.explain is None:
            return {**known, **await self._predicted(batch, asked)}
        if self._question.condition is None:
            return {**known, **await self.explained(batch, asked)}
        known |= await self._predicted(batch, asked)
        return {**known, **await self._explained_where_it_holds(batch, known, self._question.condition)}

    async def _explained_where_it_holds(self, batch: RowBatch, predicted: Outcomes, condition: Condition) -> Outcomes:
        """The explanations of the rows for which the condition holds, with the predictions that it asked about."""
        answers = [answer if isinstance(answer := predicted.get(i), RowAnswer) else None for i in range(len(batch))]
        holds = condition(self._question.columns.predicted(batch.kept, answers))
        chosen = [place for place, answer in enumerate(answers) if answer is not None and holds[place]]
        explained = await self.explained(batch, chosen)
        for place, outcome in explained.items():
            before = answers[place]
            if isinstance(outcome, RowAnswer) and before is not None:
                explained[place] = replace(before, explanation=outcome.explanation)
        return explained

    async def _predicted(self, batch: RowBatch, places: Sequence[int]) -> Outcomes:
        return await self._all(batch, predict_calls(batch.inputs, places, self._question.call_rows))

    async def explained(self, batch: RowBatch, places: Sequence[int]) -> Outcomes:
        """The answer with its explanation, or the refusal, of each row in `places`."""
        if self._table_rows:
            try:
                return await self._all(batch, explain_calls(batch.inputs, places, self._table_rows))
            except (InvalidArgument, FailedPrecondition) as error:
                if error.reason in _VERSION_GONE:
                    raise
                self._table_rows = 0  # such as a method that does not explain tables as a whole, or a client too new
        return await self._all(batch, explain_calls(batch.inputs, places, 0))

    async def _all(self, batch: RowBatch, calls: RowCalls) -> Outcomes:
        """What becomes of the rows of all calls."""
        outcomes: Outcomes = {}
        tasks = []
        try:
            async with asyncio.TaskGroup() as group:
                for call in calls:
                    if isinstance(call, RowCall):
                        tasks.append(group.create_task(self._rows(batch.start + call.places[0], call)))
                    else:
                        outcomes |= call
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for task in tasks:
            outcomes |= task.result()
        return outcomes

    async def _rows(self, order: int, first: RowCall) -> Outcomes:
        """The rows of a call, without those that are refused, and in halves where nobody says which they are."""
        outcomes: Outcomes = {}
        waiting = [first]
        while waiting:
            call = waiting.pop()
            try:
                answers = await self._persistently(partial(self._ask, call), order, len(call.places))
            except ExplicateError as error:
                if isinstance(error, ServerError) and not (isinstance(error, _OF_ROWS) and is_about_rows(error)):
                    raise
                refused = call.refused(error)
                outcomes |= {call.places[index]: why for index, why in refused.items()}
                left = [index for index in range(len(call.places)) if index not in refused]
                half = len(left) if refused else len(left) // 2
                waiting += [call.part(some) for some in (left[half:], left[:half]) if some]
            else:
                outcomes |= dict(zip(call.places, answers, strict=True))
        return outcomes

    async def _ask(self, call: RowCall) -> list[RowAnswer]:
        question = self._question
        # Not one of the public methods, which would wait for a server that is away without the window knowing.
        result = await self._client._ask(call.call(question), question.timeout_s, waits=False)
        answers = call.answers(result, question)
        if answers and answers[0].model.bundle_digest != question.model.bundle_digest:
            raise another_bundle(question.model, answers[0].model.bundle_digest)
        return answers

    async def _persistently(self, send: Callable[[], Awaitable[_Answer]], order: int, rows: int) -> _Answer:
        """The answer of a call; what may be an accident is tried again."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await in_turn(self._turns, send, order, rows)
            except (InternalError, DeadlineExceeded):
                if attempt == _ATTEMPTS:
                    raise
            except ServerError as error:
                if error.reason in _VERSION_GONE:
                    raise version_gone(self._question.model, error) from error
                raise
        raise AssertionError("the last attempt returns or raises")


async def in_turn(turns: Turns, send: Callable[[], Awaitable[_Answer]], order: int, rows: int) -> _Answer:
    """The answer of a call in its turn, and again while the server is overloaded or away."""
    while True:
        place = await turns.take(order, rows)
        try:
            answer = await send()
        except ServerError as failure:
            if not turns.end(place, failure):
                raise
        except BaseException:
            turns.leave()
            raise
        else:
            turns.end(place)
            return answer
