"""What `explicate export` publishes for each kind of input and objective, as it is today."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # JSON values, and onnx without types

import numpy as np
import onnx
import pytest

from pins import record, tiny
from pins.conftest import Exported

_OF_ONE_DIGEST = ("tokenizer.json", "labels.json")

each_model = pytest.mark.parametrize("name", tiny.NAMES)


@each_model
def test_the_manifest_and_the_files(exported: Callable[[str], Exported], name: str) -> None:
    folder = exported(name).folder
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    files = {path.name: _described(path) for path in sorted(folder.iterdir())}
    assert sorted(file["name"] for file in manifest["files"]) == sorted(set(files) - {"manifest.json"})
    seen = {
        "manifest": record.masked(record.without(manifest, ["files"])),
        "manifest_order": list(manifest),
        "files": files,
    }
    record.check(f"bundles/{name}.json", seen)


def _described(path: Path) -> Any:
    """Digest, arrays or graph of a file of a bundle, whichever is the same everywhere."""
    if path.name in _OF_ONE_DIGEST:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: record.described_array(arrays[name]) for name in arrays.files}
    return _graph(path) if path.suffix == ".onnx" else "<text>"


def _graph(path: Path) -> Mapping[str, Any]:
    model = onnx.load(path)
    return {
        "inputs": [_value(value) for value in model.graph.input],
        "outputs": [_value(value) for value in model.graph.output],
        "opsets": [f"{opset.domain} {opset.version}".strip() for opset in model.opset_import],
    }


def _value(value: Any) -> str:
    tensor = value.type.tensor_type
    shape = ", ".join(str(dim.dim_param or dim.dim_value) for dim in tensor.shape.dim)
    return f"{value.name} {onnx.TensorProto.DataType.Name(tensor.elem_type)}[{shape}]"


@each_model
def test_the_model_card(exported: Callable[[str], Exported], name: str) -> None:
    bundle = exported(name)
    card = (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    record.check(f"cards/{name}.md", record.three_digits(record.cleaned(card, bundle.places)))


@each_model
def test_the_lines_that_export_prints(exported: Callable[[str], Exported], name: str) -> None:
    bundle = exported(name)
    record.check(f"export/{name}.txt", record.cleaned(bundle.said.text(), bundle.places))
