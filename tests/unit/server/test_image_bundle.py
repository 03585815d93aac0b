"""Bundles of image models: every runtime gives their golden answers, and what does not fit is refused by name."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate_bundle.bundle import verify_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.golden import GoldenImages
from explicate_server.modalities.modalities import open_modality
from explicate_server.registry.runtime_choice import AUTO, choose_runtime
from explicate_server.runtime.runtimes import RUNTIMES
from explicate_server.settings import Settings
from support.bundle_edits import edit_manifest, replace_file
from support.tiny_image_bundle import GOLDEN_SEGMENTS, pictures, tiny_images


@pytest.fixture
def folder(image_repository: Path, tmp_path: Path) -> Path:
    """A private copy of the classifier's bundle."""
    return Path(shutil.copytree(image_repository / "animals" / "1", tmp_path / "1"))


@pytest.mark.parametrize("model", ["animals", "ages", "tags"])
def test_every_runtime_gives_the_golden_answers_and_attributions(image_repository: Path, model: str) -> None:
    bundle = verify_bundle(image_repository / model / "1", model=model, version=1)
    modality = open_modality(bundle, Settings())
    _, trials = choose_runtime(bundle, modality, runtime=AUTO, threads=2)
    assert {trial.runtime for trial in trials} == {f"{name}-cpu" for name in RUNTIMES}
    for trial in trials:
        assert trial.passed, trial.reason
        assert trial.attribution_difference is not None
        assert trial.seconds_per_row


def test_golden_images_are_read_as_inputs_with_their_answers(folder: Path) -> None:
    golden = verify_bundle(folder, model="animals", version=1).golden()
    assert isinstance(golden, GoldenImages)
    np.testing.assert_allclose(golden.outputs, tiny_images().answers(pictures(6, seed=99)), atol=1e-6)
    assert [value.content for value in golden.inputs] == list(golden.contents)
    assert {index: len(values) for index, values in golden.attributions.items()} == dict.fromkeys(
        (0, 1), GOLDEN_SEGMENTS
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
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
)
def test_a_manifest_that_does_not_fit_images_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    edit_manifest(folder, change)
    with pytest.raises(BundleError, match=named):
        verify_bundle(folder, model="animals", version=1)


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("content_offsets", lambda offsets: offsets[:-1], "offsets that do not fit"),
        ("content_offsets", lambda offsets: offsets + 1, "offsets that do not fit"),
        ("content_offsets", lambda offsets: offsets[::-1], "offsets that do not fit"),
        ("outputs", lambda outputs: outputs[:, :2], r"6 images and outputs of shape \(6, 2\)"),
        ("outputs", lambda outputs: outputs[:-1], r"6 images and outputs of shape \(5, 3\)"),
        ("attribution_images", lambda images: images + 5, r"attributions of images \[5, 6\], of 6"),
    ],
)
def test_golden_images_that_do_not_fit_are_refused(
    folder: Path, name: str, values: Callable[[Any], Any], named: str
) -> None:
    with np.load(folder / "golden.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    arrays[name] = values(arrays[name])
    changed = io.BytesIO()
    np.savez(changed, **arrays)
    replace_file(folder, "golden.npz", changed.getvalue())
    with pytest.raises(BundleError, match=named):
        verify_bundle(folder, model="animals", version=1).golden()


def test_other_weights_than_the_golden_answers_come_from_are_noticed(folder: Path, tmp_path: Path) -> None:
    other = tiny_images(seed=5).publish(tmp_path / "other", "animals")
    replace_file(folder, "model.onnx", (other / "model.onnx").read_bytes())
    bundle = verify_bundle(folder, model="animals", version=1)
    with pytest.raises(Exception, match="golden outputs differ by"):
        choose_runtime(bundle, open_modality(bundle, Settings()), runtime="onnxruntime", threads=1)
