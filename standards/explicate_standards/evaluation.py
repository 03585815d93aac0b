"""Measuring a model by all metrics, input by input: first what it will take, then the figures.

Inputs are independent of each other, and what is measured of one follows from the bundle, the row and the options
alone. So a break between two of them changes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from explicate.errors import UsageError
from explicate_standards.bootstrap import CONFIDENCE, figures
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import HeldOutRows
from explicate_standards.metric import Figure, Measured, Metric
from explicate_standards.metrics.interpretability import EVALUATOR_VERSION, METRICS
from explicate_standards.partial_file import PartialFile
from explicate_standards.subject import SEED, Subject

DEFAULT_INPUTS = 200
# Rows a player of an explanation at the server's defaults, which most metrics share.
_SHARED_ROWS = 10.0
# A search over the removal orders of a longer input takes as many rows as all else together.
_SHORT_PLAYERS = range(3, 21)
# The model's speed is measured on about this many rows, of inputs of all lengths, or for this long.
_TIMED_INPUTS = 12
_TIMED_COALITIONS = 16
_TIMED_S = 2.0

Told = Callable[[int, int, int], None]
"""Inputs done, inputs in all, rows that went through the model so far."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and what it will take.

    Attributes:
        metrics: those that the model can be measured by.
        missing: why it cannot be measured by the others, by id.
        players: of each input, in the order of the rows.
        short: places in that order of the inputs with few players, the fewest first.
        rows: about how many rows go through the model.
        rows_per_s: how many do so in a second, as measured now.
    """

    metrics: tuple[Metric, ...]
    missing: Mapping[str, str]
    players: tuple[int, ...]
    short: tuple[int, ...]
    rows: int
    rows_per_s: float

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return self.rows / self.rows_per_s

    def of_input(self, number: int) -> list[Metric]:
        """What an input is measured by."""
        return [metric for metric in self.metrics if _chosen(metric, number, self.short)]

    def sentence(self, what: str, done: int = 0) -> str:
        """The estimate, for people; `done` inputs are measured already."""
        left = f"; {done:,} of them are measured already" if done else ""
        return (
            f"{len(self.players):,} {what}{left}, about {self.rows:,} model rows in all, at {self.rows_per_s:,.0f} a "
            f"second about {told_time(self.seconds)}"
        )


@dataclass(frozen=True)
class MetricResult:
    """What a metric says of a model: its figures, the main one first, or why there are none."""

    metric: Metric
    figures: Mapping[str, Figure]
    missing: str

    @property
    def sentence(self) -> str:
        """What it says, or why it says nothing."""
        return self.metric.sentence(self.figures) if not self.missing else f"Not measured: {self.missing}."


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of a model; `measured` is by input, in the order of the rows, and by metric."""

    model: EvaluatedModel
    rows: HeldOutRows
    results: tuple[MetricResult, ...]
    measured: tuple[Mapping[str, Measured], ...]
    confidence: float = CONFIDENCE


def chosen_names(listed: str) -> list[str]:
    """The ids of metrics in a list with commas.

    Raises:
        UsageError: there is no such metric.
    """
    names = [name.strip() for name in listed.split(",")]
    chosen_metrics(names)
    return names


def chosen_metrics(names: Sequence[str] | None) -> list[Metric]:
    """The metrics of these ids, all of them for None.

    Raises:
        UsageError: there is no such metric.
    """
    for name in names or ():
        if name not in METRICS:
            raise UsageError(f"there is no metric {name!r}; there are {', '.join(METRICS)}")
    return [metric for metric in METRICS.values() if names is None or metric.id in names]


def plan(model: EvaluatedModel, rows: HeldOutRows, metrics: Sequence[Metric]) -> Plan:
    """What measuring takes: players are counted, and the model's speed is measured."""
    missing = {metric.id: why for metric in metrics if (why := metric.lacks(model))}
    able = tuple(metric for metric in metrics if metric.id not in missing)
    players = tuple(Subject(model, row, number).n for number, row in enumerate(rows.inputs))
    short = tuple(number for number in np.argsort(players, kind="stable").tolist() if players[number] in _SHORT_PLAYERS)
    coalitions = sum(
        _coalitions(n, [metric for metric in able if _chosen(metric, number, short)])
        for number, n in enumerate(players)
    )
    weight = len(Subject(model, rows.inputs[0]).game.weights)
    return Plan(able, missing, players, short, ceil(coalitions * weight), _rows_per_s(model, rows, players))


