"""Bundles on disk: what is not exactly what the manifest says is refused, by name."""

import hashlib
import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate_bundle.bundle import verify_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.repository import list_bundles
from support.bundle_edits import edit_manifest, replace_file


@pytest.fixture
def folder(tiny_repository: Path, tmp_path: Path) -> Path:
    """A private copy of the tiny bundle, in a folder of its own."""
    return Path(shutil.copytree(tiny_repository / "tiny" / "1", tmp_path / "1"))


def test_an_intact_bundle_is_read_and_its_digest_is_that_of_its_manifest(folder: Path) -> None:
    bundle = verify_bundle(folder, model="tiny", version=1)
    assert bundle.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    golden = bundle.golden()
    assert golden.logits.shape == (len(golden.texts), 2)
    assert set(golden.attributions) <= set(range(len(golden.texts)))
    assert all(len(values) == len(golden.texts[index].split()) for index, values in golden.attributions.items())
    assert bundle.read_text("../1/manifest.json") == ""


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.npz", "MODEL_CARD.md"])
def test_a_flipped_byte_in_any_file_is_refused_by_name(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[random.Random(name).randrange(len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        verify_bundle(folder, model="tiny", version=1)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.npz"])
def test_a_truncated_file_is_refused_by_name(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=name):
        verify_bundle(folder, model="tiny", version=1)


def test_a_manifest_cut_anywhere_is_refused(folder: Path) -> None:
    content = (folder / "manifest.json").read_bytes()
    for length in range(0, len(content.rstrip()), max(1, len(content) // 40)):
        (folder / "manifest.json").write_bytes(content[:length])
        with pytest.raises(BundleError, match=r"manifest\.json"):
            verify_bundle(folder, model="tiny", version=1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.update(format_version=2), "format_version"),
        (lambda m: m.update(model="other"), "model"),
        (lambda m: m.update(version="7"), "version"),
        (lambda m: m.update(input_kind="INPUT_KIND_UNSPECIFIED"), "input_kind 0"),
        (lambda m: m.pop("objective"), "objective 0"),
        (lambda m: m.update(class_labels=["same", "same"]), "class_labels"),
        (lambda m: m.update(class_labels=["one"]), "class_labels"),
        (lambda m: m.update(golden_tolerance=0), "golden_tolerance"),
        (lambda m: m.update(golden_tolerance="NaN"), "golden_tolerance"),
        (lambda m: m.update(golden_reduced_tolerance=-1), "golden_reduced_tolerance"),
        (lambda m: m["golden_attributions"].update(tolerance=0), "golden_attributions.tolerance"),
        (lambda m: m["golden_attributions"].update(evaluations_per_player=0), "evaluations_per_player"),
        (lambda m: m["golden_attributions"].update(evaluations_per_player=1 << 30), "evaluations_per_player"),
        (lambda m: m["text"].update(max_tokens=2), "max_tokens"),
        (lambda m: m["text"].update(inputs=["input_ids"]), "inputs"),
        (lambda m: m["text"].update(inputs=["input_ids", "attention_mask", "secret"]), "inputs"),
        (lambda m: m["text"].update(padding_id="-4"), "negative"),
        (lambda m: m.update(files=[f for f in m["files"] if f["name"] != "model.onnx"]), "files do not list"),
        (lambda m: m["files"].append(dict(m["files"][0], name="../../etc/passwd")), "no plain file name"),
        (lambda m: m["files"].append(m["files"][0]), "files repeat"),
        (lambda m: m.update(unknown_field=1), "not a bundle manifest"),
    ],
)
def test_a_manifest_that_lies_is_refused_and_the_field_named(
    folder: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    edit_manifest(folder, change)
    with pytest.raises(BundleError, match=named):
        verify_bundle(folder, model="tiny", version=1)


def test_a_bundle_from_before_golden_attributions_is_read(folder: Path) -> None:
    _change_golden(folder, lambda a: [a.pop(name) for name in list(a) if name.startswith("attribution")])
    edit_manifest(folder, lambda m: (m.pop("golden_attributions"), m.pop("golden_reduced_tolerance")))
    golden = verify_bundle(folder, model="tiny", version=1).golden()
    assert len(golden.texts) >= 32
    assert not golden.attributions


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("logits"),
        lambda a: a.update(logits=a["logits"][:-1]),
        lambda a: a.update(logits=a["logits"].astype(object)),  # would be a pickle
        lambda a: a.update(text_utf8=a["text_utf8"] | 128),
        lambda a: a.pop("attribution_values"),
        lambda a: a.update(attribution_values=a["attribution_values"][:-1]),
        lambda a: a.update(attribution_values=a["attribution_values"] * np.nan),
        lambda a: a.update(attribution_offsets=a["attribution_offsets"][::-1]),
        lambda a: a.update(attribution_texts=a["attribution_texts"] + 1000),
        lambda a: a.update(attribution_texts=a["attribution_texts"] * 0),
        lambda a: a.update(attribution_texts=a["attribution_texts"][:-1]),
    ],
)
def test_golden_arrays_that_do_not_fit_are_refused(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    _change_golden(folder, change)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        verify_bundle(folder, model="tiny", version=1).golden()


def _change_golden(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with np.load(folder / "golden.npz") as stored:
        arrays = dict(stored)
    change(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    replace_file(folder, "golden.npz", content.getvalue())


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleError, match=f"{name} is .*not a plain file"):
        verify_bundle(folder, model="tiny", version=1)


def test_symbolic_links_are_refused(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.onnx"
    (folder / "model.onnx").rename(elsewhere)
    (folder / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        verify_bundle(folder, model="tiny", version=1)
    link = tmp_path / "2"
    link.symlink_to(folder)
    with pytest.raises(BundleError, match="symbolic link"):
        verify_bundle(link, model="tiny", version=1)


def test_only_published_versions_are_listed(tmp_path: Path) -> None:
    for name in ("good/1", "good/12", "good/01", "good/x", "good/-1", ".publishing-1/1", "UPPER/1", "..odd/2"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "good" / "3").write_text("a file, no folder")
    (tmp_path / "linked").symlink_to(tmp_path / "good")
    (tmp_path / "good" / "4").symlink_to(tmp_path / "good" / "1")
    assert [(place.model, place.version) for place in list_bundles(tmp_path)] == [("good", 1), ("good", 12)]
