"""Bundles of images: three families of models, several labels, regression; golden images; what is refused."""

import io
import itertools
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoModelForImageClassification

from explicate.v1 import bundle_pb2
from explicate_export.errors import UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_export.image import conversion as golden_images
from support.exported import Bundles, Exported, ReuseGraph
from support.run_files import change_lines
from support.tiny_image_run import (
    EDGE,
    FAMILIES,
    LABELS,
    MEAN,
    STD,
    TARGET_MEAN,
    TARGET_SPREAD,
    prepared,
)

# By name: family, kind, labels.
KINDS: dict[str, tuple[str, str, Sequence[str]]] = {
    **{family: (family, "image-classification", LABELS) for family in FAMILIES},
    "image-labels": ("resnet", "image-multi-label", LABELS),
    "image-regression": ("resnet", "image-regression", ()),
}


@pytest.fixture(params=list(KINDS))
def bundle(bundles: Bundles, request: pytest.FixtureRequest) -> Exported:
    return bundles[request.param]


def _contents(bundle: Exported) -> list[bytes]:
    """The golden image files."""
    data, offsets = bundle.arrays["contents"].tobytes(), bundle.arrays["content_offsets"].tolist()
    return [data[start:end] for start, end in itertools.pairwise(offsets)]


def test_schema_and_labels_are_those_of_the_run(bundle: Exported) -> None:
    family, kind, labels = KINDS[bundle.manifest.model]
    manifest = bundle.manifest
    assert manifest.input_kind == bundle_pb2.INPUT_KIND_IMAGE
    objective = kind.removeprefix("image-").upper().replace("-", "_")
    assert manifest.objective == bundle_pb2.Objective.Value(f"OBJECTIVE_{objective}")
    assert tuple(manifest.class_labels) == tuple(labels)
    assert manifest.image == bundle_pb2.ImageSchema(
        width=EDGE,
        height=EDGE,
        shortest_edge=EDGE + 4,
        resampling=bundle_pb2.RESAMPLING_BICUBIC,
        patch_size=8 if family == "vit" else None,
    )
    assert manifest.golden_attributions.segments == 25
    assert manifest.provenance.base_model == f"tiny-{family}"


def test_graph_answers_held_out_images_as_the_model_does_with_pixels_normalised_by_hand(bundle: Exported) -> None:
    pixels = []
    for path in sorted((bundle.run / "held_out").iterdir()):
        with Image.open(path) as image:
            pixels.append(prepared(image))
    values = (np.stack(pixels) / 255 - MEAN) / STD
    with torch.no_grad():
        model = AutoModelForImageClassification.from_pretrained(bundle.run / "model").eval()
        expected = model(pixel_values=torch.from_numpy(np.moveaxis(values, 3, 1).astype(np.float32))).logits.numpy()
    assert expected.std(axis=0).min() > 0.01  # different answers, or meeting them would say nothing
    if not bundle.manifest.class_labels:  # whose model answers in standard deviations of its target
        expected = expected * TARGET_SPREAD + TARGET_MEAN
    np.testing.assert_allclose(bundle.ask(pixels=np.stack(pixels)), expected, rtol=0, atol=1e-4 * bundle.unit)


def test_golden_images_come_in_odd_forms_without_loss(bundle: Exported) -> None:
    opened = []
    for content in _contents(bundle):
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "PNG"
            opened.append((image.mode, image.size, "transparency" in image.info, image.getexif().get(0x0112)))
    assert len(opened) == 16 + 8
    assert {"RGB", "RGBA", "LA", "P", "1", "I;16"} <= {mode for mode, *_ in opened}
    assert ("P", True) in {(mode, transparent) for mode, _, transparent, _ in opened}
    assert 6 in {turned for *_, turned in opened}
    assert {(1, 36), (1, 1)} <= {size for _, size, *_ in opened}


def test_golden_attributions_add_up_to_the_difference_of_the_outputs(bundle: Exported) -> None:
    golden, offsets = bundle.arrays, bundle.arrays["attribution_offsets"]
    assert len(golden["attribution_images"]) >= 2
    for index, start, end in zip(golden["attribution_images"], offsets[:-1], offsets[1:], strict=True):
        pixels, cells = _cells(bundle, int(index), 5, 5)
        output = int(golden["outputs"][index].argmax())
        ends = bundle.ask(pixels=np.stack([pixels, _shown(pixels, cells, frozenset())]))[:, output]
        values = golden["attribution_values"][start:end]
        assert len(values) == 25
        assert values.sum() == pytest.approx(ends[0] - ends[1], abs=1e-4 * bundle.unit)


