"""One explanation, top to bottom: rows, game, estimator, rounds, answer.

Everything it needs lives in its own objects. The prediction and every evaluation come from the one version that was
leased.
"""

import time
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import AbstractContextManager, aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput
from explicate_server import tracing
from explicate_server.errors import DeadlinePassed, InvalidRequest, Violation
from explicate_server.explain.game import Asked, GameInfo
from explicate_server.explain.method import Method
from explicate_server.explain.quality import FaithfulnessCheck, Quality
from explicate_server.explain.rounds import StopReason
from explicate_server.inference.admission import Seat
from explicate_server.inference.asking.additions import Additions
from explicate_server.inference.asking.baselines import stand_in
from explicate_server.inference.asking.pairs_asked import found_interactions, seconds_for
from explicate_server.inference.asking.player_groups import grouped
from explicate_server.inference.asking.targets import Outputs
from explicate_server.inference.changed.change_search import ChangeSearch, Subject
from explicate_server.inference.changed.decided import ChangeFound
from explicate_server.inference.evaluations import Evaluations, GameValues, Timings, ValueStore
from explicate_server.inference.explain_options import MAX_PLAYERS, CheckedOptions, ResolvedOptions
from explicate_server.inference.explain_work import (
    ExplainAnswer,
    Work,
    knows_the_ends_only,
    run_of,
    told_quality,
    told_work,
)
from explicate_server.inference.predictor import encode_inputs
from explicate_server.inference.told.gradient_work import integrated
from explicate_server.inference.told.guesses import can_guess, guessed
from explicate_server.inference.workers import Pool, Workers
from explicate_server.modalities.modality import (
    DrawsRows,
    EncodedInput,
    Game,
    TellsItself,
)
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row

_T = TypeVar("_T")


# Time kept back to fit and send the answer: twice the slowest fit so far, but never most of the time. The floor is for
# the wire and for a first fit, which comes when the time is up and has not been measured: with 0.03 s, of 16 calls
# about an image of 50 segments with 0.2 s to the deadline 9 had an answer on a busy machine, with 0.05 s all 16.
_RESERVE_FLOOR_S = 0.05
_RESERVE_FITS = 2.0
_RESERVE_MOST = 0.25
# The last fit, its quality and the answer's message are each handed to a thread, which under load takes longer than
# they do: without this, 8 of 13 answers came after a deadline of 6 s on a machine with six times the work it has cores
# for.
_RESERVE_HAND_OVERS = 3.0


class Deadline:
    """A time limit on a call, less what it takes to answer."""

    def __init__(self, time_limit_s: float, timings: Timings, hand_over_s: Callable[[], float] = lambda: 0.0) -> None:
        """Take seconds from the call's arrival, which ``timings`` knows.

        ``hand_over_s`` tells what it takes now to hand a step to a thread and get it back.
        """
        self._time_limit_s = time_limit_s
        self._timings = timings
        self._hand_over_s = hand_over_s
        self._slowest_fit_s = 0.0
        self.fits_to_come = 1
        """How many such steps come after the evaluations, one after the other."""
        self.last_step_s = 0.0
        """What another step after them takes."""

    def fit_took(self, seconds: float) -> None:
        """A fit took this long; the last one may too."""
        self._slowest_fit_s = max(self._slowest_fit_s, seconds)

    def seconds_left(self) -> float:
        """Until evaluations must stop; negative when they should have."""
        reserve_s = max(_RESERVE_FLOOR_S, _RESERVE_FITS * self.fits_to_come * self._slowest_fit_s)
        reserve_s += self.last_step_s + _RESERVE_HAND_OVERS * self._hand_over_s()
        usable_s = self._time_limit_s - min(reserve_s, _RESERVE_MOST * self._time_limit_s)
        return usable_s - self._timings.total_s

    @property
    def remaining_s(self) -> float:
        """Until the limit itself."""
        return self._time_limit_s - self._timings.total_s


