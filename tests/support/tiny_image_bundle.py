"""Small image bundles with a known formula, written with the onnx package alone: no torch, no training.

    features = tanh(conv(normalised pixels), kernel 4 x 4, stride 4);  answers = tanh(features @ hidden) @ output

so that what a server answers can be computed in numpy, and Shapley values by enumeration. Images are wider than high,
so that rows and columns cannot be mistaken for one another.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.model_inputs import ImageInput
from explicate_bundle.writing import describe_files
from explicate_server.explain.methods import METHODS

LABELS = ("cat", "dog", "bird")
TARGET_NAME = "age in years"
WIDTH, HEIGHT = 24, 16
PATCH_SIZE = 8
GOLDEN_SEGMENTS = 6
_STRIDE = 4
_CHANNELS = 5
_HIDDEN = 8
_GOLDEN_IMAGES = 6
_MEAN = np.array([0.485, 0.456, 0.406])
_STD = np.array([0.229, 0.224, 0.225])

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class TinyImages:
    """A model's weights and how its images are prepared. Pixels are uint8[n, HEIGHT, WIDTH, 3]."""

    labels: tuple[str, ...]
    kernels: Floats  # [channels, 3, 4, 4]
    hidden: Floats  # [channels * patches, hidden]
    output: Floats  # [hidden, outputs]
    shortest_edge: int = 0
    predicts: str = "CLASSIFICATION"

    def answers(self, pixels: Pixels) -> Floats:
        """What the model gives, float64[n, outputs]: logits, or the value."""
        normalised = (pixels / 255 - _MEAN) / _STD
        shape = (len(pixels), HEIGHT // _STRIDE, _STRIDE, WIDTH // _STRIDE, _STRIDE, 3)
        features = np.einsum("nyixjc,kcij->nkyx", normalised.reshape(shape), self.kernels)
        flat = np.tanh(features).reshape(len(pixels), -1)
        return np.asarray(np.tanh(flat @ self.hidden) @ self.output)

    def prepared(self, picture: Pixels) -> Pixels:
        """What the model reads of a picture that is wider than high, or of one of its own size."""
        if not self.shortest_edge:
            return picture
        height, width = picture.shape[:2]
        size = round(width * self.shortest_edge / height), self.shortest_edge
        resized = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
        left, top = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
        return resized[top : top + HEIGHT, left : left + WIDTH]

    def value(self, hidden: Pixels, shown: Pixels, segments: NDArray[Any], present: Sequence[bool]) -> Floats:
        """The answers float64[outputs] where the segments that are present show ``shown``, the others ``hidden``."""
        pixels = np.where(np.array(present)[segments][:, :, np.newaxis], shown, hidden)
        return np.asarray(self.answers(pixels[np.newaxis])[0])

    def shapley_values(
        self,
        shown: Pixels,
        segments: NDArray[Any],
        *,
        hidden: Pixels | None = None,
        scale: Callable[[Floats], Floats] = lambda answers: answers,
    ) -> Floats:
        """Shapley values float64[outputs, players] of one image, by enumeration; mean colours stand for absence."""
        n = int(segments.max()) + 1
        hidden = mean_colours(shown, segments) if hidden is None else hidden
        values = {
            present: scale(self.value(hidden, shown, segments, present)) for present in product((False, True), repeat=n)
        }
        shapley = np.zeros((self.output.shape[1], n))
        for present, value in values.items():
            for player in range(n):
                if not present[player]:
                    joined = (*present[:player], True, *present[player + 1 :])
                    shapley[:, player] += (values[joined] - value) / (n * comb(n - 1, sum(present)))
        return shapley

    def schema(self) -> bundle_pb2.ImageSchema:
        """The manifest's part."""
        return bundle_pb2.ImageSchema(
            width=WIDTH,
            height=HEIGHT,
            shortest_edge=self.shortest_edge,
            resampling="RESAMPLING_BILINEAR",
            patch_size=PATCH_SIZE,
        )

    def publish(self, repository: Path, model: str, *, version: int = 1) -> Path:
        """Writes the bundle; returns its folder."""
        folder = repository / model / str(version)
        folder.mkdir(parents=True)
        onnx.save(self._graph(), folder / "model.onnx")
        (folder / "MODEL_CARD.md").write_text(f"# {model}\n", encoding="utf-8")
        manifest = bundle_pb2.Bundle(
            format_version=1,
            model=model,
            version=version,
            input_kind="INPUT_KIND_IMAGE",
            objective=f"OBJECTIVE_{self.predicts}",
            class_labels=self.labels,
            target_name=None if self.labels else TARGET_NAME,
            image=self.schema(),
            precision="fp32",
            golden_tolerance=1e-4,
            golden_reduced_tolerance=0.1,
            golden_attributions=bundle_pb2.GoldenAttributions(
                method="permutation-shap",
                method_version=METHODS["permutation-shap"].version,
                evaluations_per_player=64,
                tolerance=0.01,
                segments=GOLDEN_SEGMENTS,
            ),
        )
        write_golden(folder / "golden.npz", self._golden(), manifest)
        manifest.files.extend(describe_files(folder, sorted(path.name for path in folder.iterdir())))
        text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
        (folder / "manifest.json").write_text(text, encoding="utf-8")
        return folder

    def _golden(self) -> Golden:
        files = pictures(_GOLDEN_IMAGES, seed=99)
        pixels = np.stack([self.prepared(picture) for picture in files])
        answers = self.answers(pixels)
        cells = cells_of_grid(rows=2, columns=3)
        attributions = {row: self.shapley_values(pixels[row], cells)[answers[row].argmax()] for row in (0, 1)}
        return Golden(tuple(ImageInput(png(file)) for file in files), answers.astype(np.float32), attributions)

    def _graph(self) -> onnx.ModelProto:
        name = "logits" if self.labels else "values"
        constants = {
            "scale": np.array(1 / 255),
            "mean": _MEAN,
            "std": _STD,
            "kernels": self.kernels,
            "hidden_weights": self.hidden,
            "output_weights": self.output,
        }
        nodes = [
            helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["numbers", "scale"], ["scaled"]),
            helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "std"], ["normalised"]),
            helper.make_node("Transpose", ["normalised"], ["channels_first"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["channels_first", "kernels"], ["convolved"], strides=[_STRIDE, _STRIDE]),
            helper.make_node("Tanh", ["convolved"], ["features"]),
            helper.make_node("Flatten", ["features"], ["flat"]),
            helper.make_node("MatMul", ["flat", "hidden_weights"], ["mixed"]),
            helper.make_node("Tanh", ["mixed"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "output_weights"], [name]),
        ]
        inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3])]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", self.output.shape[1]])]
        initializers = [numpy_helper.from_array(array.astype(np.float32), key) for key, array in constants.items()]
        graph = helper.make_graph(nodes, "tiny-image", inputs, outputs, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model


def tiny_images(
    *, labels: Sequence[str] = LABELS, seed: int = 0, shortest_edge: int = 0, multi_label: bool = False
) -> TinyImages:
    """A model with random weights; without labels it is a regression."""
    stream = np.random.Generator(np.random.Philox(seed))
    patches = (HEIGHT // _STRIDE) * (WIDTH // _STRIDE)

    def draw(*shape: int, scale: float) -> Floats:
        return np.asarray((scale * stream.normal(size=shape)).astype(np.float32), dtype=np.float64)

    return TinyImages(
        labels=tuple(labels),
        kernels=draw(_CHANNELS, 3, _STRIDE, _STRIDE, scale=1 / 7),
        hidden=draw(_CHANNELS * patches, _HIDDEN, scale=1.5 / np.sqrt(_CHANNELS * patches)),
        output=draw(_HIDDEN, len(labels) or 1, scale=1.0),
        shortest_edge=shortest_edge,
        predicts="MULTI_LABEL" if multi_label else "CLASSIFICATION" if labels else "REGRESSION",
    )


def pictures(count: int, *, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """Random images of coloured blocks with a little noise, uint8[count, height, width, 3]."""
    stream = np.random.Generator(np.random.Philox(seed))
    blocks = stream.integers(20, 236, (count, 3, 4, 3))
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    noise = stream.integers(-20, 20, (count, height, width, 3))
    return (blocks[:, rows[:, np.newaxis], columns] + noise).astype(np.uint8)


def cells_of_grid(*, rows: int, columns: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.intp]:
    """The cell of each pixel, intp[height, width], row after row; the edges must be multiples."""
    assert height % rows == 0
    assert width % columns == 0
    cells = np.arange(rows * columns).reshape(rows, columns)
    return cells.repeat(height // rows, axis=0).repeat(width // columns, axis=1)


def mean_colours(pixels: Pixels, segments: NDArray[Any]) -> Pixels:
    """uint8[height, width, 3], the mean colour of each segment as lime 0.2.0.1 computes it."""
    fudged = pixels.copy()
    for segment in np.unique(segments):
        for channel in range(3):
            fudged[segments == segment, channel] = np.mean(pixels[segments == segment][:, channel])
    return fudged


def png(pixels: Pixels) -> bytes:
    """The pixels as a PNG file."""
    return saved(Image.fromarray(pixels), "PNG")


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """An image as a file."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def build_image_repository(directory: Path) -> Path:
    """A repository with the classifier "animals", the regressor "ages" and "tags", a model of several labels."""
    tiny_images().publish(directory, "animals")
    tiny_images(labels=(), seed=1).publish(directory, "ages")
    tiny_images(seed=2, multi_label=True).publish(directory, "tags")
    return directory
