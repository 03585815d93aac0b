"""The run directory of a text classifier."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explicate_export.errors import UsageError
from explicate_export.run_directory import HELD_OUT_NAME, TrainingRun, read_labels, read_run
from explicate_export.run_files import UNFINISHED, check_files, field, read_lines

MIN_MAX_TOKENS = 8  # a server refuses bundles of models that read less: special tokens and hardly a word


@dataclass(frozen=True)
class TextRun:
    """A finished run that trained a text classifier; its model directory is a Hugging Face one."""

    training: TrainingRun
    base_model: str
    labels: tuple[str, ...]  # by class index
    max_tokens: int  # special tokens included
    held_out_texts: tuple[str, ...]  # of the test split, in file order

    @property
    def model_directory(self) -> Path:
        """The folder with config, weights and tokenizer."""
        return self.training.model_directory


def read_text_run(directory: Path) -> TextRun:
    """Raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    run = read_run(directory)
    check_files(run.model_directory, ("config.json", "model.safetensors", "tokenizer.json"))
    return TextRun(
        training=run,
        base_model=field(run.settings, "base_model", str, run.file),
        labels=read_labels(run),
        max_tokens=_max_tokens(run),
        held_out_texts=_held_out_texts(directory / HELD_OUT_NAME),
    )


def _max_tokens(run: TrainingRun) -> int:
    max_tokens: int = field(run.settings, "max_tokens", int, run.file)
    if max_tokens < MIN_MAX_TOKENS:
        raise UsageError(
            f"{run.file}: max_tokens is {max_tokens}, and a server needs at least {MIN_MAX_TOKENS}: train again"
        )
    return max_tokens


def _held_out_texts(path: Path) -> tuple[str, ...]:
    texts = tuple(_usable(path))
    if not texts:
        raise UsageError(f"{path} has no texts, and the export must be compared on some: {UNFINISHED}")
    return texts


def _usable(path: Path) -> Iterator[str]:
    for place, value in read_lines(path):
        text = value.get("text") if isinstance(value, dict) else None
        if not isinstance(text, str):
            raise UsageError(f'{place}: not an object with a "text": {UNFINISHED}')
        # A lone surrogate has no UTF-8 form; a server refuses such texts, so there is nothing to compare.
        if text.strip() and not any("\ud800" <= character <= "\udfff" for character in text):
            yield text
