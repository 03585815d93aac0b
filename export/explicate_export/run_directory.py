"""What `explicate train` leaves behind, read and checked before anything expensive is done with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

from explicate_export.errors import UsageError

KIND = "text-classification"
MIN_MAX_TOKENS = 8  # a server refuses bundles of models that read less: special tokens and hardly a word
_MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True)
class TrainingRun:
    """A finished training run."""

    directory: Path
    labels: tuple[str, ...]  # by class index
    max_tokens: int  # special tokens included
    base_model: str
    seed: int
    data_sha256: str
    tool_versions: Mapping[str, str]
    test_metrics: Mapping[str, Any]  # of metrics.json, key "test"
    data_report: Mapping[str, Any]  # data.json
    held_out_texts: tuple[str, ...]  # of the test split, in file order

    @property
    def model_directory(self) -> Path:
        """The Hugging Face directory with config, weights and tokenizer."""
        return self.directory / "model"


def read_run(directory: Path) -> TrainingRun:
    """Reads a run directory; raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a run directory: give the folder that `explicate train` printed")
    run_file = directory / "run.json"
    run = _read_object(run_file)
    if run.get("kind") != KIND:
        raise UsageError(f"{run_file}: kind is {run.get('kind')!r}, and only {KIND!r} can be exported")
    _check_model_files(directory / "model")
    return TrainingRun(
        directory=directory,
        labels=_labels(run, run_file),
        max_tokens=_max_tokens(run, run_file),
        base_model=_field(run, "base_model", str, run_file),
        seed=_field(run, "seed", int, run_file),
        data_sha256=_field(run, "data_sha256", str, run_file),
        tool_versions={str(k): str(v) for k, v in _field(run, "tool_versions", dict, run_file).items()},
        test_metrics=_field(_read_object(directory / "metrics.json"), "test", dict, directory / "metrics.json"),
        data_report=_read_object(directory / "data.json"),
        held_out_texts=_held_out_texts(directory / "held_out.jsonl"),
    )


def _check_model_files(model_directory: Path) -> None:
    missing = [name for name in _MODEL_FILES if not (model_directory / name).is_file()]
    if missing:
        raise UsageError(f"{model_directory} lacks {', '.join(missing)}: {_UNFINISHED}")


def _labels(run: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    labels = _field(run, "labels", list, path)
    if len(labels) < 2 or len(set(map(str, labels))) < len(labels) or not all(isinstance(x, str) and x for x in labels):
        raise UsageError(f"{path}: labels must be at least two different names, not {labels!r}")
    return tuple(labels)


def _max_tokens(run: Mapping[str, Any], path: Path) -> int:
    max_tokens: int = _field(run, "max_tokens", int, path)
    if max_tokens < MIN_MAX_TOKENS:
        raise UsageError(
            f"{path}: max_tokens is {max_tokens}, and a server needs at least {MIN_MAX_TOKENS}: train again"
        )
    return max_tokens


def _held_out_texts(path: Path) -> tuple[str, ...]:
    texts = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError):
            raise UsageError(f'{path}, line {number}: not an object with a "text": {_UNFINISHED}') from None
        if not isinstance(text, str):
            raise UsageError(f"{path}, line {number}: the text is not a string: {_UNFINISHED}")
        # A lone surrogate has no UTF-8 form; a server refuses such texts, so there is nothing to compare.
        if text.strip() and not any("\ud800" <= character <= "\udfff" for character in text):
            texts.append(text)
    if not texts:
        raise UsageError(f"{path} has no texts, and the export must be compared on some: {_UNFINISHED}")
    return tuple(texts)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}): {_UNFINISHED}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object: {_UNFINISHED}")
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {_UNFINISHED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): {_UNFINISHED}") from None


def _field(values: Mapping[str, Any], name: str, kind: type, path: Path) -> Any:
    value = values.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"{path}: {name!r} is missing or not of type {kind.__name__}: {_UNFINISHED}")
    return value


_UNFINISHED = "the run is not complete, so let `explicate train` finish or train again"
