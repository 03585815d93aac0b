"""The manifest of a bundle: the protobuf message `Bundle` as JSON, and the digests that it carries.

Free of torch, so that bundles can be written by anything that has a graph (tests edit graphs and publish them again).
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_export.errors import UsageError

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
GRAPH_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"
GOLDEN_NAME = "golden.npz"
BACKGROUND_NAME = "background.npz"
LIME_NAME = "lime.npz"
MODEL_CARD_NAME = "MODEL_CARD.md"

# The rule that bundle.proto states for Bundle.model.
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_READ_BYTES = 1 << 20


def check_model_name(model: str) -> str:
    """Returns the name; raises UsageError when a repository cannot have a model of that name."""
    if not _MODEL_NAME.fullmatch(model):
        raise UsageError(
            f"{model!r} cannot name a model: use at most 64 lower-case letters, digits, '.', '_' and '-', "
            "and begin with a letter or digit (--name)"
        )
    return model


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
