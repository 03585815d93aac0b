"""Inputs to measure a model on: the held-out rows of a run, or a file of the same form from anybody.

One JSON object a line, as `explicate train` writes held_out.jsonl: an input ("text", with "text_pair" for a pair; "row"
of a table, an object by column; the name of a file beside it where the model reads files), and what is right: "label",
"labels" for several, or "value". Nothing of a line is trusted before it was checked.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, cast  # JSON values

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.objective import Objective
from explicate_standards.evaluated_kind import EvaluatedKind
from explicate_standards.evaluated_model import EvaluatedModel

HELD_OUT_NAME = "held_out.jsonl"
_RUN_NAME = "run.json"
_MAX_LINE_BYTES = 16 << 20

Label = int | tuple[int, ...] | float
"""The index of a class, the indices of labels, or a number."""


@dataclass(frozen=True)
class LabelledInput:
    """An input and what is right. `place` is its line in the file, from 1; `label` is None where none is given."""

    place: int
    value: ModelInput
    label: Label | None
    line: Mapping[str, Any]


@dataclass(frozen=True)
class HeldOutRows:
    """The inputs to measure, in the order in which they are; `sha256` is that of the file they were chosen from.

    `of_file` says how many lines it has, `unusable` how many of the chosen ones a server would refuse.
    """

    inputs: tuple[LabelledInput, ...]
    sha256: str
    of_file: int
    unusable: int


def kind_of(model: EvaluatedModel) -> EvaluatedKind:
    """How the kind of input that a model reads is measured: the object of the folder with its name."""
    return cast(EvaluatedKind, import_module(f"explicate_standards.{model.kind.reads.name}.evaluated").KIND)


def rows_of_run(directory: Path) -> Path:
    """The held-out rows of a run.

    Raises:
        UsageError: it is not a finished run.
    """
    path = directory / HELD_OUT_NAME
    if not path.is_file():
        raise UsageError(
            f"{directory} has no {HELD_OUT_NAME}: give the folder of a finished `explicate train`, or rows with --rows"
        )
    return path


def is_of_other_data(directory: Path, model: EvaluatedModel) -> bool:
    """Whether a run says that it was trained on other data than the bundle; its held-out rows then prove nothing."""
    try:
        record = json.loads((directory / _RUN_NAME).read_text(encoding="utf-8"))
        told = record["data_sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    ours = model.bundle.manifest.provenance.data_sha256
    return bool(ours) and told != ours


def read_rows(path: Path, model: EvaluatedModel, *, count: int, seed: int = 0) -> HeldOutRows:
    """At most `count` inputs of a file, drawn at random but the same ones for a seed.

    Raises:
        UsageError: names the line that is not what the model reads.
    """
    content = _content(path)
    lines = list(_lines(path, content))
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(lines))
    kind, unusable = kind_of(model), 0
    inputs: list[LabelledInput] = []
    for index in order.tolist():
        if len(inputs) == count:
            break
        place, line = lines[index]
        try:
            value, label = kind.read(line, model, path.parent), label_of(line, model.kind.predicts, model.labels)
        except UsageError as error:
            raise UsageError(f"{path}, line {place}: {error}") from None
        if value is None or model.modality.violations(value, "input"):
            unusable += 1
        else:
            inputs.append(LabelledInput(place, value, label, line))
    if not inputs:
        raise UsageError(f"{path} has no {model.kind.reads.plural} that {model.name} reads")
    return HeldOutRows(tuple(inputs), hashlib.sha256(content).hexdigest(), len(lines), unusable)


def label_of(line: Mapping[str, Any], objective: Objective, labels: Sequence[str]) -> Label | None:
    """What is right for a line, None where it does not say.

    Raises:
        UsageError: it is not one of the labels, or not a finite number.
    """
    given = next((line[name] for name in ("label", "labels", "value") if line.get(name) is not None), None)
    if given is None:
        return None
    if not objective.least_labels:
        return _number(given)
    if isinstance(given, list) and objective.answer == "labels":
        return tuple(_index(each, labels) for each in given)
    return _index(given, labels)


def _number(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            number = float("inf")
        if isfinite(number):
            return number
    raise UsageError("its label is not a finite number, which this model predicts")


def _index(given: object, labels: Sequence[str]) -> int:
    if isinstance(given, str) and given in labels:
        return labels.index(given)
    told = repr(given) if len(repr(given)) <= 60 else f"{repr(given)[:57]}..."
    known = ", ".join(map(repr, labels[:10])) + (", …" if len(labels) > 10 else "")
    raise UsageError(f"its label is {told}, and the model has {known}")


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file with one a line, each with the number of its line.

    Raises:
        UsageError: the file cannot be read, or names the line that is not an object.
    """
    return _lines(path, _content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): give a file of held-out rows") from None


def _lines(path: Path, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of the lines, each with its number; lines end with "\\n" alone, empty ones are passed over."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        if len(line) > _MAX_LINE_BYTES:
            raise UsageError(f"{place}: is longer than {_MAX_LINE_BYTES >> 20} MiB")
        try:
            value = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise UsageError(f"{place}: is not JSON in UTF-8; give one JSON object a line") from None
        if not isinstance(value, dict):
            raise UsageError(f'{place}: is not a JSON object; give one a line, such as {{"text": …, "label": …}}')
        yield number, value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def is_finite(value: Any) -> bool:
    """Whether a JSON value is a number, and neither true nor false, infinite or not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
