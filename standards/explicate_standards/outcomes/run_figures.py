"""What runs say that a bundle does not: what training made a model forget, and what other seeds make of a recipe."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import CONFIDENCE
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.leaderboard.runs import Run, read_run
from explicate_standards.outcomes.outcomes import Outcomes

_METRICS_NAME, _CONFIG_NAME = "metrics.json", "config.toml"
# The option of `[augmentation]` that teaches each disturbance.
_TAUGHT_BY = {"typos": "typos", "noise": "noise", "contrast": "colour", "brightness": "colour"}
_FORGETTING = "forgetting"


@dataclass(frozen=True)
class Forgotten:
    """By how much a model is worse than before its training, at what it was not trained on.

    Attributes:
        about: what that is, for people.
        measured: the metric.
        lost, lower, upper: by how much it got worse, and its interval.
        rows: on how many rows.
        confidence: of each end of the interval by itself.
        note: before and after.
    """

    about: str
    measured: str
    lost: float
    lower: float
    upper: float
    rows: int
    confidence: float
    note: str


def forgotten(run: Path, model: EvaluatedModel) -> Mapping[str, Forgotten]:
    """What a run's metrics.json says of it, by name; empty where it was not measured.

    Raises:
        UsageError: the file says something else than training writes.
    """
    path = run / _METRICS_NAME
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        known = document.get(_FORGETTING, {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}): train again") from None
    try:
        return {str(name): _forgotten(one, model) for name, one in known.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: {_FORGETTING!r} is not as training writes it: train again") from None


def _forgotten(given: Mapping[str, Any], model: EvaluatedModel) -> Forgotten:
    """An error of a number is lost where it grows, a share of right answers where it shrinks."""
    sign = -1.0 if model.kind.predicts.decisions is not None or given["measured"] == "accuracy" else 1.0
    change = sign * float(given["change"])
    lower, upper = sorted(sign * float(end) for end in given["change_interval"])
    if not all(map(isfinite, (change, lower, upper))):
        raise ValueError("change")
    note = f"{float(given['before']):.4f} before, {float(given['after']):.4f} after"
    about, measured = str(given["about"]), str(given["measured"])
    return Forgotten(about, measured, change, lower, upper, int(given["rows"]), (1 + CONFIDENCE) / 2, note)


def trained_disturbances(run: Path) -> frozenset[str]:
    """The disturbances that a run's `[augmentation]` taught its model; empty where no config lies there."""
    try:
        augmentation = tomllib.loads((run / _CONFIG_NAME).read_text(encoding="utf-8")).get("augmentation", {})
        return frozenset(name for name, option in _TAUGHT_BY.items() if augmentation.get(option))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError):
        return frozenset()


def of_seeds(runs: Sequence[Path], model: EvaluatedModel) -> tuple[Outcomes, ...]:
    """The answers of runs that differ in the seed alone, each to the rows that it held out.

    Raises:
        UsageError: they differ in more, or are not of the model's data or labels.
    """
    read = [read_run(path) for path in dict.fromkeys(path.resolve() for path in runs)]
    for run in read:
        _check_seed_run(run, read[0], model)
    seeds = [run.seed for run in read]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds: two of the runs have the same seed ({', '.join(map(str, seeds))})")
    return tuple(run.outcomes for run in read if run.outcomes is not None)


def _check_seed_run(run: Run, first: Run, model: EvaluatedModel) -> None:
    if run.recipe != first.recipe:
        raise UsageError(
            f"--seeds: {run.directory} and {first.directory} differ in more than the seed: see config.toml"
        )
    if run.labels != model.labels or run.objective.name != model.kind.predicts.name:
        told = ", ".join(run.labels)
        raise UsageError(f"--seeds: {run.directory} predicts {told}, and the model {', '.join(model.labels)}")
