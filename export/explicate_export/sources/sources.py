"""The sources of models that `explicate bundle` knows, one file each: a new one is a module and its line in SOURCES.

A module of a source has `SOURCE`, an object that does what `Source` says. It is imported to ask whether it knows a
path, so it imports what is heavy (torch, transformers, onnx) inside `opened`.
"""

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol  # labels: names, lists of names or numbers; modules

from explicate_export.conversion import ModelExport, Say
from explicate_export.errors import UsageError

SOURCES = ("pickles", "boosted_files", "onnx_files", "hugging_face")
"""Modules of this package, in the order in which they are asked; the first that knows a path takes it."""


@dataclass(frozen=True, kw_only=True)
class BundleRequest:
    """What a model is bundled from.

    Attributes:
        model: the file or folder of the model.
        inputs: the file of inputs for it, or the folder of their files.
        columns: from a field ("text", "text_pair", "label", …) to the column of the inputs that has it.
        labels: of the outputs, instead of the model's own.
        objective: what it predicts, instead of what the model says: a name of `explicate_bundle.objective.OBJECTIVES`.
        target: name of what a regression predicts.
        max_tokens: what a text model reads at most, instead of its own limit.
        compared: how many inputs it is compared on at most.
    """

    model: Path
    inputs: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    objective: str | None = None
    target: str | None = None
    max_tokens: int | None = None
    compared: int = 256


@dataclass(frozen=True)
class Brought:
    """A model with inputs that were given for it.

    `labels` are what is right of each of `model.held_out`: a name, several, or a number; None where it is not known.
    `notes` are sentences for terminal and report: what was found, assumed or left out.
    """

    model: ModelExport
    labels: Sequence[Any]
    notes: Sequence[str] = ()


class Source(Protocol):
    """Where models come from."""

    about: str
    """What it takes, in words that follow "is not": "a Hugging Face directory (config.json)"."""

    def knows(self, path: Path) -> bool:
        """Whether the path is one of its models, by names of files alone, or meant to be one."""

    def opened(self, request: BundleRequest, say: Say) -> Brought:
        """Loads the model and asks its own library about the inputs.

        Raises UsageError or ConversionError, in one sentence and before expensive work, where it cannot be bundled.
        """


def require(extra: str, *modules: str) -> None:
    """Raises UsageError, naming the extra, if one of its modules is not installed."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{name} is not installed, which such models need: pip install 'explicate[{extra}]'")


def sources() -> Iterator[Source]:
    """All of them, in order."""
    for name in SOURCES:
        module: Any = importlib.import_module(f"{__package__}.{name}")
        source: Source = module.SOURCE
        yield source


def source_of(path: Path) -> Source:
    """The source that knows the path; raises UsageError if none does."""
    if not path.exists():
        raise UsageError(f"{path} is not there: give the folder or the file of the model")
    for source in sources():
        if source.knows(path):
            return source
    known = " nor ".join(source.about for source in sources())
    raise UsageError(f"{path} is not {known}")
