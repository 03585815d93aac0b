"""What every finished training run says of itself, whatever it trained; read before anything expensive is done."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

from explicate_export.errors import UsageError

UNFINISHED = "the run is not complete, so let `explicate train` finish or train again"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises UsageError."""
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}): {UNFINISHED}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object: {UNFINISHED}")
    return value


def read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The JSON values in a file of one a line, each with its place for messages ("FILE, line 3"); raises UsageError.

    Lines end with "\\n" only: other line separators occur inside texts. Empty lines are passed over.
    """
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                yield place, json.loads(line)
            except ValueError as error:
                raise UsageError(f"{place}: not JSON ({error}): {UNFINISHED}") from None


def field(values: Mapping[str, Any], name: str, kind: type, path: Path) -> Any:
    """A value of an object, of the type it must have; raises UsageError."""
    value = values.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{path}: {name!r} is missing or not of type {kind.__name__}: {UNFINISHED}")
    return value


def check_files(directory: Path, names: tuple[str, ...]) -> None:
    """Raises UsageError when one of them is missing."""
    for name in names:
        if not (directory / name).is_file():
            raise UsageError(f"{directory / name} is missing: {UNFINISHED}")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {UNFINISHED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): {UNFINISHED}") from None


RUN_NAME = "run.json"
HELD_OUT_NAME = "held_out.jsonl"


@dataclass(frozen=True)
class TrainingRun:
    """A finished training run: what is the same for all kinds of models."""

    directory: Path
    settings: Mapping[str, Any]  # run.json
    seed: int
    data_sha256: str
    tool_versions: Mapping[str, str]
    test_metrics: Mapping[str, Any]  # of metrics.json, key "test"
    data_report: Mapping[str, Any]  # data.json

    @property
    def file(self) -> Path:
        """run.json, for messages."""
        return self.directory / RUN_NAME

    @property
    def model_directory(self) -> Path:
        """The folder with the model's config and weights."""
        return self.directory / "model"


def read_kind(directory: Path) -> str:
    """What the run trained, such as "text-classification"; raises UsageError when it is no run directory."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a run directory: give the folder that `explicate train` printed")
    path = directory / RUN_NAME
    kind: str = field(read_object(path), "kind", str, path)
    return kind


def read_run(directory: Path) -> TrainingRun:
    """Raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    path, metrics = directory / RUN_NAME, directory / "metrics.json"
    settings = read_object(path)
    return TrainingRun(
        directory=directory,
        settings=settings,
        seed=field(settings, "seed", int, path),
        data_sha256=field(settings, "data_sha256", str, path),
        tool_versions={str(k): str(v) for k, v in field(settings, "tool_versions", dict, path).items()},
        test_metrics=field(read_object(metrics), "test", dict, metrics),
        data_report=read_object(directory / "data.json"),
    )


def read_labels(run: TrainingRun) -> tuple[str, ...]:
    """Labels of the outputs by index: at least two classes, one label of several, none of a regression.

    Raises UsageError.
    """
    labels = field(run.settings, "labels", list, run.file)
    kind: str = field(run.settings, "kind", str, run.file)
    if kind.endswith("-regression"):
        if labels:
            raise UsageError(f"{run.file}: a regression has no classes, so 'labels' must be []: train again")
        return ()
    least = 1 if kind.endswith("-multi-label") else 2
    if len(labels) < least or not all(isinstance(x, str) and x for x in labels) or len(set(labels)) < len(labels):
        wanted = "two different names" if least == 2 else "one name, and all different"
        raise UsageError(f"{run.file}: labels must be at least {wanted}, not {labels!r}")
    return tuple(labels)


@dataclass(frozen=True)
class Target:
    """What takes a regression's answers from standard deviations of its target to the target's unit."""

    mean: float = 0.0
    spread: float = 1.0


def read_target(run: TrainingRun) -> Target:
    """Of a regression whose model answers in standard deviations; raises UsageError."""
    target = Target(*(float(field(run.settings, name, float, run.file)) for name in ("target_mean", "target_spread")))
    if not (isfinite(target.mean) and isfinite(target.spread) and target.spread > 0):
        raise UsageError(f"{run.file}: target_mean and target_spread must be finite, the spread above 0: train again")
    return target


def read_base_model(run: TrainingRun) -> str:
    """What was fine-tuned: a name of a hub, or the name of a folder, without the way to it on this machine."""
    name: str = field(run.settings, "base_model", str, run.file)
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def read_target_name(run: TrainingRun) -> str:
    """The name of what a regression predicts; raises UsageError."""
    name: str = field(run.settings, "target_name", str, run.file)
    if not name:
        raise UsageError(f"{run.file}: target_name is empty: train again")
    return name
