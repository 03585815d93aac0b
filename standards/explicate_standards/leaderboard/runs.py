"""Run directories as a leaderboard reads them: what each answered to its held-out rows, and what it cost.

Two runs can be compared if they answered the same held-out rows, whatever their order, with the same labels. Runs whose
configs differ in the seed alone are one recipe.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from google.protobuf import json_format

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.objective import OBJECTIVES, Objective
from explicate_standards.held_out_rows import HELD_OUT_NAME, json_lines, label_of
from explicate_standards.outcomes.outcomes import Outcomes, targets_of
from explicate_standards.run_report import METRICS_KEY

Say = Callable[[str], None]
_NOT_OF_THE_INPUT = frozenset({"outputs"})
_SEED = ("training", "seed")


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run.

    Attributes:
        directory: where it is.
        recipe: digest of its config without the seed.
        seed: of the training.
        outcomes: its answers to the held-out rows, in an order that is the same for runs of the same rows.
        rows_sha256: of these rows and what is right for them.
        explained: figures of `explicate evaluate`, by name; empty where it was not evaluated.
        train_s: seconds of the training; None if it does not say.
        size_bytes: of the folder with the weights.
    """

    directory: Path
    recipe: str
    seed: int
    outcomes: Outcomes
    rows_sha256: str
    explained: Mapping[str, float]
    train_s: float | None
    size_bytes: int

    @property
    def group(self) -> tuple[str, str, tuple[str, ...]]:
        """Runs with the same one can be compared: rows, objective, labels."""
        return self.rows_sha256, self.outcomes.objective.name, self.outcomes.labels


def read_run(directory: Path) -> Run:
    """Read a run directory.

    Raises:
        UsageError: it is not one of a finished run; it names the file.
    """
    record = _record(directory / "run.json")
    objective = OBJECTIVES[record.objective].deciding(record.decision, record.labels)
    labels = tuple(record.labels) or (record.target_name,)
    rows = _rows(directory, objective, labels)
    digest = hashlib.sha256("\n".join(key for key, _, _ in rows).encode()).hexdigest()
    outputs = np.array([outputs for _, outputs, _ in rows], dtype=np.float64)
    targets = targets_of(objective, labels, [label for _, _, label in rows])
    return Run(
        directory,
        _recipe(directory / "config.toml"),
        record.seed,
        Outcomes(directory.name, objective, labels, outputs, targets),
        digest,
        _explained(directory / "metrics.json"),
        record.train_s or None,
        sum(path.stat().st_size for path in (directory / "model").glob("*") if path.is_file()),
    )


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


def _rows(directory: Path, objective: Objective, labels: Sequence[str]) -> list[tuple[str, list[float], Any]]:
    """Key, outputs and what is right of each held-out row, by key: the row without what was answered."""
    path, found = directory / HELD_OUT_NAME, []
    wanted = objective.outputs(len(labels))
    for place, line in json_lines(path):
        outputs = line.get("outputs")
        if not isinstance(outputs, list) or len(outputs) != wanted or not all(map(_is_finite, outputs)):
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


def _explained(path: Path) -> dict[str, float]:
    try:
        told = json.loads(path.read_text(encoding="utf-8")).get(METRICS_KEY, {})
    except (OSError, ValueError, AttributeError):
        return {}
    return {name: float(value) for name, value in told.items() if _is_finite(value)} if isinstance(told, dict) else {}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
