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
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from transformers import AutoModelForImageClassification

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import verify_bundle
from explicate_export.errors import ParityError, UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_export.image import conversion as image_export
from explicate_export.image import golden as golden_images
from explicate_server.modalities.modalities import open_modality
from explicate_server.settings import Settings
from support.tiny_image_run import (
    EDGE,
    FAMILIES,
    LABELS,
    MEAN,
    STD,
    TARGET_MEAN,
    TARGET_SPREAD,
    prepared,
    write_image_run,
)

# By name: family, kind, labels.
KINDS: dict[str, tuple[str, str, Sequence[str]]] = {
    **{family: (family, "image-classification", LABELS) for family in FAMILIES},
    "labels": ("resnet", "image-multi-label", LABELS),
    "regression": ("resnet", "image-regression", ()),
}


class Bundle:
    """A published bundle, the run it was made of, and its graph."""

    def __init__(self, name: str, directory: Path) -> None:
        family, kind, labels = KINDS[name]
        (directory / name).mkdir(parents=True)
        self.run = write_image_run(directory / name, family, kind=kind, labels=labels)
        self.lines: list[str] = []
        self.folder = export_run(self.run, directory / "repository", ExportOptions(name), say=self.lines.append)
        self.manifest = json_format.Parse((self.folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
        with np.load(self.folder / "golden.npz") as arrays:
            self.golden = dict(arrays)
        self.unit = 25.0 if kind == "image-regression" else 1.0
        self._session: Any = onnxruntime.InferenceSession(self.folder / "model.onnx")

    @property
    def contents(self) -> list[bytes]:
        """The golden image files."""
        data, offsets = self.golden["contents"].tobytes(), self.golden["content_offsets"].tolist()
        return [data[start:end] for start, end in itertools.pairwise(offsets)]

    def ask(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        (answers,) = self._session.run(None, {"pixels": pixels})
        return np.asarray(answers, dtype=np.float32)


class Bundles(dict[str, Bundle]):
    """Each made when it is first asked for: converting a model takes seconds."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def __missing__(self, name: str) -> Bundle:
        self[name] = Bundle(name, self._directory)
        return self[name]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("images"))


@pytest.fixture(params=list(KINDS))
def bundle(bundles: Bundles, request: pytest.FixtureRequest) -> Bundle:
    return bundles[request.param]


def test_every_field_that_its_kind_has_is_filled(bundle: Bundle) -> None:
    family, kind, labels = KINDS[bundle.manifest.model]
    manifest = bundle.manifest
    unset = {field.name for field in manifest.DESCRIPTOR.fields} - {field.name for field, _ in manifest.ListFields()}
    # A regression allows no lower precision, which an unset field says; "kind" is what version 0.1 wrote.
    lacking = {"target_name"} if labels else {"class_labels", "golden_reduced_tolerance"}
    assert unset == {"kind", "text", "tabular", *lacking}
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
    assert 0 <= manifest.provenance.max_logit_difference <= 1e-4 * bundle.unit < manifest.golden_tolerance
    assert {file.name for file in manifest.files} == {"model.onnx", "golden.npz", "MODEL_CARD.md"}


def test_graph_reads_pixels_and_has_a_dynamic_batch(bundle: Bundle) -> None:
    graph = onnx.load(bundle.folder / "model.onnx").graph

    def shape(value: Any) -> list[Any]:
        return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]

    (pixels,), (output,) = graph.input, graph.output
    assert (pixels.name, shape(pixels)) == ("pixels", ["batch", EDGE, EDGE, 3])
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    labels = KINDS[bundle.manifest.model][2]
    assert (output.name, shape(output)) == ("logits" if labels else "values", ["batch", len(labels) or 1])
    assert b"site-packages" not in (bundle.folder / "model.onnx").read_bytes()


def test_graph_answers_held_out_images_as_the_model_does_with_pixels_normalised_by_hand(bundle: Bundle) -> None:
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
    np.testing.assert_allclose(bundle.ask(np.stack(pixels)), expected, rtol=0, atol=1e-4 * bundle.unit)


def test_an_image_answers_the_same_alone_in_a_batch_and_in_any_order(bundle: Bundle) -> None:
    stream = np.random.default_rng(3)
    pixels = stream.integers(0, 256, (9, EDGE, EDGE, 3)).astype(np.uint8)
    together, order = bundle.ask(pixels), stream.permutation(9)
    alone = np.concatenate([bundle.ask(pixels[[row]]) for row in range(9)])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5 * bundle.unit)
    np.testing.assert_allclose(bundle.ask(pixels[order]), together[order], rtol=0, atol=1e-5 * bundle.unit)


def test_golden_images_come_in_odd_forms_without_loss(bundle: Bundle) -> None:
    opened = []
    for content in bundle.contents:
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "PNG"
            opened.append((image.mode, image.size, "transparency" in image.info, image.getexif().get(0x0112)))
    assert len(opened) == 16 + 8
    assert {"RGB", "RGBA", "LA", "P", "1", "I;16"} <= {mode for mode, *_ in opened}
    assert ("P", True) in {(mode, transparent) for mode, _, transparent, _ in opened}
    assert 6 in {turned for *_, turned in opened}
    assert {(1, 36), (1, 1)} <= {size for _, size, *_ in opened}


def test_the_server_reads_the_bundle_as_it_was_meant(bundle: Bundle) -> None:
    verified = verify_bundle(bundle.folder, model=bundle.manifest.model, version=1)
    golden = verified.golden()
    np.testing.assert_array_equal(golden.outputs, bundle.golden["outputs"])
    modality = open_modality(verified, Settings())
    feeds = modality.collate([modality.encode(value).row for value in golden.inputs])
    assert feeds["pixels"].dtype == np.uint8
    # The outputs rest on training's preparation, the feeds on the server's.
    np.testing.assert_allclose(bundle.ask(feeds["pixels"]), golden.outputs, rtol=0, atol=1e-4 * bundle.unit)


def test_golden_attributions_add_up_to_the_difference_of_the_outputs(bundle: Bundle) -> None:
    golden, offsets = bundle.golden, bundle.golden["attribution_offsets"]
    assert len(golden["attribution_images"]) >= 2
    for index, start, end in zip(golden["attribution_images"], offsets[:-1], offsets[1:], strict=True):
        pixels, cells = _cells(bundle, int(index), 5, 5)
        output = int(golden["outputs"][index].argmax())
        ends = bundle.ask(np.stack([pixels, _shown(pixels, cells, frozenset())]))[:, output]
        values = golden["attribution_values"][start:end]
        assert len(values) == 25
        assert values.sum() == pytest.approx(ends[0] - ends[1], abs=1e-4 * bundle.unit)


def _cells(bundle: Bundle, index: int, rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """A golden image's pixels, and the grid's cell of each, written down again pixel by pixel."""
    with Image.open(io.BytesIO(bundle.contents[index])) as image:
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
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles["vit"]
    _reuse_graph(monkeypatch, bundle.folder / "model.onnx", offset=0.0)
    # So few players that the evaluations are every coalition there is.
    monkeypatch.setattr(golden_images, "_CHOICES", ((1, 4, 8),))
    folder = export_run(bundle.run, tmp_path, ExportOptions("m"))
    with np.load(folder / "golden.npz") as arrays:
        golden = dict(arrays)
    (index,) = golden["attribution_images"].tolist()
    pixels, cells = _cells(bundle, index, 2, 2)
    output = int(golden["outputs"][index].argmax())
    coalitions = [frozenset(some) for size in range(5) for some in itertools.combinations(range(4), size)]
    answers = bundle.ask(np.stack([_shown(pixels, cells, some) for some in coalitions]))[:, output].astype(np.float64)
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
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles["resnet"]
    _reuse_graph(monkeypatch, bundle.folder / "model.onnx", offset=0.0)
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
    assert "any number of them" in (bundles["labels"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "its probabilities mean little" in card
    number = (bundles["regression"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "predicts `height`" in number
    assert "probabilities" not in number


def _reuse_graph(monkeypatch: pytest.MonkeyPatch, graph: Path, *, offset: float) -> None:
    """Instead of converting, takes a graph that exists, with its outputs moved."""

    def write_graph(source: Any, path: Path) -> None:
        model = onnx.load(graph)
        (output,) = model.graph.output
        for node in model.graph.node:
            node.output[:] = ["plain" if name == output.name else name for name in node.output]
        model.graph.initializer.append(numpy_helper.from_array(np.float32(offset).reshape(1), "moved_by"))
        model.graph.node.append(onnx.helper.make_node("Add", ["plain", "moved_by"], [output.name]))
        onnx.save(model, path)

    monkeypatch.setattr(image_export, "write_graph", write_graph)


@pytest.mark.parametrize(("name", "offset"), [("resnet", 1.5e-4), ("resnet", float("nan")), ("regression", 60e-4)])
def test_graph_that_differs_from_torch_is_not_published(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, offset: float
) -> None:
    _reuse_graph(monkeypatch, bundles[name].folder / "model.onnx", offset=offset)
    with pytest.raises(ParityError, match=r"differ by up to .*nothing was published"):
        export_run(bundles[name].run, tmp_path / "repository", ExportOptions("m"))
    assert list((tmp_path / "repository").iterdir()) == []


def _edited(run: Path, folder: Path, change: dict[str, Any]) -> Path:
    copied = Path(shutil.copytree(run, folder / "run"))
    settings = json.loads((copied / "run.json").read_text())
    image = {**settings["image"], **change.pop("image", {})}
    (copied / "run.json").write_text(json.dumps({**settings, "image": image, **change}))
    return copied


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": {"width": 0}}, r"run\.json: image\.width is 0, not from 1 to 2048"),
        ({"image": {"resampling": "box"}}, r"image\.resampling is 'box', not one of"),
        ({"image": {"mean": [0.5]}}, r"image\.mean must be three numbers"),
        ({"image": {"std": [0.0, 1.0, 1.0]}}, r"image\.std and image\.rescale must be above 0"),
        ({"image": {"height": "32"}}, "'height' is missing or not of type int"),
        ({"labels": ["a", "b"]}, "run.json says 2 outputs and the model has 3"),
        ({"labels": ["square", "circle", "stripe"]}, "orders the labels"),
        ({"image": {"width": 40}}, "does not read images of 40 x 32 pixels"),
    ],
)
def test_runs_that_are_not_consistent_are_refused(
    bundles: Bundles, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        export_run(_edited(bundles["vit"].run, tmp_path, dict(change)), tmp_path / "repository", ExportOptions("m"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"label": "circle"}', 'not an object with an "image"'),
        ('{"image": "../../etc/hostname"}', "is outside the run's folder"),
        ('{"image": "held_out/99999.png"}', "99999.png is missing"),
        ("", "has no images, and the export must be compared on some"),
        ('{"image": "run.json"}', "a held-out image of .* is no PNG, JPEG"),
    ],
)
def test_held_out_images_that_cannot_be_read_are_named(
    bundles: Bundles, tmp_path: Path, line: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reuse_graph(monkeypatch, bundles["resnet"].folder / "model.onnx", offset=0.0)
    run = _edited(bundles["resnet"].run, tmp_path, {})
    (run / "held_out.jsonl").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=sentence):
        export_run(run, tmp_path / "repository", ExportOptions("m"))
