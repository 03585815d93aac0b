"""Bundles on disk: what is not exactly what the manifest says is refused, by name; whatever the model reads."""

import errno
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

from explicate_bundle.bundle import VerifiedBundle, check_bundle, verify_bundle
from explicate_bundle.errors import BundleError, UnreadableError
from explicate_bundle.repository import list_versions
from support.bundle_edits import edit_arrays, edit_manifest
from support.tiny_image_bundle import GOLDEN_SEGMENTS, pictures, png, tiny_images
from support.tiny_table_bundle import TARGET_NAME, tiny_table

Change = Callable[[dict[str, Any]], object]
MODELS = ("tiny", "loans", "animals")


@pytest.fixture
def repository(tiny_repository: Path, table_repository: Path, image_repository: Path, tmp_path: Path) -> Path:
    """Private copies of the bundles of a text, a table and an image classifier."""
    for model, source in zip(MODELS, (tiny_repository, table_repository, image_repository), strict=True):
        shutil.copytree(source / model / "1", tmp_path / model / "1")
    return tmp_path


@pytest.fixture
def folder(repository: Path) -> Path:
    """The text classifier's."""
    return repository / "tiny" / "1"


def verified(folder: Path) -> VerifiedBundle:
    return verify_bundle(folder, model=folder.parent.name, version=1)


def test_an_intact_bundle_is_read_and_its_digest_is_that_of_its_manifest(folder: Path) -> None:
    bundle = verified(folder)
    assert bundle.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert bundle.read_text("../1/manifest.json") == ""


def test_golden_texts_are_read_as_inputs_with_their_answers(folder: Path) -> None:
    golden = verified(folder).golden()
    assert golden.outputs.shape == (len(golden.inputs), 2)
    assert set(golden.attributions) <= set(range(len(golden.inputs)))
    words = [len(value.text.split()) for value in golden.inputs]  # type: ignore[union-attr]  # all are texts
    assert all(len(values) == words[index] for index, values in golden.attributions.items())


def test_golden_rows_are_read_as_inputs_with_their_answers(repository: Path) -> None:
    golden, table = verified(repository / "loans" / "1").golden(), tiny_table()
    numbers, codes = table.rows(len(golden.inputs), seed=99)
    np.testing.assert_allclose(golden.outputs, table.answers(numbers, codes), atol=1e-6)
    for row, value in enumerate(golden.inputs):
        asked = table.cells(numbers[row], codes[row])
        assert {name: value.cells[name] for name in asked if asked[name] != "never seen"} == {  # type: ignore[union-attr]
            name: cell for name, cell in asked.items() if cell != "never seen"
        }


