"""Shadowing: a share of the live version's requests is answered by the canary too, in the background, and compared.

Nobody waits for it: the caller has its answer before, one request at a time is shadowed, in the lowest class, and only
while no rows wait for the live version. What comes faster is dropped and counted. Models take turns, and share the room
for what waits: one that is always busy, or whose requests come fast, does not keep the others from being compared.
"""

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput
from explicate_server.errors import NotFound, NotServable, ServerError
from explicate_server.explain.quality import spearman
from explicate_server.inference.asking.targets import Target
from explicate_server.inference.explain_options import ExplainOptions
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.inference.explainer import Explainer
from explicate_server.inference.predictor import PackedAnswer, PredictAnswer, Predictor
from explicate_server.modalities.rows.packed_table import PackedTable
from explicate_server.registry.label_store import CANARY, LIVE
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.records import Scales, ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings
from explicate_server.shared_room import lack


@dataclass(frozen=True)
class Scored:
    """The graph's answers float64[inputs, outputs] of one version, and what they mean."""

    answers: NDArray[np.float64]
    labels: Sequence[str]
    scales: Scales


class Comparison:
    """One version's answers, which were given, against those of another.

    Attributes:
        predictions: inputs whose predictions were compared.
        attributions: rows of attributions that were compared.
        dropped: requests that were not compared because too many waited.
        failed: requests that could not be compared, the last for ``last_failure``.
    """

    def __init__(self, live_version: int, canary_version: int) -> None:
        self.live_version = live_version
        self.canary_version = canary_version
        self.predictions = 0
        self.attributions = 0
        self.dropped = 0
        self.failed = 0
        self.last_failure = ""
        self._decides = True
        self._same = 0
        self._differences = 0.0
        self._spearmans = 0.0

    @property
    def same_outcome(self) -> float | None:
        """Fraction of inputs with the same class, or the same set of labels; None for a regression."""
        return None if not (self._decides and self.predictions) else self._same / self.predictions

    @property
    def mean_absolute_difference(self) -> float | None:
        """Mean absolute difference of the values; for classes and labels, of the probabilities of all outputs."""
        return self._differences / self.predictions if self.predictions else None

    @property
    def mean_spearman(self) -> float | None:
        """Mean rank correlation of the attributions."""
        return self._spearmans / self.attributions if self.attributions else None

    def add_predictions(self, live: Scored, canary: Scored) -> None:
        """Count the answers to some inputs, row for row."""
        objective, other = live.scales.objective, canary.scales.objective
        if objective.name != other.name:
            self.add_failure(f"one predicts a {objective.answer}, the other a {other.answer}")
            return
        decisions = objective.decisions
        self._decides = decisions is not None
        names = list(dict.fromkeys([*live.labels, *canary.labels])) if self._decides else [""]
        ours, theirs = (_by_name(scored, names) for scored in (live, canary))
        self.predictions += len(ours)
        self._differences += float(np.abs(ours - theirs).mean(axis=1).sum())
        if decisions is not None:
            same = _decided(live, names) == _decided(canary, names)
            self._same += int(same.reshape(len(ours), -1).all(axis=1).sum())

    def add_attributions(self, live: NDArray[np.float64], canary: NDArray[np.float64]) -> None:
        """Count attributions float64[outputs, features] of the same features; what cannot be ranked is passed over."""
        finite = (np.isfinite(live) & np.isfinite(canary)).all(axis=1)
        correlations = spearman(live[finite], canary[finite])
        defined = correlations[~np.isnan(correlations)]
        self.attributions += len(defined)
        self._spearmans += float(defined.sum())

    def sums(self) -> dict[str, Any]:
        """All that was counted, for other processes; see :meth:`with_others`."""
        return dict(vars(self))

    def with_others(self, others: Iterable[Mapping[str, Any]]) -> "Comparison":
        """This and what others have counted of the same versions."""
        whole = Comparison(self.live_version, self.canary_version)
        for each in (self.sums(), *others):
            if (each["live_version"], each["canary_version"]) != (whole.live_version, whole.canary_version):
                continue
            for name in ("predictions", "attributions", "dropped", "failed", "_same", "_differences", "_spearmans"):
                setattr(whole, name, getattr(whole, name) + each[name])
            whole.last_failure = whole.last_failure or each["last_failure"]
            whole._decides &= each["_decides"]
        return whole

    def add_failure(self, reason: str) -> None:
        """Count a request that could not be compared."""
        self.failed += 1
        self.last_failure = reason