def evaluate(
    model: EvaluatedModel,
    rows: HeldOutRows,
    planned: Plan,
    *,
    told: Told = lambda _done, _of, _rows: None,
    folder: Path | None = None,
) -> Evaluation:
    """Measure what is planned; what an earlier call that was killed has measured is taken over.

    `folder` keeps that; None for the user's cache.

    Raises:
        UsageError: a row does not fit, the model answers with NaN, or the folder cannot be written.
    """
    key = {**described(model, rows), "metrics": [metric.id for metric in planned.metrics]}
    evaluated = 0
    with PartialFile(key, folder) as partial:
        measured: list[Mapping[str, Measured]] = []
        for number, row in enumerate(rows.inputs):
            known = partial.known.get(row.place)
            if known is None:
                known, used = _measured(Subject(model, row, number), planned)
                partial.add(row.place, known)
                evaluated += used
            measured.append(known)
            told(number + 1, len(rows.inputs), evaluated)
        partial.finish()
    results = [_result(metric, measured) for metric in planned.metrics]
    results += [MetricResult(METRICS[name], {}, why) for name, why in planned.missing.items()]
    in_order = sorted(results, key=lambda result: list(METRICS).index(result.metric.id))
    return Evaluation(model, rows, tuple(in_order), tuple(measured))


def done_already(model: EvaluatedModel, rows: HeldOutRows, planned: Plan, *, folder: Path | None = None) -> int:
    """How many inputs an earlier call that was killed has measured."""
    key = {**described(model, rows), "metrics": [metric.id for metric in planned.metrics]}
    with PartialFile(key, folder) as partial:
        done = len(partial.known)
        if not done:
            partial.finish()
    return done


def described(model: EvaluatedModel, rows: HeldOutRows) -> dict[str, Any]:
    """All that figures depend on, but for the metrics themselves."""
    return {
        "evaluator_version": EVALUATOR_VERSION,
        "content_sha256": model.content_sha256,
        "runtime": model.runtime.name,
        "precision": model.runtime.precision,
        "rows_sha256": rows.sha256,
        "inputs": [row.place for row in rows.inputs],
        "seed": SEED,
    }


def told_time(seconds: float) -> str:
    """A length of time for people, such as "12 s", "8 min" or "2.5 h"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _measured(subject: Subject, planned: Plan) -> tuple[dict[str, Measured], int]:
    """By metric, and the rows that it took."""
    try:
        found = {metric.id: metric.measure(subject) for metric in planned.of_input(subject.number)}
    except UsageError as error:
        raise UsageError(f"line {subject.row.place} of the rows: {error}") from None
    return {name: figures for name, figures in found.items() if figures}, subject.rows_evaluated


def _chosen(metric: Metric, number: int, short: Sequence[int]) -> bool:
    if metric.most_inputs is None:
        return True
    return number in short[: metric.most_inputs] if metric.short_inputs else number < metric.most_inputs


def _coalitions(n: int, metrics: Sequence[Metric]) -> float:
    """About how many an input of n players takes: no game has more than 2^n different ones."""
    everything = 2.0 ** min(n, 1000)
    explanation = min(everything, _SHARED_ROWS * n)
    own = min(everything, _SHARED_ROWS * n + sum(metric.rows(n) for metric in metrics))
    return own + explanation * sum(metric.other_games for metric in metrics)


def _result(metric: Metric, measured: Sequence[Mapping[str, Measured]]) -> MetricResult:
    found = figures(metric, [of_input[metric.id] for of_input in measured if metric.id in of_input])
    return MetricResult(metric, found, "" if found else metric.undefined)


def _rows_per_s(model: EvaluatedModel, rows: HeldOutRows, players: Sequence[int]) -> float:
    """Rows of the model a second, over inputs of all lengths and coalitions of all sizes."""
    stream = np.random.Generator(np.random.Philox(SEED))
    by_length = np.argsort(players, kind="stable")
    places = np.unique(np.linspace(0, len(by_length) - 1, _TIMED_INPUTS).round().astype(int))
    done, spent_s = 0, 0.0
    for place in stream.permutation(places).tolist():
        subject = Subject(model, rows.inputs[by_length[place]])
        shares = stream.random((_TIMED_COALITIONS, 1))
        timed = subject.game.rows(stream.random((_TIMED_COALITIONS, subject.n)) < shares)
        started_s = time.perf_counter()
        model.answers(timed)
        spent_s += time.perf_counter() - started_s
        done += sum(row.count for row in timed)
        if spent_s > _TIMED_S:
            break
    return done / max(spent_s, 1e-9)
