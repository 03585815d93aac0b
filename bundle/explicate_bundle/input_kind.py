"""What models read, and the kinds of models: each reads one kind of input and predicts by one objective.

A kind of input is one file in kinds/ and one entry of INPUT_KINDS.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from explicate_bundle.kinds.image_kind import IMAGE
from explicate_bundle.kinds.kind import InputKind
from explicate_bundle.kinds.table_kind import TABLE
from explicate_bundle.kinds.text_kind import TEXT
from explicate_bundle.objective import OBJECTIVES, Objective

INPUT_KINDS: Mapping[str, InputKind] = {kind.name: kind for kind in (TEXT, TABLE, IMAGE)}
"""By name."""


@dataclass(frozen=True)
class ModelKind:
    """What a kind of model reads and predicts, and the manifest's number of it."""

    reads: InputKind
    predicts: Objective
    number: int

    @property
    def name(self) -> str:
        """As a run names it, such as "tabular-classification"."""
        return f"{self.reads.field}-{self.predicts.name}"


def model_kinds() -> Iterator[ModelKind]:
    """Every kind of model, by what it reads."""
    for kind in INPUT_KINDS.values():
        for objective in OBJECTIVES.values():
            if kind.name in objective.numbers:
                yield ModelKind(kind, objective, objective.numbers[kind.name])


def kind_of(number: int) -> ModelKind | None:
    """The kind that a manifest names with a number; None if there is no such kind."""
    return next((kind for kind in model_kinds() if kind.number == number), None)


def kind_named(name: str) -> ModelKind | None:
    """The kind that a run names, such as "tabular-classification"; None if there is no such kind."""
    return next((kind for kind in model_kinds() if kind.name == name), None)
