"""The files of a bundle by name, and its manifest: the protobuf message `Bundle` as JSON, with the files' digests."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from google.protobuf import json_format

from explicate.v1 import bundle_pb2

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "model.sig"
GRAPH_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"
EXPLAINER_NAME = "explainer.onnx"
GRADIENT_NAME = "gradient.onnx"
GOLDEN_NAME = "golden.npz"
BACKGROUND_NAME = "background.npz"
BASELINES_NAME = "baselines.npz"
LIME_NAME = "lime.npz"
TREES_NAME = "trees.npz"
MODEL_CARD_NAME = "MODEL_CARD.md"
STANDARD_RECORD_NAME = "standard.json"
STANDARD_ROWS_NAME = "standard_rows.npz"
GRAPH_PRECISION = "fp32"
"""Of model.onnx."""
VARIANT_PRECISIONS = ("fp16", "bf16", "int8")
"""What a variant of model.onnx may compute in; see ModelVariant."""

_READ_BYTES = 1 << 20


def variant_name(precision: str) -> str:
    """The file of a variant, such as "model.fp16.onnx"."""
    return f"{Path(GRAPH_NAME).stem}.{precision}{Path(GRAPH_NAME).suffix}"


def precision_of(graph: Path) -> str:
    """What a graph of a bundle is written in, by the name of its file."""
    return next((each for each in VARIANT_PRECISIONS if graph.name == variant_name(each)), GRAPH_PRECISION)


def describe_files(folder: Path, names: Iterable[str]) -> list[bundle_pb2.BundleFile]:
    """Name, SHA-256 and size in bytes of each file, in the order of the names."""
    return [
        bundle_pb2.BundleFile(name=name, sha256=sha256_of(folder / name), size_bytes=(folder / name).stat().st_size)
        for name in names
    ]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def manifest_bytes(manifest: bundle_pb2.Bundle) -> bytes:
    """The bytes of manifest.json; their SHA-256 is the bundle's digest."""
    text = json_format.MessageToJson(manifest, preserving_proto_field_name=True, indent=2, ensure_ascii=False)
    return (text + "\n").encode()
