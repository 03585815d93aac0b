"""One explanation, top to bottom: rows, game, estimator, rounds, answer.

Everything one explanation needs lives in its own objects; two in flight share the batcher and nothing else. The
prediction and every evaluation come from the one version that was leased.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import DeadlinePassed, InvalidRequest, Overloaded, Violation
from explicate_server.explain.game import GameInfo
from explicate_server.explain.loop import ExplanationRun, StopReason
from explicate_server.explain.result import Attribution
from explicate_server.modalities.base import EncodedInput, Game, ModelInput, Player, TextUsage
from explicate_server.options import ExplainOptions, ResolvedOptions, resolve
from explicate_server.outputs import Outputs
from explicate_server.registry.models import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row, Ticket
from explicate_server.settings import Settings
from explicate_server.timings import Timings

_T = TypeVar("_T")

# Rows handed to the batcher at once, and how many such chunks may wait. Long enough to group rows by length over many
# batches, short enough that a deadline or a cancel finds little in the queue.
_CHUNK_ROWS = 256
_CHUNKS_WAITING = 2
# Time kept back to fit and send the answer: a floor for the wire, and twice the slowest fit so far, but never most of
# the time.
_RESERVE_FLOOR_S = 0.03
_RESERVE_FITS = 2.0
_RESERVE_MOST = 0.25
# More players than this make the fit, not the model, the cost (n² numbers, n³ work).
_MAX_PLAYERS = 1024


@dataclass(frozen=True)
class ExplainAnswer:
    """The prediction and the explanation so far; ``final`` on the last one."""

    logits: NDArray[np.float64]
    usage: TextUsage | None
    players: Sequence[Player]
    outputs: Outputs
    attribution: Attribution
    full: NDArray[np.float64]
    options: ResolvedOptions
    evaluations: int
    rounds: int
    stop_reason: StopReason
    converged: bool
    timings: Timings
    final: bool


class Explainer:
    """Computes explanations; one for the whole server. ``workers`` runs what would hold up the event loop."""

    def __init__(self, settings: Settings, workers: Executor) -> None:
        self._settings = settings
        self._workers = workers
        self._in_progress = 0

    async def explain(
        self, served: ServedModel, value: ModelInput, options: ExplainOptions, *, time_left_s: float, field_path: str
    ) -> AsyncGenerator[ExplainAnswer]:
        """Yield an answer after every round, the final one last. ``time_left_s`` is what the caller's deadline leaves.

        Closing the iterator, or cancelling whoever waits for it, drops the rows that have not started.

        Raises:
            InvalidRequest, NotServable: the options or the input do not fit.
            Overloaded: too many explanations are in progress.
            DeadlinePassed: time was over before the prediction was there.
            ModelFault: the model failed on one of the rows.
        """
        with_budget = resolve(options, labels=served.labels, maskings=served.modality.maskings, settings=self._settings)
        problem = served.modality.violation(value)
        if problem:
            raise InvalidRequest([Violation(field_path, problem)])
        if self._in_progress >= self._settings.max_explanations:
            raise Overloaded(
                "TOO_MANY_EXPLANATIONS", f"{self._in_progress} explanations are in progress", retry_after_s=1.0
            )
        self._in_progress += 1
        try:
            work = _Explanation(self, served, with_budget, time_left_s)
            async for answer in work.answers(value, field_path):
                yield answer
        finally:
            self._in_progress -= 1

    async def in_worker(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Run ``function`` off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *arguments)


class _Explanation:
    """The state of one explanation in progress."""

    def __init__(
        self,
        explainer: Explainer,
        served: ServedModel,
        with_budget: Callable[[int], ResolvedOptions],
        time_left_s: float,
    ) -> None:
        self._in_worker = explainer.in_worker
        self._served = served
        self._with_budget = with_budget
        self._timings = Timings()
        self._slowest_fit_s = 0.0
        self._time_limit_s = min(time_left_s, with_budget(0).time_limit_s)

    async def answers(self, value: ModelInput, field_path: str) -> AsyncGenerator[ExplainAnswer]:
        """Predict, then ask, evaluate and tell until the run stops."""
        encoded, game = await self._prepare(value, field_path)
        options = self._with_budget(len(game.players))
        logits, empty, spent = await self._endpoints(encoded, game, needs_empty=options.method.needs_empty)
        outputs = Outputs.choose(options.target, options.output_space, logits=logits, labels=self._served.labels)
        full = outputs.of(logits[np.newaxis])[0]
        information = GameInfo(
            n_players=len(game.players),
            empty=outputs.of(empty[np.newaxis])[0],
            full=full,
            seed=options.seed,
            confidence=options.confidence,
        )
        run = ExplanationRun(
            options.method.build(information, options.max_evaluations),
            settings=options.method.settings(
                len(game.players),
                max_evaluations=options.max_evaluations,
                min_evaluations=options.min_evaluations,
                tolerance=options.tolerance,
            ),
            spent=spent,
        )

        def answer(*, final: bool) -> ExplainAnswer:
            return ExplainAnswer(
                logits=logits,
                usage=encoded.usage,
                players=game.players,
                outputs=outputs,
                attribution=run.attribution,
                full=full,
                options=options,
                evaluations=run.evaluations,
                rounds=run.rounds,
                stop_reason=run.stop_reason,
                converged=run.converged,
                timings=self._timings,
                final=final,
            )

        while (coalitions := await self._fit(run.next_round, self._seconds_left())) is not None:
            values, evaluated = await self._evaluate(game, coalitions)
            await self._fit(run.tell, outputs.of(values), evaluated)
            if not evaluated.all():
                run.stop(StopReason.DEADLINE)
                break
            yield answer(final=False)
        yield answer(final=True)

    async def _prepare(self, value: ModelInput, field_path: str) -> tuple[EncodedInput, Game]:
        started_s = time.monotonic()
        modality, options = self._served.modality, self._with_budget(0)

        def prepare() -> tuple[EncodedInput, Game]:
            encoded = modality.encode(value)
            return encoded, modality.game(value, encoded, players=options.method.players, masking=options.masking)

        encoded, game = await self._in_worker(prepare)
        if len(game.players) > _MAX_PLAYERS:
            raise InvalidRequest(
                [Violation(field_path, f"has {len(game.players):,} words; at most {_MAX_PLAYERS:,} can be explained")]
            )
        self._timings.preprocessing_s += time.monotonic() - started_s
        return encoded, game

    async def _endpoints(
        self, encoded: EncodedInput, game: Game, *, needs_empty: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """Logits of the whole input and, where the method needs it, of the empty one; and the evaluations they took."""
        rows = [encoded.row]
        if needs_empty:
            rows += game.rows(np.zeros((1, len(game.players)), dtype=np.bool_))
        ticket = self._served.batcher.submit(rows, priority=Priority.PREDICT)
        logits, done = await self._collect(ticket)
        if not done.all():
            raise DeadlinePassed
        return logits[0], logits[-1], len(rows)

    async def _evaluate(
        self, game: Game, coalitions: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Logits float64[m, classes] of the coalitions, and bool[m] which of them there was time for."""
        batcher = self._served.batcher
        logits = np.zeros((len(coalitions), len(self._served.labels)))
        evaluated = np.zeros(len(coalitions), dtype=np.bool_)
        waiting: deque[tuple[slice, Ticket]] = deque()
        chunks = deque(slice(first, first + _CHUNK_ROWS) for first in range(0, len(coalitions), _CHUNK_ROWS))
        try:
            while waiting or (chunks and self._seconds_left() > 0):
                if chunks and len(waiting) < _CHUNKS_WAITING and self._seconds_left() > 0:
                    place = chunks.popleft()
                    rows = await self._rows(game, coalitions[place])
                    waiting.append((place, batcher.submit(rows, priority=Priority.EXPLAIN)))
                else:
                    place, ticket = waiting.popleft()
                    logits[place], evaluated[place] = await self._collect(ticket)
        finally:
            for _, ticket in waiting:
                batcher.abandon(ticket)
        return logits, evaluated

    async def _rows(self, game: Game, coalitions: NDArray[np.bool_]) -> list[Row]:
        started_s = time.monotonic()
        rows = await self._in_worker(game.rows, coalitions)
        self._timings.preprocessing_s += time.monotonic() - started_s
        return rows

    async def _collect(self, ticket: Ticket) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Wait for a ticket as long as there is time; what has not started by then never will."""
        try:
            await self._served.batcher.wait(ticket, timeout_s=max(0.0, self._seconds_left()))
        finally:
            self._served.batcher.abandon(ticket)
            self._timings.add(ticket)
        done = ticket.done.copy()
        return np.where(done[:, np.newaxis], ticket.values, 0.0), done

    async def _fit(self, step: Callable[..., _T], *arguments: object) -> _T:
        """A step of the estimator, off the event loop and on the clock."""
        started_s = time.monotonic()
        result = await self._in_worker(step, *arguments)
        elapsed_s = time.monotonic() - started_s
        self._timings.solver_s += elapsed_s
        self._slowest_fit_s = max(self._slowest_fit_s, elapsed_s)
        return result

    def _seconds_left(self) -> float:
        """Until evaluations must stop so that the answer still arrives in time."""
        reserve_s = max(_RESERVE_FLOOR_S, _RESERVE_FITS * self._slowest_fit_s)
        usable_s = self._time_limit_s - min(reserve_s, _RESERVE_MOST * self._time_limit_s)
        return usable_s - self._timings.total_s