class ExplainCall:
    """The state of one explanation in progress. ``workers`` runs what would hold up the event loop."""

    def __init__(
        self,
        served: ServedModel,
        checked: CheckedOptions,
        *,
        caller: str,
        priority: Priority,
        time_limit_s: float,
        workers: Workers,
        store: ValueStore,
    ) -> None:
        self._served = served
        self._checked = checked
        self._players = served.modality.players_of(checked.granularity, checked.segments)
        if checked.method.players == "distinct-words":
            self._players = checked.method.players
        self._caller = caller
        self._priority = priority
        self._workers = workers
        self._store = store
        self._timings = Timings()
        self._deadline = Deadline(time_limit_s, self._timings, lambda: workers.explain.hand_over_s)
        self._game_key: tuple[Hashable, ...] = ()

    async def answers(
        self, value: ModelInput, field_path: str, seat: Seat, progress: Callable[[], bool]
    ) -> AsyncGenerator[ExplainAnswer]:
        """Predict, then ask, evaluate and tell until the run stops."""
        encoded, game, digest = await self._prepare(value, field_path)
        options = self._checked.for_players(len(game.players))
        seat.reserve(options.reserved_evaluations)
        self._deadline.last_step_s = seconds_for(options.interactions, len(game.players), options.max_evaluations)
        drawn = await self._drawn(game, options) if options.method.needs is None else None
        # Everything that the game's values depend on.
        self._game_key = (
            *(digest, self._players, options.masking, options.baseline and options.baseline.key, game.regions),
            *(() if drawn is None else (options.max_evaluations, options.seed)),
        )
        if options.method.needs is not None and not options.method.along_path:
            yield await self._told(encoded, game, options)
            return
        with self._known(self._game_key) as known:
            evaluations = self._evaluations(game, known, game.played)
            async with aclosing(self._rounds(encoded, game, drawn, options, evaluations, progress)) as answers:
                async for answer in answers:
                    yield answer

    async def _prepare(self, value: ModelInput, field_path: str) -> tuple[EncodedInput, Game, bytes]:
        """The input ready for the model, its game, and its digest: of 8 MiB that alone takes 10 ms."""
        started_s = time.monotonic()
        modality, checked, baseline = self._served.modality, self._checked, self._checked.baseline

        def prepare() -> tuple[EncodedInput, Game, bytes]:
            (encoded,) = encode_inputs(self._served, [value], [field_path])
            instead = stand_in(self._served, baseline)
            whole = modality.game(value, encoded, players=self._players, masking=checked.masking, stand_in=instead)
            game = grouped(whole, checked.given.groups, checked.given.fixed, modality=modality, usage=encoded.usage)
            return encoded, game, value.digest

        with tracing.span("prepare"):
            cost = value.encoding_cost + (baseline.encoding_cost if baseline else 0)
            pool = self._workers.encoding(cost, self._workers.explain)
            encoded, game, digest = await self._in_worker(prepare, pool=pool)
        if len(game.players) > MAX_PLAYERS:
            kind = self._players.replace("-", " ")
            problem = f"has {len(game.players):,} {kind}; at most {MAX_PLAYERS:,} can be explained"
            raise InvalidRequest([Violation(f"{field_path}.{modality.field}", problem)])
        self._timings.preprocessing_s += time.monotonic() - started_s
        return encoded, game, digest

    async def _drawn(self, game: Game, options: ResolvedOptions) -> NDArray[np.bool_] | None:
        """Which players are present in the rows that a game draws itself; None of other games."""
        if not isinstance(game, DrawsRows):
            return None
        started_s = time.monotonic()
        drawn = await self._in_worker(partial(game.draw, rows=options.max_evaluations, seed=options.seed))
        self._timings.preprocessing_s += time.monotonic() - started_s
        return drawn

    async def _told(self, encoded: EncodedInput, game: Game, options: ResolvedOptions) -> ExplainAnswer:
        """The whole answer about a game that its model tells: the prediction, then one step in a worker."""
        assert isinstance(game, TellsItself)
        urgent = Priority.PREDICT if self._priority is Priority.EXPLAIN else self._priority
        batcher = self._served.batcher
        with tracing.span("endpoints", coalitions=1):
            ticket = batcher.submit([encoded.row], priority=urgent, caller=self._caller, admitted=True)
            try:
                in_time = await batcher.wait(ticket, timeout_s=max(0.0, self._deadline.seconds_left()))
            finally:
                batcher.abandon(ticket)
        if not in_time:
            raise DeadlinePassed
        self._timings.add(ticket)

        def explain() -> tuple[Work, Quality]:
            work = told_work(self._served, encoded, game, options, np.asarray(ticket.values, dtype=np.float64)[0])
            return work, told_quality(work)

        work, quality = await self._fit(explain)
        work.additions = await self._additions(work)
        return work.answer(quality, self._timings, final=True)

    def _known(self, key: tuple[Hashable, ...]) -> AbstractContextManager[GameValues]:
        """What is known of a game of this model; ``key`` is what its values depend on beside it."""
        runtime = self._served.runtime
        model = (self._served.bundle.digest, runtime.name, runtime.precision)
        return self._store.game((*model, *key), caller=self._caller)

    def _evaluations(
        self, game: Game | Subject, known: GameValues, played: Callable[[Asked], Asked] = lambda asked: asked
    ) -> Evaluations:
        async def rows_of(coalitions: Asked) -> list[Row]:
            started_s = time.monotonic()
            rows = await self._in_worker(game.rows, coalitions)
            self._timings.preprocessing_s += time.monotonic() - started_s
            return rows

        return Evaluations(
            self._served.batcher,
            known,
            self._store,
            rows_of,
            weights=game.weights,
            scales=self._served.scales,
            timings=self._timings,
            seconds_left=self._deadline.seconds_left,
            played=played,
        )

    async def _rounds(
        self,
        encoded: EncodedInput,
        game: Game,
        drawn: NDArray[np.bool_] | None,
        options: ResolvedOptions,
        evaluations: Evaluations,
        progress: Callable[[], bool],
    ) -> AsyncGenerator[ExplainAnswer]:
        whole, empty = await self._endpoints(game, evaluations, options.method)
        scales, labels = self._served.scales, self._served.labels
        prediction = scales.raw(whole)[0]
        outputs = Outputs.choose(
            options.target, options.output_space, scales=scales, prediction=prediction, labels=labels
        )
        information = GameInfo(
            n_players=len(game.players),
            empty=outputs.of(empty)[0],
            full=outputs.of(whole)[0],
            seed=options.seed,
            confidence=options.confidence,
            breaks=game.breaks,
            drawn=drawn,
        )
        ends, path, time_left = evaluations.count, None, self._deadline.seconds_left
        if options.method.along_path:
            path = await integrated(game, options, outputs, self._in_worker, time_left)
            information = replace(information, integral=path.integral)
        run = run_of(information, options, spent=ends + (path.rows if path else 0))
        if path and path.cut:
            run.stop(StopReason.DEADLINE)
        work = Work(encoded, game, options, prediction, outputs, information, run, evaluations, path=path)
        wanted = can_guess(work, self._served.runtime.device) and progress()
        if wanted and (guess := await guessed(work, self._in_worker, time_left)) is not None:
            yield replace(await self._answer(work, final=False), attribution=guess, preview=True)
        while (coalitions := await self._fit(run.next_round, time_left())) is not None:
            with tracing.span("round", number=run.rounds + 1, coalitions=len(coalitions)) as span:
                values, evaluated = await evaluations.of(coalitions, self._priority, outputs)
                span.set(evaluated=int(evaluated.sum()))
                await self._fit(run.tell, values, evaluated)
            work.unevaluated = int((~evaluated).sum())
            if work.unevaluated:
                run.stop(StopReason.DEADLINE)
                break
            if progress():
                yield await self._answer(work, final=False)
        if run.stop_reason is StopReason.DEADLINE and await self._fit(knows_the_ends_only, run, ends):
            raise DeadlinePassed("NO_TIME_TO_EXPLAIN", "only the prediction is known; ask for it, or give more time")
        work.additions = await self._additions(work)
        yield await self._answer(work, final=True)

    async def _additions(self, work: Work) -> Additions:
        """What was asked for beside the attributions, of a run that is over."""
        pairs = None
        if (count := work.options.interactions) is not None:
            of_run = work.run, work.information, count
            pairs = await self._fit(found_interactions, *of_run, self._deadline.remaining_s)
        return Additions(interactions=pairs, change=await self._change(work))

    async def _change(self, work: Work) -> ChangeFound | None:
        """What would change the answer, if that was asked for."""
        if work.options.change is None:
            return None
        search = await self._fit(ChangeSearch, self._served, work, work.options.change)
        with (
            tracing.span("change"),
            self._known(self._game_key if search.cells is None else search.cells.key) as known,
        ):
            return await search.run(self._evaluations(search.subject, known), self._fit, self._priority)

    async def _answer(self, work: Work, *, final: bool) -> ExplainAnswer:
        """What is known now; a map of many pixels is made in a thread."""
        answer = partial(work.answer, await self._quality(work, final=final), self._timings, final=final)
        return answer() if work.game.segment_map is None else await self._in_worker(answer)

    async def _quality(self, work: Work, *, final: bool) -> Quality:
        """The quality so far; of the final answer with comprehensiveness and sufficiency, if they were asked for and
        there is time for their rows.
        """
        information, run = work.information, work.run
        quality = await self._fit(run.quality, information)
        # Drawn rows have no coalition without exactly one player.
        if not final or work.options.quality != "full" or information.drawn is not None:
            return quality
        assert isinstance(work.evaluations, Evaluations)  # of a game that is played by coalitions
        check = FaithfulnessCheck(run.attribution, seed=information.seed)
        values, evaluated = await work.evaluations.of(check.coalitions, self._priority, work.outputs)
        return check.added_to(quality, values, information.full) if evaluated.all() else quality

    async def _endpoints(
        self, game: Game, evaluations: Evaluations, method: Method
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values float64[1, width] of the whole input and, where the method needs it, of the empty one."""
        coalitions = np.ones((2 if method.needs_empty else 1, len(game.players)), dtype=np.bool_)
        coalitions[1:] = False
        ends = np.zeros(1, np.intp) if method.drawn else coalitions
        # Not one of thousands of rows: what the caller waits for first goes with the predictions.
        urgent = Priority.PREDICT if self._priority is Priority.EXPLAIN else self._priority
        with tracing.span("endpoints", coalitions=len(ends)):
            values, done = await evaluations.of(ends, urgent)
        if not done.all():
            raise DeadlinePassed
        return values[:1], values[-1:]

    async def _fit(self, step: Callable[..., _T], *arguments: object) -> _T:
        """A step of the estimator, off the event loop and on the clock."""
        started_s = time.monotonic()
        with tracing.span("fit", step=step.__name__):
            result = await self._in_worker(step, *arguments)
        elapsed_s = time.monotonic() - started_s
        self._timings.solver_s += elapsed_s
        self._deadline.fit_took(elapsed_s)
        return result

    async def _in_worker(self, function: Callable[..., _T], *arguments: object, pool: Pool | None = None) -> _T:
        step = partial(function, *arguments)
        return await (pool or self._workers.explain).run(step, caller=self._caller, priority=self._priority)
