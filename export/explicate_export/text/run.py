"""The run directory of a model of texts, or of pairs of texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_export.errors import UsageError
from explicate_export.training_run import (
    HELD_OUT_NAME,
    UNFINISHED,
    Target,
    TrainingRun,
    check_files,
    field,
    read_base_model,
    read_labels,
    read_lines,
    read_run,
    read_target,
    read_target_name,
)

KINDS = {
    "text-classification": bundle_pb2.MODEL_KIND_TEXT_CLASSIFICATION,
    "text-multi-label": bundle_pb2.MODEL_KIND_TEXT_MULTI_LABEL,
    "text-regression": bundle_pb2.MODEL_KIND_TEXT_REGRESSION,
}
Texts = tuple[str, ...]
"""One text, or the two of a pair."""
MIN_MAX_TOKENS = 8  # a server refuses bundles of models that read less: special tokens and hardly a word


@dataclass(frozen=True)
class TextRun:
    """A finished run that trained a model of texts; its model directory is a Hugging Face one."""

    training: TrainingRun
    kind: int  # a bundle_pb2.ModelKind
    base_model: str
    labels: tuple[str, ...]  # by output; empty for regression
    target_name: str  # of regression, else empty
    target: Target  # of regression
    pairs: bool  # whether it reads two texts
    max_tokens: int  # special tokens included
    held_out: tuple[Texts, ...]  # of the test split, in file order

    @property
    def regression(self) -> bool:
        """Whether a number is predicted, not classes."""
        return self.kind == bundle_pb2.MODEL_KIND_TEXT_REGRESSION

    @property
    def model_directory(self) -> Path:
        """The folder with config, weights and tokenizer."""
        return self.training.model_directory


def read_text_run(directory: Path) -> TextRun:
    """Raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    run = read_run(directory)
    check_files(run.model_directory, ("config.json", "model.safetensors", "tokenizer.json"))
    kind = KINDS[field(run.settings, "kind", str, run.file)]
    regression = kind == bundle_pb2.MODEL_KIND_TEXT_REGRESSION
    # Runs from before there were pairs do not say so.
    pairs = "pairs" in run.settings and field(run.settings, "pairs", bool, run.file)
    return TextRun(
        training=run,
        kind=kind,
        base_model=read_base_model(run),
        labels=read_labels(run),
        target_name=read_target_name(run) if regression else "",
        target=read_target(run) if regression else Target(),
        pairs=pairs,
        max_tokens=_max_tokens(run),
        held_out=_held_out(directory / HELD_OUT_NAME, pairs=pairs),
    )


def _max_tokens(run: TrainingRun) -> int:
    max_tokens: int = field(run.settings, "max_tokens", int, run.file)
    if max_tokens < MIN_MAX_TOKENS:
        raise UsageError(
            f"{run.file}: max_tokens is {max_tokens}, and a server needs at least {MIN_MAX_TOKENS}: train again"
        )
    return max_tokens


def _held_out(path: Path, *, pairs: bool) -> tuple[Texts, ...]:
    rows = tuple(_usable(path, ("text", "text_pair") if pairs else ("text",)))
    if not rows:
        raise UsageError(f"{path} has no texts, and the export must be compared on some: {UNFINISHED}")
    return rows


def _usable(path: Path, names: tuple[str, ...]) -> Iterator[Texts]:
    for place, value in read_lines(path):
        texts = tuple(_text(value, name, place) for name in names)
        # A lone surrogate has no UTF-8 form; a server refuses such texts, so there is nothing to compare.
        if all(text.strip() and not any("\ud800" <= c <= "\udfff" for c in text) for text in texts):
            yield texts


def _text(value: Any, name: str, place: str) -> str:
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise UsageError(f'{place}: not an object with a "{name}": {UNFINISHED}')
    return text