def test_golden_images_are_read_as_inputs_with_their_answers(repository: Path) -> None:
    golden, files = verified(repository / "animals" / "1").golden(), pictures(6, seed=99)
    np.testing.assert_allclose(golden.outputs, tiny_images().answers(files), atol=1e-6)
    assert [value.content for value in golden.inputs] == list(map(png, files))  # type: ignore[union-attr]
    assert {index: len(values) for index, values in golden.attributions.items()} == dict.fromkeys(
        (0, 1), GOLDEN_SEGMENTS
    )


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.npz", "MODEL_CARD.md"])
def test_a_flipped_byte_in_any_file_is_refused_by_name(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[random.Random(name).randrange(len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        verified(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.npz"])
def test_a_truncated_file_is_refused_by_name(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=name):
        verified(folder)


def test_a_manifest_cut_anywhere_is_refused(folder: Path) -> None:
    content = (folder / "manifest.json").read_bytes()
    for length in range(0, len(content.rstrip()), max(1, len(content) // 40)):
        (folder / "manifest.json").write_bytes(content[:length])
        with pytest.raises(BundleError, match=r"manifest\.json"):
            verified(folder)


def _figure(**changes: Any) -> dict[str, Any]:
    return {"metrics": [{"id": "x", "figures": [{"name": "x.y", "value": 0, "interval": {}, **changes}]}]}


LIES: dict[str, list[tuple[Change, str]]] = {
    "tiny": [
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
        (lambda m: m["files"].append(dict(m["files"][0], name="../../etc/passwd")), "not a plain file name"),
        (lambda m: m["files"].append(m["files"][0]), "files repeat"),
        (lambda m: m.update(unknown_field=1), "not a bundle manifest"),
        (lambda m: m.update(interpretability={"metrics": [{"id": "x"}]}), "interpretability 'x' has neither figures"),
        (lambda m: m.update(interpretability=_figure(value="NaN")), "'x.y' is not a finite number"),
        (
            lambda m: m.update(interpretability=_figure(interval={"lower": 1, "upper": 0})),
            "'x.y' is not a finite number",
        ),
    ],
    "loans": [
        (lambda m: m.pop("class_labels"), "0 class_labels"),
        (lambda m: m.update(objective="OBJECTIVE_REGRESSION"), "class_labels of a regression"),
        (lambda m: (m.update(objective="OBJECTIVE_REGRESSION"), m.pop("class_labels")), "target_name is empty"),
        (lambda m: m.update(text={"max_tokens": 128}), "text is set"),
        (lambda m: m.update(input_kind="INPUT_KIND_TEXT"), "tabular is set"),
        (lambda m: m["tabular"].pop("columns"), "0 tabular.columns"),
        (lambda m: m["tabular"].update(background_rows=0), "background_rows is 0"),
        (lambda m: m["tabular"].update(background_rows=1 << 20), "background_rows"),
        (lambda m: m["tabular"]["columns"][0].update(name="purpose"), "names in tabular.columns repeat"),
        (lambda m: m["tabular"]["columns"][0].update(name=""), "name in tabular.columns is empty"),
        (lambda m: m["tabular"]["columns"][0].update(categories=["1"]), r"tabular\.columns\[income\] has numbers and"),
        (lambda m: m["tabular"]["columns"][0].pop("type"), r"type 0 of tabular\.columns\[income\]"),
        (lambda m: m["tabular"]["columns"][1].pop("categories"), r"columns\[purpose\] has no categories"),
        (lambda m: m["tabular"]["columns"][1].update(categories=["car", "car"]), "repeat"),
        (
            lambda m: m["tabular"]["columns"][3].update(categories=["no", "yes"]),
            r"\[owner\] are \['no', 'yes'\]",
        ),
        (lambda m: m.update(files=[f for f in m["files"] if f["name"] != "background.npz"]), "do not list background"),
        (lambda m: m.update(files=[f for f in m["files"] if f["name"] != "lime.npz"]), "do not list lime"),
    ],
    "animals": [
        (lambda m: m.update(text={"max_tokens": 128}), "text is set, but the model reads images"),
        (lambda m: m.update(input_kind="INPUT_KIND_TABULAR"), "image is set, but the model reads rows"),
        (lambda m: m.update(objective="OBJECTIVE_REGRESSION"), "class_labels of a regression"),
        (lambda m: m["image"].pop("width"), "image.width is 0"),
        (lambda m: m["image"].update(height=5000), "image.height is 5000"),
        (lambda m: m["image"].update(shortest_edge=-1), "image.shortest_edge is -1"),
        (lambda m: m["image"].update(shortest_edge=1 << 20), "image.shortest_edge is 1048576"),
        (lambda m: m["image"].pop("resampling"), "image.resampling 0"),
        (lambda m: m["image"].update(patch_size=17), "image.patch_size is 17"),
        (lambda m: m["golden_attributions"].pop("segments"), "golden_attributions.segments is 0"),
        (lambda m: m["golden_attributions"].update(segments=1025), "golden_attributions.segments is 1025"),
    ],
}


@pytest.mark.parametrize(("model", "change", "named"), [(model, *lie) for model, lies in LIES.items() for lie in lies])
def test_a_manifest_that_lies_is_refused_and_the_field_named(
    repository: Path, model: str, change: Change, named: str
) -> None:
    edit_manifest(repository / model / "1", change)
    with pytest.raises(BundleError, match=named):
        verified(repository / model / "1")


def test_a_regressions_target_has_a_name(table_repository: Path) -> None:
    manifest = verified(table_repository / "losses" / "1").manifest
    assert (manifest.target_name, list(manifest.class_labels)) == (TARGET_NAME, [])


def as_version_0_1_wrote_it(manifest: dict[str, Any]) -> None:
    """One field for what a model reads and predicts, and numbers of 64 bits, which JSON has as strings."""
    input_kind = manifest.pop("input_kind").removeprefix("INPUT_KIND_")
    objective = manifest.pop("objective").removeprefix("OBJECTIVE_")
    manifest["kind"] = f"MODEL_KIND_{input_kind}_{objective}"
    manifest["version"] = str(manifest["version"])
    for part in ("provenance", "golden_attributions"):
        if "seed" in manifest.get(part, {}):
            manifest[part]["seed"] = str(manifest[part]["seed"])


@pytest.mark.parametrize("model", MODELS)
def test_a_bundle_of_version_0_1_is_read_as_what_it_is(repository: Path, model: str) -> None:
    folder = repository / model / "1"
    edit_manifest(folder, lambda m: m.setdefault("provenance", {}).update(seed=7))
    now = verified(folder)
    edit_manifest(folder, as_version_0_1_wrote_it)
    content = (folder / "manifest.json").read_text(encoding="utf-8")
    assert '"MODEL_KIND_' in content
    assert '"version": "1"' in content
    before = check_bundle(folder, model=model, version=1)
    assert before.manifest == now.manifest
    assert before.kind == now.kind
    assert before.digest == hashlib.sha256(content.encode()).hexdigest()


def test_a_kind_of_a_later_version_is_refused(folder: Path) -> None:
    edit_manifest(folder, as_version_0_1_wrote_it)
    edit_manifest(folder, lambda m: m.update(kind=99))
    with pytest.raises(BundleError, match="input_kind 0 with objective 0 is not known"):
        verified(folder)


def test_a_number_that_the_wire_cannot_hold_is_not_a_version(folder: Path, repository: Path) -> None:
    for name in ("2147483647", "2147483648", "99999999999999999999"):
        (folder.parent / name).mkdir()
    assert [place.version for place in list_versions(repository, "tiny")[0]] == [1, 2**31 - 1]


def test_a_bundle_from_before_golden_attributions_is_read(folder: Path) -> None:
    edit_arrays(folder, "golden.npz", lambda a: [a.pop(name) for name in list(a) if name.startswith("attribution")])
    edit_manifest(folder, lambda m: (m.pop("golden_attributions"), m.pop("golden_reduced_tolerance")))
    golden = verified(folder).golden()
    assert len(golden.inputs) >= 32
    assert not golden.attributions


GOLDEN_FAULTS: dict[str, list[Change]] = {
    "tiny": [
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
    "loans": [
        lambda a: a.pop("outputs"),
        lambda a: a.update(outputs=a["outputs"][:, :2]),
        lambda a: a.update(outputs=a["outputs"][:-1]),
        lambda a: a.update(numbers=a["numbers"][:-1]),
        lambda a: a.update(codes=a["codes"] + 3),
        lambda a: a.update(numbers=a["numbers"].astype(object)),
        lambda a: a.pop("attribution_rows"),
        lambda a: a.update(attribution_rows=a["attribution_rows"] + 1000),
        lambda a: a.update(attribution_values=a["attribution_values"] * np.nan),
        lambda a: a.update(attribution_offsets=a["attribution_offsets"][::-1]),
    ],
    "animals": [
        lambda a: a.update(content_offsets=a["content_offsets"][:-1]),
        lambda a: a.update(content_offsets=a["content_offsets"] + 1),
        lambda a: a.update(content_offsets=a["content_offsets"][::-1]),
        lambda a: a.update(outputs=a["outputs"][:, :2]),
        lambda a: a.update(outputs=a["outputs"][:-1]),
        lambda a: a.update(attribution_images=a["attribution_images"] + 5),
    ],
}


@pytest.mark.parametrize(
    ("model", "change"), [(model, change) for model, changes in GOLDEN_FAULTS.items() for change in changes]
)
def test_golden_arrays_that_do_not_fit_are_refused(repository: Path, model: str, change: Change) -> None:
    folder = repository / model / "1"
    edit_arrays(folder, "golden.npz", change)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        verified(folder).golden()
    with pytest.raises(BundleError, match=r"golden\.npz"):
        check_bundle(folder, model=model, version=1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda a: a.update(content_offsets=a["content_offsets"] + 1), "content_offsets do not fit contents"),
        (lambda a: a.update(outputs=a["outputs"][:, :2]), r"6 images and outputs of shape \(6, 2\)"),
        (lambda a: a.update(attribution_images=a["attribution_images"] + 5), r"of images \[5, 6\], but 6 images"),
    ],
)
def test_what_does_not_fit_in_golden_arrays_is_said(repository: Path, change: Change, named: str) -> None:
    edit_arrays(repository / "animals" / "1", "golden.npz", change)
    with pytest.raises(BundleError, match=named):
        verified(repository / "animals" / "1").golden()


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleError, match=f"{name} is .*not a plain file"):
        verified(folder)


def test_symbolic_links_are_refused(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.onnx"
    (folder / "model.onnx").rename(elsewhere)
    (folder / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        verified(folder)
    link = tmp_path / "2"
    link.symlink_to(folder)
    with pytest.raises(BundleError, match="symbolic link"):
        verify_bundle(link, model="tiny", version=1)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("name", ["", "manifest.json", "model.onnx", "golden.npz"])
def test_a_disk_that_does_not_give_a_file_is_told_by_the_files_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    broken = folder / name
    look, list_names, open_file = os.lstat, os.listdir, io.open

    def failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *arguments: Any, **named: Any) -> Any:
            if not isinstance(path, int) and Path(path) == broken:
                raise OSError(number, os.strerror(number), str(path))
            return call(path, *arguments, **named)

        return called

    monkeypatch.setattr(os, "lstat", failing(look))
    monkeypatch.setattr(os, "listdir", failing(list_names))
    monkeypatch.setattr(io, "open", failing(open_file))
    with pytest.raises(UnreadableError, match=f"{name or 'folder'} cannot be read: {os.strerror(number)}"):
        verified(folder)
