"""A finished training run: its record, and its held-out inputs with the model's own outputs.

Read and checked before anything expensive is done.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

from google.protobuf import json_format

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.kinds.kind import Check
from explicate_bundle.objective import OBJECTIVES
from explicate_bundle.telling.grounds import GROUNDS_KEY, read_grounds
from explicate_bundle.telling.slice_notes import SLICES_KEY, read_slices
from explicate_export.described import DescribedModel, HeldOut, HeldOutInput
from explicate_export.errors import UsageError, first_line
from explicate_export.parity import Origin

RUN_NAME = "run.json"
HELD_OUT_NAME = "held_out.jsonl"
UNFINISHED = "the run is not complete, so let `explicate train` finish or train again"


def trained(record: TrainingRun) -> Origin:
    """How sentences tell of a model of a run."""
    return Origin(
        inputs="held-out",
        library="torch",
        original="training's own model",
        encoder="training",
        answers="those that training wrote into held_out.jsonl",
        difference="the inputs are encoded otherwise than in training, or files of the run have changed since",
        metrics_of="the held-out test split",
        no_verdict="The run does not say how the model compares with others.",
        reproduction=f"Train with the run's `config.toml` (seed {record.seed}) on the data above, then export the run:",
        commands=("explicate train config.toml", "explicate export RUN --repository DIR"),
    )


@dataclass(frozen=True, kw_only=True)
class FinishedRun(DescribedModel):
    """A finished training run: run.json, metrics.json's key "test", data.json, and the folder that they are in."""

    directory: Path

    @property
    def file(self) -> Path:
        """run.json, for messages."""
        return self.directory / RUN_NAME

    @property
    def model_directory(self) -> Path:
        """The folder with the model's config and weights."""
        return self.directory / "model"

    def check_outputs(self, outputs: int, names: Mapping[int, str] | None = None) -> None:
        """Raises UsageError if the model has another number of outputs than the record, or orders them otherwise."""
        problem = ""
        if outputs != self.outputs:
            problem = f"names {len(self.labels)} labels and the model has {outputs} outputs"
        named = [str((names or {}).get(index)) for index in range(outputs)]
        # A model that was never told its labels has LABEL_0, LABEL_1, ...
        if set(named) == set(self.labels) and tuple(named) != self.labels:
            problem = f"orders the labels {list(self.labels)} and the model {named}"
        if problem:
            raise UsageError(f"{self.directory} is not consistent: run.json {problem}, so train again")


def read_run(directory: Path) -> FinishedRun:
    """Raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a run directory: give the folder that `explicate train` printed")
    path, metrics = directory / RUN_NAME, directory / "metrics.json"
    try:
        record = json_format.Parse(_read_text(path), TrainingRun())
    except (json_format.ParseError, RecursionError) as error:
        raise UsageError(f"{path} is not the record of a training run ({first_line(error)}): train again") from None
    for holds, otherwise in _record_checks(record):
        if not holds:
            raise UsageError(f"{path}: {otherwise}: train again")
    measured = _read_object(metrics)
    test_metrics = measured.get("test")
    if not isinstance(test_metrics, dict):
        raise UsageError(f"{metrics}: 'test' is missing or not an object: {UNFINISHED}")
    data_report = _read_object(directory / "data.json")
    run = FinishedRun(
        record=record,
        origin=trained(record),
        test_metrics=test_metrics,
        data_report=data_report,
        grounds=read_grounds(measured.get(GROUNDS_KEY)),
        slices=read_slices(measured.get(SLICES_KEY)),
        directory=directory,
    )
    problem = run.draft_problem()
    if problem is not None:
        raise UsageError(f"{path} describes a model that no server takes ({problem}): train again")
    return run


def _record_checks(record: TrainingRun) -> Iterator[Check]:
    """What a record must say, in an order in which each may rely on those before it."""
    known = ", ".join(map(repr, OBJECTIVES))
    yield record.objective in OBJECTIVES, f"'objective' is {record.objective!r}, not one of {known}"
    yield record.WhichOneof("schema") is not None, "'text', 'tabular' or 'image' is missing"
    yield record.HasField("seed"), "'seed' is missing"
    for name in ("data_sha256", "target_name", "base_model"):
        yield bool(getattr(record, name)), f"{name!r} is missing"
    yield all(record.labels), "a label is empty"
    if record.HasField("verdict"):
        yield bool(record.verdict.rivals), "'verdict' compares with nothing"
    yield len(record.logit_offsets) in (0, len(record.labels)), "'logit_offsets' are not one for each label"
    if record.HasField("target_scale"):
        mean, spread = record.target_scale.mean, record.target_scale.spread
        finite = isfinite(mean) and isfinite(spread) and spread > 0
        yield finite, "target_scale must be finite, its spread above 0"


def check_files(directory: Path, names: Sequence[str]) -> None:
    """Raises UsageError when one of them is missing."""
    for name in names:
        if not (directory / name).is_file():
            raise UsageError(f"{directory / name} is missing: {UNFINISHED}")


def read_held_out(run: FinishedRun, read: Callable[[Mapping[str, Any]], HeldOutInput | None]) -> list[HeldOut]:
    """The test split, in file order.

    Args:
        run: whose held_out.jsonl is read.
        read: makes an input of a line; None if a server would refuse it, so that there is nothing to compare. Raises
            UsageError, which then gets the line's place.
    """
    path = run.directory / HELD_OUT_NAME
    held_out = []
    for place, line in _read_lines(path):
        try:
            value = read(_object(line))
            target, outputs = _target(line, run), _outputs(line, run.outputs)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        if value is not None:
            held_out.append(HeldOut(value, outputs, target))
    if not held_out:
        raise UsageError(
            f"{path} has no {run.kind.reads.plural}, and the export must be compared on some: {UNFINISHED}"
        )
    return held_out


def _object(line: Any) -> dict[str, Any]:
    if not isinstance(line, dict):
        raise UsageError(f"not an object: {UNFINISHED}")
    return line


def _outputs(line: Mapping[str, Any], count: int) -> list[float]:
    outputs = line.get("outputs")
    if not isinstance(outputs, list) or len(outputs) != count or not all(map(_is_number, outputs)):
        raise UsageError(f'"outputs" are not the {count} that the model gave, as training writes them: train again')
    return outputs


def _target(line: Mapping[str, Any], run: FinishedRun) -> float | None:
    if run.labels:
        return None
    target = line.get("label", line.get("value"))
    if not _is_number(target):
        raise UsageError(f'"label" is not a finite number: {UNFINISHED}')
    return float(target)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}): {UNFINISHED}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object: {UNFINISHED}")
    return value


def _read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The JSON values in a file of one a line, each with its place for messages ("FILE, line 3").

    Lines end with "\\n" only: other line separators occur inside texts. Empty lines are passed over.
    """
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                yield place, json.loads(line)
            except ValueError as error:
                raise UsageError(f"{place}: not JSON ({error}): {UNFINISHED}") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {UNFINISHED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): {UNFINISHED}") from None
