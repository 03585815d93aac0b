"""The kinds of models: what each reads and what it predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from explicate.v1 import bundle_pb2

Reads = Literal["text", "tabular", "image"]
Predicts = Literal["class", "labels", "value"]


@dataclass(frozen=True)
class Kind:
    """What a kind of model reads and predicts: one class of several, any number of labels, or a number."""

    reads: Reads
    predicts: Predicts


KINDS: Mapping[int, Kind] = MappingProxyType(
    {
        bundle_pb2.MODEL_KIND_TEXT_CLASSIFICATION: Kind("text", "class"),
        bundle_pb2.MODEL_KIND_TEXT_MULTI_LABEL: Kind("text", "labels"),
        bundle_pb2.MODEL_KIND_TEXT_REGRESSION: Kind("text", "value"),
        bundle_pb2.MODEL_KIND_TABULAR_CLASSIFICATION: Kind("tabular", "class"),
        bundle_pb2.MODEL_KIND_TABULAR_MULTI_LABEL: Kind("tabular", "labels"),
        bundle_pb2.MODEL_KIND_TABULAR_REGRESSION: Kind("tabular", "value"),
        bundle_pb2.MODEL_KIND_IMAGE_CLASSIFICATION: Kind("image", "class"),
        bundle_pb2.MODEL_KIND_IMAGE_MULTI_LABEL: Kind("image", "labels"),
        bundle_pb2.MODEL_KIND_IMAGE_REGRESSION: Kind("image", "value"),
    }
)
"""By the number that a manifest names it with."""
