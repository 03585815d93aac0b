"""One explanation, top to bottom: rows, game, estimator, rounds, answer.

Everything one explanation needs lives in its own objects; two in flight share the batcher, and the values of
coalitions that both ask for. The prediction and every evaluation come from the one version that was leased.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explicate_server.admission import Admission, Seat
from explicate_server.deadline import Deadline
from explicate_server.errors import DeadlinePassed, InvalidRequest, Violation
from explicate_server.evaluations import Evaluations
from explicate_server.explain.faithfulness import FaithfulnessCheck
from explicate_server.explain.game import GameInfo
from explicate_server.explain.loop import ExplanationRun, StopReason
from explicate_server.explain.quality import Quality
from explicate_server.explain.refinement import refined
from explicate_server.explain.result import Attribution
from explicate_server.metrics import Metrics
from explicate_server.modalities.base import EncodedInput, Game, ModelInput, Player, TextUsage
from explicate_server.options import MAX_PLAYERS, ExplainOptions, ResolvedOptions, resolve
from explicate_server.outputs import Outputs
from explicate_server.registry.models import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row
from explicate_server.settings import Settings
from explicate_server.timings import Timings
from explicate_server.value_store import GameValues, ValueStore

_T = TypeVar("_T")


@dataclass(frozen=True)
class ExplainAnswer:
    """The prediction and the explanation so far; ``final`` on the last one."""

    logits: NDArray[np.float64]
    usage: TextUsage | None
    players: Sequence[Player]
    outputs: Outputs
    attribution: Attribution
    quality: Quality
    full: NDArray[np.float64]
    options: ResolvedOptions
    evaluations: int
    reused_evaluations: int
    rounds: int
    stop_reason: StopReason
    converged: bool
    timings: Timings
    final: bool


class Explainer:
    """Computes explanations; one for the whole server. ``workers`` runs what would hold up the event loop."""

    def __init__(self, settings: Settings, workers: Executor, admission: Admission, metrics: Metrics) -> None:
        self._settings = settings
        self._workers = workers
        self._admission = admission
        self._metrics = metrics
        self.store = ValueStore(settings.max_memo_bytes)

    async def explain(
        self,
        served: ServedModel,
        value: ModelInput,
        options: ExplainOptions,
        *,
        caller: str,
        priority: Priority,
        time_left_s: float,
        field_path: str,
        progress: Callable[[], bool],
    ) -> AsyncGenerator[ExplainAnswer]:
        """Yield an answer after each round at which ``progress`` says yes, and the final one last.

        ``time_left_s`` is what the caller's deadline leaves, ``caller`` whose evaluations they are.

        Closing the iterator, or cancelling whoever waits for it, drops the rows that have not started.

        Raises:
            InvalidRequest, NotServable: the options or the input do not fit.
            Overloaded: too many explanations are in progress, in all or of the caller.
            DeadlinePassed: time was over before the prediction was there.
            ModelFault: the model failed on one of the rows.
        """
        with_budget = resolve(options, labels=served.labels, maskings=served.modality.maskings, settings=self._settings)
        problem = served.modality.violation(value)
        if problem:
            raise InvalidRequest([Violation(field_path, problem)])
        with self._admission.explanation(caller) as seat:
            limit_s = min(time_left_s, with_budget(0).time_limit_s)
            work = _Explanation(self, served, with_budget, priority, limit_s)
            async with aclosing(work.answers(value, field_path, seat, progress)) as answers:
                async for answer in answers:
                    if answer.final:
                        self._count(answer)
                    yield answer

    def values_of(
        self, served: ServedModel, value: ModelInput, *, players: str, masking: str
    ) -> AbstractContextManager[GameValues]:
        """What is known of a game; everything that its values depend on is in the key."""
        runtime = served.runtime
        return self.store.game((served.bundle.digest, runtime.name, runtime.precision, value.digest, players, masking))

    def _count(self, answer: ExplainAnswer) -> None:
        self._metrics.explanation_ended(
            method=answer.options.method.name,
            stop_reason=answer.stop_reason.value,
            evaluations=answer.evaluations,
            reused=answer.reused_evaluations,
        )

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
        priority: Priority,
        time_limit_s: float,
    ) -> None:
        self._explainer = explainer
        self._served = served
        self._with_budget = with_budget
        self._priority = priority
        self._timings = Timings()
        self._deadline = Deadline(time_limit_s, self._timings)

    async def answers(
        self, value: ModelInput, field_path: str, seat: Seat, progress: Callable[[], bool]
    ) -> AsyncGenerator[ExplainAnswer]:
        """Predict, then ask, evaluate and tell until the run stops."""
        encoded, game = await self._prepare(value, field_path)
        options = self._with_budget(len(game.players))
        seat.reserve(options.max_evaluations)
        kind = {"players": options.players, "masking": options.masking}
        with self._explainer.values_of(self._served, value, **kind) as known:
            evaluations = self._evaluations(game, known)
            async with aclosing(self._rounds(encoded, game, options, evaluations, progress)) as answers:
                async for answer in answers:
                    yield answer

    async def _prepare(self, value: ModelInput, field_path: str) -> tuple[EncodedInput, Game]:
        started_s = time.monotonic()
        modality, options = self._served.modality, self._with_budget(0)

        def prepare() -> tuple[EncodedInput, Game]:
            encoded = modality.encode(value)
            return encoded, modality.game(value, encoded, players=options.players, masking=options.masking)

        encoded, game = await self._explainer.in_worker(prepare)
        if len(game.players) > MAX_PLAYERS:
            problem = f"has {len(game.players):,} {options.granularity}s; at most {MAX_PLAYERS:,} can be explained"
            raise InvalidRequest([Violation(field_path, problem)])
        self._timings.preprocessing_s += time.monotonic() - started_s
        return encoded, game

    def _evaluations(self, game: Game, known: GameValues) -> Evaluations:
        async def rows_of(coalitions: NDArray[np.bool_]) -> list[Row]:
            started_s = time.monotonic()
            rows = await self._explainer.in_worker(game.rows, coalitions)
            self._timings.preprocessing_s += time.monotonic() - started_s
            return rows

        return Evaluations(
            self._served.batcher,
            known,
            self._explainer.store,
            rows_of,
            classes=len(self._served.labels),
            timings=self._timings,
            seconds_left=self._deadline.seconds_left,
        )

    async def _rounds(
        self,
        encoded: EncodedInput,
        game: Game,
        options: ResolvedOptions,
        evaluations: Evaluations,
        progress: Callable[[], bool],
    ) -> AsyncGenerator[ExplainAnswer]:
        logits, empty = await self._endpoints(game, evaluations, needs_empty=options.method.needs_empty)
        outputs = Outputs.choose(options.target, options.output_space, logits=logits, labels=self._served.labels)
        information = GameInfo(
            n_players=len(game.players),
            empty=outputs.of(empty[np.newaxis])[0],
            full=outputs.of(logits[np.newaxis])[0],
            seed=options.seed,
            confidence=options.confidence,
            breaks=game.breaks,
        )
        run = _run(information, options, spent=evaluations.count)

        async def answer(*, final: bool) -> ExplainAnswer:
            quality = await self._fit(run.quality, information.full)
            if final and options.quality == "full":
                quality = await self._with_faithfulness(quality, run.attribution, information, outputs, evaluations)
            groups = run.attribution.groups
            return ExplainAnswer(
                logits=logits,
                usage=encoded.usage,
                players=game.players if groups is None else game.grouped(groups),
                outputs=outputs,
                attribution=run.attribution,
                quality=quality,
                full=information.full,
                options=options,
                evaluations=evaluations.count,
                reused_evaluations=evaluations.reused,
                rounds=run.rounds,
                stop_reason=run.stop_reason,
                converged=run.converged,
                timings=self._timings,
                final=final,
            )

        while (coalitions := await self._fit(run.next_round, self._deadline.seconds_left())) is not None:
            values, evaluated = await evaluations.of(coalitions, self._priority)
            await self._fit(run.tell, outputs.of(values), evaluated)
            if not evaluated.all():
                run.stop(StopReason.DEADLINE)
                break
            if progress():
                yield await answer(final=False)
        yield await answer(final=True)

    async def _with_faithfulness(
        self,
        quality: Quality,
        attribution: Attribution,
        information: GameInfo,
        outputs: Outputs,
        evaluations: Evaluations,
    ) -> Quality:
        """The quality with comprehensiveness and sufficiency; without them when there is no time for their rows."""
        check = FaithfulnessCheck(attribution, seed=information.seed)
        logits, evaluated = await evaluations.of(check.coalitions, self._priority)
        figures = check.figures(outputs.of(logits), information.full) if evaluated.all() else None
        if figures is None:
            return quality
        return replace(quality, comprehensiveness=figures[0], sufficiency=figures[1])

    async def _endpoints(
        self, game: Game, evaluations: Evaluations, *, needs_empty: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits float64[classes] of the whole input and, where the method needs it, of the empty one."""
        ends = np.ones((2 if needs_empty else 1, len(game.players)), dtype=np.bool_)
        ends[1:] = False
        # Not one of thousands of rows: what the caller waits for first goes with the predictions.
        urgent = Priority.PREDICT if self._priority is Priority.EXPLAIN else self._priority
        logits, done = await evaluations.of(ends, urgent)
        if not done.all():
            raise DeadlinePassed
        return logits[0], logits[-1]

    async def _fit(self, step: Callable[..., _T], *arguments: object) -> _T:
        """A step of the estimator, off the event loop and on the clock."""
        started_s = time.monotonic()
        result = await self._explainer.in_worker(step, *arguments)
        elapsed_s = time.monotonic() - started_s
        self._timings.solver_s += elapsed_s
        self._deadline.fit_took(elapsed_s)
        return result


def _run(information: GameInfo, options: ResolvedOptions, *, spent: int) -> ExplanationRun:
    settings = options.method.settings(
        information.n_players,
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
    )
    most_players = options.max_players or information.n_players
    estimator = refined(
        options.method.build, information, max_players=most_players, max_evaluations=options.max_evaluations
    )
    return ExplanationRun(estimator, settings=replace(settings, top_k=options.top_k), spent=spent)
