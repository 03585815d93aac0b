"""Changes to a published bundle, for tests of what a server makes of them."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden, read_golden, write_golden
from explicate_bundle.writing import variant_name


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes manifest.json in place."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Gives a file another content, with a digest in the manifest that fits."""
    (folder / name).write_bytes(content)

    def update(manifest: dict[str, Any]) -> None:
        (entry,) = (file for file in manifest["files"] if file["name"] == name)
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": str(len(content))}

    edit_manifest(folder, update)


def add_variant(folder: Path, precision: str, content: bytes, **said: Any) -> None:
    """Puts a graph beside model.onnx, listed as the variant of a precision; `said` of it is what differs."""
    name = variant_name(precision)
    (folder / name).write_bytes(content)
    variant = {
        "precision": precision,
        "file": name,
        "output_tolerance": 5e-3,
        "attribution_tolerance": 0.02,
        "output_difference": 1e-4,
        "attribution_difference": 1e-3,
        "ordered_pairs": 3,
    }

    def update(manifest: dict[str, Any]) -> None:
        digest = hashlib.sha256(content).hexdigest()
        manifest["files"].append({"name": name, "sha256": digest, "size_bytes": str(len(content))})
        manifest.setdefault("variants", []).append(variant | said)

    edit_manifest(folder, update)


def edit_arrays(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the arrays of a file in place, with a digest in the manifest that fits."""
    with np.load(folder / name) as stored:
        arrays = dict(stored)
    change(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    replace_file(folder, name, content.getvalue())


def edit_golden(folder: Path, change: Callable[[Golden], Golden]) -> None:
    """Changes the golden inputs, their outputs or attributions."""
    changed = folder.parent / "changed.npz"
    manifest = json_format.Parse((folder / "manifest.json").read_text(), bundle_pb2.Bundle())
    write_golden(changed, change(read_golden(folder / "golden.npz", manifest)), manifest)
    replace_file(folder, "golden.npz", changed.read_bytes())
    changed.unlink()
