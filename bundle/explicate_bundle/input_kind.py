"""The kinds of models: what each reads and what it predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from explicate.v1 import bundle_pb2

Reads = Literal["text", "tabular", "image"]
Predicts = Literal["class", "labels", "value"]

_READS: Mapping[int, Reads] = {
    bundle_pb2.INPUT_KIND_TEXT: "text",
    bundle_pb2.INPUT_KIND_TABULAR: "tabular",
    bundle_pb2.INPUT_KIND_IMAGE: "image",
}
_PREDICTS: Mapping[int, Predicts] = {
    bundle_pb2.OBJECTIVE_CLASSIFICATION: "class",
    bundle_pb2.OBJECTIVE_MULTI_LABEL: "labels",
    bundle_pb2.OBJECTIVE_REGRESSION: "value",
}


@dataclass(frozen=True)
class Kind:
    """What a kind of model reads and predicts: one class of several, any number of labels, or a number."""

    reads: Reads
    predicts: Predicts


KINDS: Mapping[tuple[int, int], Kind] = MappingProxyType(
    {(read, predicted): Kind(_READS[read], _PREDICTS[predicted]) for read in _READS for predicted in _PREDICTS}
)
"""By the input kind and the objective of a manifest."""


def split_kind(manifest: bundle_pb2.Bundle) -> None:
    """Say what a model reads and predicts in two fields where ``manifest`` says it in one, as version 0.1 wrote it."""
    if not manifest.kind or manifest.kind not in bundle_pb2.ModelKind.values():
        return
    _, _, kind = bundle_pb2.ModelKind.Name(manifest.kind).partition("MODEL_KIND_")
    input_kind, _, objective = kind.partition("_")
    manifest.input_kind = bundle_pb2.InputKind.Value(f"INPUT_KIND_{input_kind}")
    manifest.objective = bundle_pb2.Objective.Value(f"OBJECTIVE_{objective}")
    manifest.ClearField("kind")
