"""Run directories as a leaderboard reads them: what each answered to its held-out rows, and what it cost.

Two runs can be compared if they answered the same held-out rows, whatever their order, with the same labels. Runs whose
configs differ in the seed alone are one recipe. A bundle (`bundles`) is told by what it has on record.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from google.protobuf import json_format

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.objective import OBJECTIVES, Objective
from explicate_bundle.telling.slice_notes import SLICES_KEY, read_slices
from explicate_standards.held_out_rows import HELD_OUT_NAME, is_finite, json_lines, label_of
from explicate_standards.outcomes.measures import MEASURES
from explicate_standards.outcomes.outcomes import Outcomes, targets_of
from explicate_standards.run_report import METRICS_KEY

CALIBRATION, ROBUSTNESS, LATENCY = "calibration", "robustness", "latency_ms"
"""Of `Run.figures`."""
CALIBRATION_ERROR = "calibration_error"
# What training measures on slices, by the form of answers; of several labels it is none of the metrics here.
_SLICED = {"class": "accuracy", "value": "mae"}
_NOT_OF_THE_INPUT = frozenset({"outputs"})
_SEED = ("training", "seed")


Group = tuple[str, str, tuple[str, ...], str]
"""Of what can be compared: digest of the rows, objective, labels, digest of the standard."""


@dataclass(frozen=True)
class SliceFigure:
    """A metric on a slice, as it was recorded."""

    metric: str
    slice: str
    value: float


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run, or a bundle.

    Attributes:
        directory: where it is.
        name: what to call it.
        recipe: digest of its config without the seed.
        seed: of its training; 0 of a bundle.
        outcomes: its answers to the held-out rows, in an order that is the same for runs of the same rows; None of a
            bundle, which does not have them.
        group: see `Group`.
        rows: how many held-out rows there are.
        explained: figures of `explicate evaluate`, by name; empty where it was not evaluated.
        train_s: seconds of the training; None if it does not say.
        size_bytes: of the weights.
        reports: files about it that people can read.
        recorded: metrics with their 95 % intervals, by name; for what has no outcomes.
        slices: figures of slices, whichever was measured.
        figures: "calibration", "robustness", "latency_ms", where they were measured.
        verdict: of the standard that it was held to; empty without one.
        objective, labels: what it predicts.
    """

    directory: Path
    name: str
    recipe: str
    outcomes: Outcomes | None
    group: Group
    rows: int
    explained: Mapping[str, float]
    train_s: float | None
    size_bytes: int
    objective: Objective
    labels: tuple[str, ...]
    reports: tuple[Path, ...] = ()
    recorded: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    slices: tuple[SliceFigure, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    seed: int = 0


def read_run(directory: Path) -> Run:
    """Read a run directory.

    Raises:
        UsageError: it is not one of a finished run; it names the file.
    """
    record = _record(directory / "run.json")
    objective = OBJECTIVES[record.objective].deciding(record.decision, record.labels)
    labels = tuple(record.labels) or (record.target_name,)
    rows = _rows(directory / HELD_OUT_NAME, objective, labels)
    outputs = np.array([outputs for _, outputs, _ in rows], dtype=np.float64)
    targets = targets_of(objective, labels, [label for _, _, label in rows])
    outcomes = Outcomes(directory.name, objective, labels, outputs, targets)
    metrics, report = _metrics(directory / "metrics.json"), directory / "report.html"
    return Run(
        directory=directory,
        name=directory.name,
        recipe=_recipe(directory / "config.toml"),
        outcomes=outcomes,
        seed=record.seed,
        group=(_digest(rows), objective.name, labels, ""),
        rows=len(rows),
        explained=_finite(metrics.get(METRICS_KEY)),
        train_s=record.train_s or None,
        size_bytes=sum(path.stat().st_size for path in (directory / "model").glob("*") if path.is_file()),
        objective=objective,
        labels=labels,
        reports=(report,) if report.is_file() else (),
        slices=tuple(_slices(metrics.get(SLICES_KEY), objective)),
        figures=_calibration(outcomes),
    )


def rows_digest(path: Path, objective: Objective, labels: Sequence[str]) -> str:
    """Of the held-out rows of a file and what is right for them, in any order, without what was answered.

    Raises:
        UsageError: names the line that is no such row.
    """
    return _digest(_rows(path, objective, labels))


def _digest(rows: Sequence[tuple[str, list[float], Any]]) -> str:
    return hashlib.sha256("\n".join(key for key, _, _ in rows).encode()).hexdigest()


def _slices(told: object, objective: Objective) -> Iterator[SliceFigure]:
    """What training measured of groups of rows: shares of right answers, or how far numbers are off."""
    notes = read_slices(told)
    metric = _SLICED.get(objective.answer)
    if notes is not None and metric is not None:
        yield from (SliceFigure(metric, one.name, one.value) for one in notes.groups)


def _calibration(outcomes: Outcomes) -> dict[str, float]:
    measure = MEASURES[CALIBRATION_ERROR]
    if outcomes.objective.answer not in measure.answers:
        return {}
    return {CALIBRATION: measure.value(outcomes)}


def _record(path: Path) -> TrainingRun:
    try:
        record = json_format.Parse(path.read_text(encoding="utf-8"), TrainingRun(), ignore_unknown_fields=True)
    except (OSError, UnicodeDecodeError, json_format.ParseError, RecursionError):
        raise UsageError(
            f"{path.parent} is not the folder of a finished `explicate train`: run.json cannot be read"
        ) from None
    if record.objective not in OBJECTIVES:
        raise UsageError(f"{path}: 'objective' is {record.objective!r}, not one of {', '.join(OBJECTIVES)}")
    return record


def _rows(path: Path, objective: Objective, labels: Sequence[str]) -> list[tuple[str, list[float], Any]]:
    """Key, outputs and what is right of each held-out row, by key: the row without what was answered."""
    found = []
    wanted = objective.outputs(len(labels))
    for place, line in json_lines(path):
        outputs = line.get("outputs")
        if not isinstance(outputs, list) or len(outputs) != wanted or not all(map(is_finite, outputs)):
            raise UsageError(f'{path}, line {place}: "outputs" are not {wanted} numbers that the model gave')
        try:
            label = label_of(line, objective, labels)
        except UsageError as error:
            raise UsageError(f"{path}, line {place}: {error}") from None
        if label is not None:
            given = {name: value for name, value in line.items() if name not in _NOT_OF_THE_INPUT}
            found.append((json.dumps(given, sort_keys=True), outputs, label))
    if not found:
        raise UsageError(f"{path} has no rows that say what is right")
    return sorted(found, key=lambda row: row[0])


def _recipe(path: Path) -> str:
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    table, key = _SEED
    config[table] = {name: value for name, value in config.get(table, {}).items() if name != key}
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def _metrics(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _finite(told: object) -> dict[str, float]:
    return {name: float(value) for name, value in told.items() if is_finite(value)} if isinstance(told, dict) else {}
