"""What one kind of model puts into a bundle, and says of it; the rest of an export is the same for all kinds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from explicate.v1 import bundle_pb2
from explicate_export.parity import Parity
from explicate_export.training_run import TrainingRun

Say = Callable[[str], None]


@dataclass(frozen=True)
class CardText:
    """The sentences of the model card that differ by kind, in Markdown."""

    summary: str  # what the model is
    inputs: str  # what the comparisons were made on, such as "texts"
    limits: Sequence[str]  # of its use, one sentence or two each
    absence: str  # how explanations express that a part of the input is absent
    sections: Sequence[str] = field(default=())  # whole sections, from "## " on


@dataclass(frozen=True)
class Contents:
    """A kind's part of a bundle, after its files lie in the folder."""

    manifest: bundle_pb2.Bundle  # kind, labels or target, schema, base model, golden tolerances and attributions
    parity: Parity
    card: CardText


class ModelExport(Protocol):
    """A finished run of one kind, its model loaded."""

    @property
    def run(self) -> TrainingRun:
        """What all runs say of themselves."""

    def fill(self, folder: Path, *, compared_inputs: int, say: Say) -> Contents:
        """Converts, compares on that many held-out inputs, and writes the kind's files into the folder.

        Raises ConversionError or ParityError.
        """