def _cells(bundle: Exported, index: int, rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """A golden image's pixels, and the grid's cell of each, written down again pixel by pixel."""
    with Image.open(io.BytesIO(_contents(bundle)[index])) as image:
        pixels = prepared(image.convert("RGB"))
    cells = np.array([[y * rows // EDGE * columns + x * columns // EDGE for x in range(EDGE)] for y in range(EDGE)])
    return pixels, cells


def _shown(pixels: NDArray[np.uint8], cells: NDArray[np.intp], present: frozenset[int]) -> NDArray[np.uint8]:
    """The image with the cells that are not present in their mean colour."""
    shown = pixels.copy()
    for cell in set(cells.ravel().tolist()) - present:
        shown[cells == cell] = np.floor(pixels[cells == cell].astype(np.float64).mean(axis=0))
    return shown


def test_attributions_of_few_segments_are_the_shapley_values(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse_graph: ReuseGraph
) -> None:
    bundle = bundles["vit"]
    reuse_graph(bundle)
    # So few players that the evaluations are every coalition there is.
    monkeypatch.setattr(golden_images, "CHOICES", ((1, 4, 8),))
    folder = export_run(bundle.run, tmp_path, ExportOptions("m"))
    with np.load(folder / "golden.npz") as arrays:
        golden = dict(arrays)
    (index,) = golden["attribution_images"].tolist()
    pixels, cells = _cells(bundle, index, 2, 2)
    output = int(golden["outputs"][index].argmax())
    coalitions = [frozenset(some) for size in range(5) for some in itertools.combinations(range(4), size)]
    shown = np.stack([_shown(pixels, cells, some) for some in coalitions])
    answers = bundle.ask(pixels=shown)[:, output].astype(np.float64)
    values = dict(zip(coalitions, answers, strict=True))
    exact = [
        sum(
            math.factorial(len(some)) * math.factorial(3 - len(some)) / 24 * (values[some | {cell}] - without)
            for some, without in values.items()
            if cell not in some
        )
        for cell in range(4)
    ]
    np.testing.assert_allclose(golden["attribution_values"], exact, rtol=0, atol=1e-4)


def test_no_attributions_where_they_would_slow_every_load(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse_graph: ReuseGraph
) -> None:
    bundle = bundles["resnet"]
    reuse_graph(bundle)
    monkeypatch.setattr(golden_images, "MOST_OPERATIONS", 1e6)
    folder = export_run(bundle.run, tmp_path, ExportOptions("m"))
    manifest = json_format.Parse((folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
    assert not manifest.HasField("golden_attributions")
    with np.load(folder / "golden.npz") as arrays:
        assert set(arrays.files) == {"contents", "content_offsets", "outputs"}


def test_golden_images_are_few_enough_for_their_bytes() -> None:
    outputs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert len(golden_images.choose_golden_images(outputs, [10] * 50)) == 16
    assert len(golden_images.choose_golden_images(outputs, [10] * 50, most_bytes=45)) == 4
    assert len(golden_images.choose_golden_images(outputs, [10] * 50, most_bytes=5)) == 1


def test_model_card_names_what_a_reader_needs(bundles: Bundles) -> None:
    card = (bundles["vit"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in (
        "# vit\n",
        "An image classifier with 3 classes: `circle`, `square`, `stripe`",
        "Fine-tuned from `tiny-vit`",
        "its shorter edge is resized to 36 pixels, and the middle 32 x 32 pixels are cut out",
        "| accuracy | 0.75 |",
        "mean colour",
    ):
        assert needed in card
    assert "any number of them" in (bundles["image-labels"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "its probabilities mean little" in card
    number = (bundles["image-regression"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "predicts `height`" in number
    assert "probabilities" not in number


def _edited(run: Path, folder: Path, change: dict[str, Any]) -> Path:
    copied = Path(shutil.copytree(run, folder / "run"))
    record = json.loads((copied / "run.json").read_text())
    for name, value in change.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    (copied / "run.json").write_text(json.dumps(record))
    return copied


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": {"width": 0}}, r"run\.json .*\(image\.width is 0\)"),
        ({"image": {"width": 4096}}, r"run\.json describes a model that no server takes \(image\.width is 4096\)"),
        ({"image": {"resampling": "box"}}, r"run\.json is not the record of a training run .*box"),
        ({"image": {"resampling": "RESAMPLING_UNSPECIFIED"}}, r"image\.resampling 0 is not known"),
        ({"normalisation": {"mean": [0.5]}}, r"normalisation\.mean must be three numbers"),
        ({"normalisation": {"mean": [0.5, 0.5, "NaN"]}}, r"normalisation\.mean must be three numbers"),
        ({"normalisation": {"std": [0.0, 1.0, 1.0]}}, r"normalisation\.std and normalisation\.rescale must be above 0"),
        ({"normalisation": {"rescale": 0}}, r"normalisation\.std and normalisation\.rescale must be above 0"),
        ({"image": {"height": "tall"}}, r"run\.json is not the record of a training run .*height"),
        ({"labels": ["a", "b"]}, r"run\.json names 2 labels and the model has 3 outputs"),
        ({"labels": ["square", "circle", "stripe"]}, "orders the labels"),
        ({"image": {"width": 40}}, "does not read images of 40 x 32 pixels"),
    ],
)
def test_runs_that_are_not_consistent_are_refused(
    bundles: Bundles, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    run = _edited(bundles["vit"].run, tmp_path, change)
    if len(change.get("labels", LABELS)) == 2:
        change_lines(run, lambda line: {**line, "outputs": line["outputs"][:2]})
    with pytest.raises(UsageError, match=sentence):
        export_run(run, tmp_path / "repository", ExportOptions("m"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"label": "circle"}', 'not an object with an "image"'),
        ('{"image": "../../etc/hostname"}', "is outside the run's folder"),
        ('{"image": "held_out/99999.png"}', "99999.png is missing"),
        ("", "has no images, and the export must be compared on some"),
        ('{"image": "run.json", "outputs": [0, 0, 0]}', "a held-out image of .* is no PNG, .*: train again"),
    ],
)
def test_held_out_images_that_cannot_be_read_are_named(
    bundles: Bundles, tmp_path: Path, line: str, sentence: str, reuse_graph: ReuseGraph
) -> None:
    reuse_graph(bundles["resnet"])
    run = _edited(bundles["resnet"].run, tmp_path, {})
    (run / "held_out.jsonl").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=sentence):
        export_run(run, tmp_path / "repository", ExportOptions("m"))
