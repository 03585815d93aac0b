"""What models read, and the kinds of models: each reads one kind of input and predicts by one objective.

A kind of input is one file in kinds/ and one entry of INPUT_KINDS.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from explicate.v1 import bundle_pb2
from explicate_bundle.kinds.image_kind import IMAGE
from explicate_bundle.kinds.kind import InputKind
from explicate_bundle.kinds.table_kind import TABLE
from explicate_bundle.kinds.text_kind import TEXT
from explicate_bundle.objective import OBJECTIVES, Objective

INPUT_KINDS: Mapping[str, InputKind] = {kind.name: kind for kind in (TEXT, TABLE, IMAGE)}
"""By name."""


@dataclass(frozen=True)
class ModelKind:
    """What a kind of model reads and predicts."""

    reads: InputKind
    predicts: Objective

    @property
    def name(self) -> str:
        """As a run names it, such as "tabular-classification"."""
        return f"{self.reads.field}-{self.predicts.name}"


def model_kinds() -> Iterator[ModelKind]:
    """Every kind of model, by what it reads."""
    return (ModelKind(kind, objective) for kind in INPUT_KINDS.values() for objective in OBJECTIVES.values())


def kind_of(manifest: bundle_pb2.Bundle) -> ModelKind | None:
    """The kind of a manifest's model; None if there is no such kind."""
    said = (manifest.input_kind, manifest.objective)
    return next((kind for kind in model_kinds() if (kind.reads.number, kind.predicts.number) == said), None)


def kind_named(name: str) -> ModelKind | None:
    """The kind that a run names, such as "tabular-classification"; None if there is no such kind."""
    return next((kind for kind in model_kinds() if kind.name == name), None)


def split_kind(manifest: bundle_pb2.Bundle) -> bundle_pb2.Bundle:
    """Say what a model reads and predicts in two fields where ``manifest`` says it in one, as version 0.1 wrote it."""
    if not manifest.kind or manifest.kind not in bundle_pb2.ModelKind.values():
        return manifest
    name = bundle_pb2.ModelKind.Name(manifest.kind).removeprefix("MODEL_KIND_")
    input_kind, _, objective = name.partition("_")
    manifest.input_kind = bundle_pb2.InputKind.Value(f"INPUT_KIND_{input_kind}")
    manifest.objective = bundle_pb2.Objective.Value(f"OBJECTIVE_{objective}")
    manifest.ClearField("kind")
    return manifest
