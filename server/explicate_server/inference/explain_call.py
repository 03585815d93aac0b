"""One explanation, top to bottom: rows, game, estimator, rounds, answer.

Everything it needs lives in its own objects. The prediction and every evaluation come from the one version that was
leased.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput
from explicate_server import tracing
from explicate_server.errors import DeadlinePassed, InvalidRequest, Violation
from explicate_server.explain.attribution import Attribution
from explicate_server.explain.game import Asked, GameInfo
from explicate_server.explain.method import Method
from explicate_server.explain.quality import FaithfulnessCheck, Quality
from explicate_server.explain.rounds import ExplanationRun, StopReason
from explicate_server.inference.added_outputs import added_game
from explicate_server.inference.admission import Seat
from explicate_server.inference.call_deadline import Deadline
from explicate_server.inference.evaluations import Evaluations, GameValues, Timings, ValueStore
from explicate_server.inference.explain_options import MAX_PLAYERS, CheckedOptions, Outputs, ResolvedOptions
from explicate_server.inference.predictor import encode_inputs
from explicate_server.inference.preview import preview_of
from explicate_server.inference.workers import Pool, Workers
from explicate_server.modalities.modality import (
    AddsUp,
    DrawsRows,
    EncodedInput,
    Game,
    Guesses,
    Player,
)
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row

_T = TypeVar("_T")


@dataclass(frozen=True)
class ExplainAnswer:
    """The prediction and the explanation so far; ``final`` on the last one.

    ``prediction`` is the graph's own answer, float64[outputs]: logits, or the value; ``full`` float64[explained].
    ``fitted_evaluations`` are those that the attributions rest on, ``unevaluated`` those of the last round for which
    there was no time. A ``preview`` rests on none: it is a guess, and never final.
    """

    prediction: NDArray[np.float64]
    encoded: EncodedInput
    players: Sequence[Player]
    segment_map: NDArray[np.intp] | None
    unspaced_scripts: Sequence[str]
    outputs: Outputs
    attribution: Attribution
    quality: Quality
    full: NDArray[np.float64]
    options: ResolvedOptions
    evaluations: int
    reused_evaluations: int
    rounds: int
    stop_reason: StopReason
    cut_by_clock: bool
    fitted_evaluations: int
    unevaluated: int
    converged: bool
    timings: Timings
    final: bool
    preview: bool = False


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

    async def answers(
        self, value: ModelInput, field_path: str, seat: Seat, progress: Callable[[], bool]
    ) -> AsyncGenerator[ExplainAnswer]:
        """Predict, then ask, evaluate and tell until the run stops."""
        encoded, game, digest = await self._prepare(value, field_path)
        options = self._checked.for_players(len(game.players))
        seat.reserve(options.max_evaluations)
        if isinstance(game, AddsUp) and options.method.adds:
            yield await self._added(encoded, game, options)
            return
        served, runtime = self._served, self._served.runtime
        drawn = await self._drawn(game, options)
        # Everything that the game's values depend on.
        key = (
            *(served.bundle.digest, runtime.name, runtime.precision),
            *(digest, self._players, options.masking),
            *(() if drawn is None else (options.max_evaluations, options.seed)),
        )
        with self._store.game(key, caller=self._caller) as known:
            evaluations = self._evaluations(game, known)
            async with aclosing(self._rounds(encoded, game, drawn, options, evaluations, progress)) as answers:
                async for answer in answers:
                    yield answer

    async def _prepare(self, value: ModelInput, field_path: str) -> tuple[EncodedInput, Game, bytes]:
        """The input ready for the model, its game, and its digest: of 8 MiB that alone takes 10 ms."""
        started_s = time.monotonic()
        modality = self._served.modality

        def prepare() -> tuple[EncodedInput, Game, bytes]:
            (encoded,) = encode_inputs(self._served, [value], [field_path])
            game = modality.game(value, encoded, players=self._players, masking=self._checked.masking)
            return encoded, game, value.digest

        with tracing.span("prepare"):
            pool = self._workers.encoding(value.encoding_cost, self._workers.explain)
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

    async def _added(self, encoded: EncodedInput, game: Game, options: ResolvedOptions) -> ExplainAnswer:
        """The whole answer about a game that is played by additions: the prediction, then one step in a worker."""
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

        def explain() -> tuple[_Work, Quality]:
            work = _added_work(self._served, encoded, game, options, np.asarray(ticket.values, dtype=np.float64)[0])
            return work, _added_quality(work)

        work, quality = await self._fit(explain)
        return work.answer(quality, self._timings, final=True)

    def _evaluations(self, game: Game, known: GameValues) -> Evaluations:
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
        ends = evaluations.count
        run = _run(information, options, spent=ends)
        work = _Work(encoded, game, options, prediction, outputs, information, run, evaluations)
        if (guess := await self._guess(work)) is not None and progress():
            yield replace(await self._answer(work, final=False), attribution=guess, preview=True)
        while (coalitions := await self._fit(run.next_round, self._deadline.seconds_left())) is not None:
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
        if run.stop_reason is StopReason.DEADLINE and _knows_the_ends_only(run, ends):
            raise DeadlinePassed("NO_TIME_TO_EXPLAIN", "only the prediction is known; ask for it, or give more time")
        yield await self._answer(work, final=True)

    async def _guess(self, work: "_Work") -> Attribution | None:
        """What the bundle's preview explainer makes of the input; None without one."""
        if not isinstance(work.game, Guesses):
            return None
        guess = partial(preview_of, work.game, work.options.method, work.outputs, work.information)
        found = await self._in_worker(guess, work.run.attribution)
        return found and found.with_nothing_for(len(work.game.unread))

    async def _answer(self, work: "_Work", *, final: bool) -> ExplainAnswer:
        """What is known now; a map of many pixels is made in a thread."""
        answer = partial(work.answer, await self._quality(work, final=final), self._timings, final=final)
        return answer() if work.game.segment_map is None else await self._in_worker(answer)

    async def _quality(self, work: "_Work", *, final: bool) -> Quality:
        """The quality so far; of the final answer with comprehensiveness and sufficiency, if they were asked for and
        there is time for their rows.
        """
        information, run = work.information, work.run
        quality = await self._fit(run.quality, information)
        # Drawn rows have no coalition without exactly one player.
        if not final or work.options.quality != "full" or information.drawn is not None:
            return quality
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