def _by_name(scored: Scored, names: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities float64[inputs, names], 0 for what a version does not know; the values of a regression."""
    scores = scored.scales.scores(scored.answers)
    if scored.scales.objective.decisions is None or list(scored.labels) == list(names):
        return scores
    aligned = np.zeros((len(scores), len(names)))
    aligned[:, [names.index(label) for label in scored.labels]] = scores
    return aligned


def _decided(scored: Scored, names: Sequence[str]) -> NDArray[Any]:
    """What each input is answered by the version's own rule: a place among the names, or bool[inputs, names]."""
    decisions = scored.scales.objective.decisions
    assert decisions is not None
    own = np.asarray(decisions(scored.scales.scores(scored.answers)))
    places = np.array([names.index(label) for label in scored.labels])
    if own.ndim == 1:
        return np.asarray(places[own])
    aligned = np.zeros((len(own), len(names)), np.bool_)
    aligned[:, places] = own
    return aligned


# Enough for a burst. Each holds a request's inputs, which may be images.
_MOST_WAITING = 64
MOST_WAITING_BYTES = 64 << 20
# How often to look whether the live version still has rows waiting.
_BUSY_PAUSE_S = 0.02
_CALLER = "shadow"
_log = logging.getLogger(__name__)

Compare = Callable[[ServedModel, Comparison], Awaitable[None]]
Ask = Callable[[ServedModel], Awaitable[PredictAnswer | PackedAnswer]]


class _Background(TypedDict):
    caller: str
    priority: Priority
    time_left_s: float


@dataclass(frozen=True)
class _Job:
    model: str
    live_version: int
    compare: Compare
    size_bytes: int


class _Jobs:
    """What waits to be shadowed, by model; the model whose turn comes first is at the front."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.came = asyncio.Event()
        self._of: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._bytes_of: Counter[str] = Counter()

    def has_room(self, model: str, size_bytes: int) -> bool:
        """Whether a request of this size can wait, beside those of its model and of others."""
        held, held_bytes = len(self._of.get(model, ())), self._bytes_of[model]
        return not (
            lack(1, held=held, taken=self.count, most=_MOST_WAITING)
            or lack(size_bytes, held=held_bytes, taken=self.bytes, most=MOST_WAITING_BYTES)
        )

    def put(self, job: _Job) -> None:
        """Let a request wait."""
        self._of.setdefault(job.model, deque()).append(job)
        self.count += 1
        self._count_bytes(job.model, job.size_bytes)
        self.came.set()

    def take(self, may: Callable[[str], bool]) -> _Job | None:
        """The request that came first of the first model that may have its turn; None if there is none."""
        model = next(filter(may, self._of), None)
        if model is None:
            return None
        waiting = self._of.pop(model)
        job = waiting.popleft()
        if waiting:
            self._of[model] = waiting
        self.count -= 1
        if not self.count:
            self.came.clear()
        return job

    def done(self, job: _Job) -> None:
        """One that was taken needs its memory no longer."""
        self._count_bytes(job.model, -job.size_bytes)

    def _count_bytes(self, model: str, size_bytes: int) -> None:
        self.bytes += size_bytes
        self._bytes_of[model] += size_bytes
        if not self._bytes_of[model]:
            del self._bytes_of[model]


class Shadow:
    """Compares versions; one for the whole server. Used on the event loop only."""

    def __init__(self, registry: ModelRegistry, predictor: Predictor, explainer: Explainer, settings: Settings) -> None:
        self._registry = registry
        self._predictor = predictor
        self._explainer = explainer
        self._in_the_background: _Background = {
            "caller": _CALLER,
            "priority": Priority.BULK,
            "time_left_s": settings.max_call_s,
        }
        self._jobs = _Jobs()
        self._comparisons: dict[str, Comparison] = {}

    @property
    def waiting(self) -> int:
        """Requests that wait to be shadowed."""
        return self._jobs.count

    @property
    def waiting_bytes(self) -> int:
        """The size of those and of the one that is being shadowed, at most MOST_WAITING_BYTES."""
        return self._jobs.bytes

    def report(self, model: str, elsewhere: Iterable[Mapping[str, Any]] = ()) -> Comparison | None:
        """What was found of the versions that are live and canary now, here and ``elsewhere``; None when nothing is or
        was to be.
        """
        found = self._comparison(model)
        found = found and found.with_others(elsewhere)
        if found is None or self._registry.known(model).traffic.shadow_share:
            return found
        return found if found.predictions or found.failed or found.dropped else None

    def predicted(
        self, live: ServedModel, values: Sequence[ModelInput], answers: NDArray[np.float64], *, size_bytes: int
    ) -> None:
        """The live version has answered these inputs, whose request had ``size_bytes``."""
        ask = partial(self._predictor.predict, values=values, **self._in_the_background)
        self._compare(live, answers, ask, size_bytes)

    def predicted_packed(
        self, live: ServedModel, table: PackedTable, answers: NDArray[np.float64], *, size_bytes: int
    ) -> None:
        """The live version has answered this table."""
        ask = partial(self._predictor.predict_packed, table=table, **self._in_the_background)
        self._compare(live, answers, ask, size_bytes)

    def explained(
        self, live: ServedModel, value: ModelInput, options: ExplainOptions, answer: ExplainAnswer, *, size_bytes: int
    ) -> None:
        """The live version has explained this input."""
        given = Scored(answer.prediction[np.newaxis], live.labels, live.scales)
        pinned = replace(options, target=_pinned(options.target, live, answer), time_limit_s=None)
        players, attributions = list(answer.players), answer.attribution.values

        async def compare(canary: ServedModel, comparison: Comparison) -> None:
            other = await self._explain(canary, value, pinned)
            comparison.add_predictions(given, Scored(other.prediction[np.newaxis], canary.labels, canary.scales))
            if players == list(other.players) and attributions.shape == other.attribution.values.shape:
                comparison.add_attributions(attributions, other.attribution.values)
            else:
                comparison.add_failure("the two versions do not explain the same features and outputs")

        self._offer(live, compare, size_bytes)

    async def run(self) -> None:
        """Answer what was offered, one after the other, until cancelled."""
        while True:
            await self._jobs.came.wait()
            job = self._jobs.take(lambda model: not self._is_busy(model))
            if job is not None:
                await self._take(job)
                self._jobs.done(job)
            else:  # an event would have the batcher tell of every row
                await asyncio.sleep(_BUSY_PAUSE_S)

    async def _take(self, job: _Job) -> None:
        comparison = self._comparison(job.model)
        if comparison is None or comparison.live_version != job.live_version:
            return
        try:
            with self._registry.lease(job.model, version=comparison.canary_version) as canary:
                await job.compare(canary, comparison)
        except ServerError as error:
            comparison.add_failure(str(error))
        except Exception as error:
            _log.exception("shadowing %s failed", job.model)
            comparison.add_failure(type(error).__name__)

    async def _explain(self, canary: ServedModel, value: ModelInput, options: ExplainOptions) -> ExplainAnswer:
        steps = self._explainer.explain(
            canary,
            value,
            options,
            field_path="input",
            progress=lambda: False,
            **self._in_the_background,
        )
        async with aclosing(steps):
            return await anext(steps)

    def _compare(self, live: ServedModel, answers: NDArray[np.float64], ask: Ask, size_bytes: int) -> None:
        """Offer the live version's answers to be compared with what the canary says when it is asked."""
        given = Scored(answers, live.labels, live.scales)

        async def compare(canary: ServedModel, comparison: Comparison) -> None:
            answer = await ask(canary)
            comparison.add_predictions(given, Scored(answer.answers, canary.labels, canary.scales))

        self._offer(live, compare, size_bytes)

    def _offer(self, live: ServedModel, compare: Compare, size_bytes: int) -> None:
        manifest = live.bundle.manifest
        comparison = self._comparison(manifest.model)
        if comparison is None or comparison.live_version != manifest.version:
            return
        if self._jobs.has_room(manifest.model, size_bytes):
            self._jobs.put(_Job(manifest.model, manifest.version, compare, size_bytes))
        else:
            comparison.dropped += 1

    def _comparison(self, model: str) -> Comparison | None:
        """The comparison of the versions as they are labelled now, a new one when they have changed."""
        try:
            targets = self._registry.known(model).targets
        except NotFound:
            return None
        versions = tuple(targets[label].version for label in (LIVE, CANARY) if label in targets)
        if len(set(versions)) < 2:  # a canary that went live keeps its label until somebody moves it
            self._comparisons.pop(model, None)
            return None
        found = self._comparisons.get(model)
        if found is None or (found.live_version, found.canary_version) != versions:
            found = self._comparisons[model] = Comparison(*versions)
        return found

    def _is_busy(self, model: str) -> bool:
        try:
            served = self._registry.find(model).loaded
        except (NotFound, NotServable):
            return False
        return served is not None and any(served.batcher.queued_rows.values())


def _pinned(target: Target, live: ServedModel, answer: ExplainAnswer) -> Target:
    """The target by name, so that the other version explains the class that the live one has predicted."""
    if target != Target() or live.scales.objective.decisions is None:
        return target
    return Target(label=live.labels[answer.outputs.class_indices[0]])
