"""Asks the server about the rows of a batch, so that a row it refuses fails alone.

What is in a call is a matter of the rows only, never of time, of other calls or of earlier failures: the same rows are
asked about in the same calls whenever they are asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from explicate.async_client import AsyncClient
from explicate.bulk.in_flight import Turns
from explicate.errors import (
    DeadlineExceeded,
    ErrorDetails,
    ExplicateError,
    InternalError,
    InvalidArgument,
    MessageTooLarge,
    Overloaded,
    ServerError,
)
from explicate.options import ExplainOptions, Priority
from explicate.results import ModelVersion
from explicate.scoring.interfaces import Condition, Refusal, RowBatch
from explicate.scoring.output_columns import OutputColumns
from explicate.scoring.row_answers import RowAnswer, row_explanation, scores_of
from explicate.scoring.row_calls import RowCall, another_bundle, calls_of, is_about_rows, refusal, version_gone
from explicate.scoring.run_manifest import PinnedModel

_Answer = TypeVar("_Answer")
Outcomes = dict[int, RowAnswer | Refusal]
"""By the place of the row in its batch."""

# Of one call that ends in an error of the server or without an answer in time, before its rows fail.
_ATTEMPTS = 3
_OF_ROWS = (InvalidArgument, MessageTooLarge, InternalError, DeadlineExceeded, Overloaded)
_VERSION_GONE = frozenset({"MODEL_NOT_FOUND", "VERSION_NOT_FOUND", "MODEL_NOT_LOADED"})


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about every row: which version, and which explanation, None for predictions alone.

    condition: explains the rows for which it holds, None for all. columns: for the condition, which asks about them.
    """

    model: PinnedModel
    explain: ExplainOptions | None
    condition: Condition | None
    columns: OutputColumns
    priority: Priority
    call_rows: int
    timeout_s: float


class Asker:
    """Asks about batches of rows, within a window of calls that all batches share."""

    def __init__(self, client: AsyncClient, turns: Turns, question: Question) -> None:
        self._client, self._turns, self._question = client, turns, question

    async def outcomes(self, batch: RowBatch, places: Sequence[int]) -> Outcomes:
        """The answer or the refusal of each row in `places` of the batch.

        Raises the server's error if it is not about a row: the run cannot go on.
        """
        question = self._question
        known: Outcomes = {place: batch.refused[place] for place in places if place in batch.refused}
        asked = [place for place in places if place not in known]
        if question.explain is None:
            return {**known, **await self._predicted(batch, asked)}
        if question.condition is None:
            return {**known, **await self.explained(batch, asked)}
        known |= await self._predicted(batch, asked)
        return {**known, **await self._explained_where_it_holds(batch, known, question.condition)}

    async def _explained_where_it_holds(self, batch: RowBatch, predicted: Outcomes, condition: Condition) -> Outcomes:
        """The explanations of the rows for which the condition holds, with the predictions that it asked about."""
        answers = [answer if isinstance(answer := predicted.get(i), RowAnswer) else None for i in range(len(batch))]
        holds = condition(self._question.columns.predicted(batch.kept, answers))
        chosen = [place for place, answer in enumerate(answers) if answer is not None and holds[place]]
        explained = await self.explained(batch, chosen)
        for place, outcome in explained.items():
            before = answers[place]
            if isinstance(outcome, RowAnswer) and before is not None:
                explained[place] = RowAnswer(before.scores, before.model, outcome.explanation)
        return explained

    async def _predicted(self, batch: RowBatch, places: Sequence[int]) -> Outcomes:
        outcomes: Outcomes = {}
        tasks = []
        async with asyncio.TaskGroup() as group:
            for call in calls_of(batch.inputs, places, self._question.call_rows):
                if isinstance(call, RowCall):
                    tasks.append(group.create_task(self._predicted_call(batch.start, call)))
                else:
                    outcomes |= call
        for task in tasks:
            outcomes |= task.result()
        return outcomes

    async def _predicted_call(self, start: int, first: RowCall) -> Outcomes:
        """Predict the rows of a call, without those that are refused, in halves where nobody says which they are."""
        outcomes: Outcomes = {}
        waiting = [first]
        while waiting:
            call = waiting.pop()
            try:
                answers = await self._persistently(partial(self._predict, call), start, len(call.places))
            except _OF_ROWS as error:
                if not is_about_rows(error):
                    raise
                refused = call.refused(error)
                outcomes |= {call.places[index]: why for index, why in refused.items()}
                left = [index for index in range(len(call.places)) if index not in refused]
                half = len(left) if refused else len(left) // 2
                waiting += [call.part(some) for some in (left[half:], left[:half]) if some]
            else:
                outcomes |= dict(zip(call.places, answers, strict=True))
        return outcomes

    async def _predict(self, call: RowCall) -> list[RowAnswer]:
        question = self._question
        scores, model = await call.ask(
            self._client, question.model, priority=question.priority, timeout_s=question.timeout_s
        )
        self._check_bundle(model)
        return [RowAnswer(row, model) for row in scores]

    async def explained(self, batch: RowBatch, places: Sequence[int]) -> Outcomes:
        """The answer with its explanation, or the refusal, of each row in `places`."""
        async with asyncio.TaskGroup() as group:
            tasks = {place: group.create_task(self._explained_row(batch, place)) for place in places}
        return {place: task.result() for place, task in tasks.items()}

    async def _explained_row(self, batch: RowBatch, place: int) -> RowAnswer | Refusal:
        try:
            return await self._persistently(partial(self._explain, batch, place), batch.start + place, 1)
        except _OF_ROWS as error:
            if not is_about_rows(error):
                raise
            return refusal(error)
        except ServerError:
            raise
        except ExplicateError as error:  # a file that cannot be read
            return refusal(error)

    async def _explain(self, batch: RowBatch, place: int) -> RowAnswer:
        question = self._question
        assert question.explain is not None, "it is asked for explanations only then"
        answer = await self._client.explain(
            question.model.name,
            batch.inputs.value(place),  # read in its turn, for it may be large
            version=question.model.version,
            priority=question.priority,
            timeout_s=question.timeout_s,
            **question.explain,
        )
        self._check_bundle(answer.model)
        if answer.explanation.stop_reason == "deadline" and question.explain.get("time_limit_s") is None:
            raise _cut_short(answer.explanation.evaluations)
        return RowAnswer(scores_of(answer.prediction), answer.model, row_explanation(answer.explanation))

    async def _persistently(self, send: Callable[[], Awaitable[_Answer]], order: int, rows: int) -> _Answer:
        """The answer of a call; what may be an accident is tried again."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await in_turn(self._turns, send, order, rows)
            except (InternalError, DeadlineExceeded):
                if attempt == _ATTEMPTS:
                    raise
            except ServerError as error:
                raise self._of_this_run(error) from error
        raise AssertionError("the last attempt returns or raises")

    def _of_this_run(self, failure: ServerError) -> ServerError:
        return version_gone(self._question.model, failure) if failure.reason in _VERSION_GONE else failure

    def _check_bundle(self, answered: ModelVersion) -> None:
        if answered.bundle_digest != self._question.model.bundle_digest:
            raise another_bundle(self._question.model, answered.bundle_digest)


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


def _cut_short(evaluations: int) -> DeadlineExceeded:
    """The clock ended an explanation, and the same work at another time would give another answer."""
    message = (
        f"the time of a call was over after {evaluations:,} evaluations: give --max-evaluations or a longer --timeout, "
        "or --time-limit, which takes what there is then"
    )
    return DeadlineExceeded(message, ErrorDetails(code="DEADLINE_EXCEEDED", reason="CUT_SHORT"))
