"""Variants of a graph in a manifest: all that is said of one is checked, and its file is covered by a digest."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as some

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, verify_bundle, what_is_missing
from explicate_bundle.errors import BundleError
from explicate_bundle.manifest import checks
from explicate_bundle.writing import VARIANT_PRECISIONS, describe_files, manifest_bytes, variant_name
from support.bundle_edits import add_variant, edit_manifest

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"precision": "fp8"}, r"precision 'fp8' in variants is not known"),
    ({"precision": ""}, r"precision '' in variants is not known"),
    ({"precision": "fp32"}, r"precision 'fp32' in variants is not known, or is model\.onnx's own"),
    ({"precision": "int8"}, r"variants\[int8\]\.file is 'model\.fp16\.onnx', not 'model\.int8\.onnx'"),
    ({"precision": "int8", "file": "model.int8.onnx"}, r"files do not list model\.int8\.onnx, which variants do"),
    (
        {"file": "../../2/model.fp16.onnx"},
        r"variants\[fp16\]\.file is '\.\./\.\./2/model\.fp16\.onnx', not 'model\.fp16",
    ),
    ({"file": "/etc/passwd"}, r"variants\[fp16\]\.file is '/etc/passwd', not"),
    ({"file": ""}, r"variants\[fp16\]\.file is '', not"),
    ({"file": "model.onnx"}, r"variants\[fp16\]\.file is 'model\.onnx', not"),
    ({"output_tolerance": 0}, r"variants\[fp16\]\.output_tolerance is 0"),
    ({"output_tolerance": "Infinity"}, r"variants\[fp16\]\.output_tolerance is inf"),
    ({"attribution_tolerance": "NaN"}, r"variants\[fp16\]\.attribution_tolerance is nan"),
    ({"output_difference": 0.006}, r"variants\[fp16\]\.output_difference is 0\.006, and 0\.005 is allowed"),
    ({"attribution_difference": -0.1}, r"variants\[fp16\]\.attribution_difference is -0\.1"),
    ({"ordered_pairs": -1}, r"variants\[fp16\]\.ordered_pairs is -1"),
    ({"weight": 1}, "not a bundle manifest"),
]


@pytest.fixture
def folder(tiny_repository: Path, tmp_path: Path) -> Path:
    """A text classifier's bundle with a variant that is a copy of its graph."""
    copied = Path(shutil.copytree(tiny_repository / "tiny" / "1", tmp_path / "tiny" / "1"))
    add_variant(copied, "fp16", (copied / "model.onnx").read_bytes())
    return copied


def verified(folder: Path) -> VerifiedBundle:
    return verify_bundle(folder, model="tiny", version=1)


def test_a_bundle_says_what_it_can_be_served_in(folder: Path, tiny_repository: Path) -> None:
    bundle = verified(folder)
    (variant,) = bundle.manifest.variants
    assert bundle.precisions == ("fp32", "fp16")
    assert bundle.variant_path(variant) == folder / "model.fp16.onnx"
    assert verified(tiny_repository / "tiny" / "1").precisions == ("fp32",)


@pytest.mark.parametrize(("change", "named"), CHANGES)
def test_a_variant_that_lies_is_refused_and_the_field_named(folder: Path, change: dict[str, Any], named: str) -> None:
    edit_manifest(folder, lambda m: m["variants"][0].update(change))
    with pytest.raises(BundleError, match=named):
        verified(folder)


def test_two_variants_of_one_precision_are_refused(folder: Path) -> None:
    edit_manifest(folder, lambda m: m["variants"].append(m["variants"][0]))
    with pytest.raises(BundleError, match="precisions in variants repeat"):
        verified(folder)


def test_variants_without_attributions_to_hold_them_to_are_refused(folder: Path) -> None:
    edit_manifest(folder, lambda m: m.pop("golden_attributions"))
    with pytest.raises(BundleError, match="variants are listed without golden_attributions"):
        verified(folder)


def test_a_variants_file_that_was_altered_is_gone_or_lies_there_unlisted_is_refused(folder: Path) -> None:
    path = folder / "model.fp16.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx has been altered"):
        verified(folder)
    path.unlink()
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx is missing"):
        verified(folder)
    assert "model.fp16.onnx" in what_is_missing(folder)
    path.write_bytes(content)
    (folder / "model.int8.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"'model\.int8\.onnx' lies in the bundle's folder"):
        verified(folder)


def test_a_variant_that_is_a_link_or_names_other_files_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.fp16.onnx"
    path.rename(tmp_path / "elsewhere.onnx")
    path.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx is missing or is not a plain file"):
        verified(folder)
    path.unlink()
    path.write_bytes(b"no graph")
    (described,) = describe_files(folder, ["model.fp16.onnx"])
    fits = {"sha256": described.sha256, "size_bytes": described.size_bytes}
    edit_manifest(folder, lambda m: [f.update(fits) for f in m["files"] if f["name"] == "model.fp16.onnx"])
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx: it is not an ONNX graph"):
        verified(folder)


_SHARES = some.floats(min_value=0, max_value=1)


@some.composite
def variants(draw: some.DrawFn, precision: str) -> bundle_pb2.ModelVariant:
    """Any variant that a manifest may list."""
    tolerances = [draw(some.floats(min_value=1e-300, max_value=1e300)) for _ in range(2)]
    return bundle_pb2.ModelVariant(
        precision=precision,
        file=variant_name(precision),
        output_tolerance=tolerances[0],
        attribution_tolerance=tolerances[1],
        output_difference=tolerances[0] * draw(_SHARES),
        attribution_difference=tolerances[1] * draw(_SHARES),
        ordered_pairs=draw(some.integers(min_value=0, max_value=2**31 - 1)),
    )


@given(some.data())
def test_whatever_may_be_listed_survives_the_manifest_and_its_checks(tiny_manifest: str, data: some.DataObject) -> None:
    manifest = json_format.Parse(tiny_manifest, bundle_pb2.Bundle())
    for precision in data.draw(some.lists(some.sampled_from(VARIANT_PRECISIONS), unique=True)):
        manifest.variants.append(data.draw(variants(precision)))
        manifest.files.add(name=variant_name(precision), sha256="0" * 64, size_bytes=1)
    read = json_format.Parse(manifest_bytes(manifest), bundle_pb2.Bundle())
    assert read == manifest
    assert [otherwise for holds, otherwise in checks(read, model="tiny", version=1) if not holds] == []


@pytest.fixture(scope="module")
def tiny_manifest(tiny_repository: Path) -> str:
    return (tiny_repository / "tiny" / "1" / "manifest.json").read_text(encoding="utf-8")