@dataclass
class _Work:
    """What is explained, and how far it is."""

    encoded: EncodedInput
    game: Game
    options: ResolvedOptions
    prediction: NDArray[np.float64]
    outputs: Outputs
    information: GameInfo
    run: ExplanationRun
    evaluations: "Evaluations | _OneRow"
    unevaluated: int = 0

    def answer(self, quality: Quality, timings: Timings, *, final: bool) -> ExplainAnswer:
        """What is known now."""
        run, groups, segment_map = self.run, self.run.attribution.groups, self.game.segment_map
        players = self.game.players if groups is None else self.game.grouped(groups)
        return ExplainAnswer(
            prediction=self.prediction,
            encoded=self.encoded,
            players=[*players, *self.game.unread],
            segment_map=segment_map if segment_map is None or groups is None else groups[segment_map],
            unspaced_scripts=self.game.unspaced_scripts,
            outputs=self.outputs,
            attribution=run.attribution.with_nothing_for(len(self.game.unread)),
            quality=quality,
            full=self.information.full,
            options=self.options,
            evaluations=self.evaluations.count,
            reused_evaluations=self.evaluations.reused,
            rounds=run.rounds,
            stop_reason=run.stop_reason,
            cut_by_clock=run.cut_by_clock,
            fitted_evaluations=run.evaluations,
            unevaluated=self.unevaluated,
            converged=run.converged,
            timings=timings,
            final=final,
        )


def _knows_the_ends_only(run: ExplanationRun, ends: int) -> bool:
    """Whether the attributions rest on v(∅) and v(N) alone, so that they say nothing of one player that they do not say
    of all. That is so too where rows were evaluated, but not all that the method needs for its first estimate.
    """
    if run.evaluations <= ends:
        return True
    values, errors = run.attribution.values, run.attribution.standard_errors
    return bool(np.isnan(errors).all() and (values == values[:, :1]).all() and values.any())


@dataclass(frozen=True)
class _OneRow:
    """The evaluations of an explanation that rests on the prediction's row alone."""

    count: int = 1
    reused: int = 0


def _added_work(
    served: ServedModel, encoded: EncodedInput, game: Game, options: ResolvedOptions, prediction: NDArray[np.float64]
) -> _Work:
    """The explanation of a game that is played by additions, beside the model's own answer float64[outputs]."""
    assert isinstance(game, AddsUp)
    scales = served.scales
    outputs = Outputs.choose(
        options.target, options.output_space, scales=scales, prediction=prediction, labels=served.labels
    )
    whole = scales.means(prediction[np.newaxis, np.newaxis], np.ones(1))
    added = added_game(game.contributions(), game.weights, outputs)
    information = GameInfo(
        n_players=len(game.players),
        empty=added.mixed(added.empty)[0],
        full=outputs.of(whole)[0],
        seed=options.seed,
        confidence=options.confidence,
        added=added,
    )
    evaluations = _OneRow()
    run = _run(information, options, spent=evaluations.count)
    run.next_round()  # which asks for nothing, and says why it stops
    return _Work(encoded, game, options, prediction, outputs, information, run, evaluations)


def _added_quality(work: _Work) -> Quality:
    """How far it can be trusted, with comprehensiveness and sufficiency if they were asked for."""
    information, run, added = work.information, work.run, work.information.added
    quality = run.quality(information)
    if work.options.quality != "full" or added is None:
        return quality
    check = FaithfulnessCheck(run.attribution, seed=information.seed)
    return check.added_to(quality, added.values(check.coalitions), information.full)


def _run(information: GameInfo, options: ResolvedOptions, *, spent: int) -> ExplanationRun:
    settings = options.method.settings(
        information.n_players,
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
        top_k=options.top_k,
    )
    max_players = options.max_players or information.n_players
    return options.method.start(information, settings, max_players=max_players, spent=spent)
