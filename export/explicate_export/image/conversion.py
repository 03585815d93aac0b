"""Models of images: golden images, and odd file formats to compare on."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageClassification

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import PixelNormalisation, TargetScale
from explicate_bundle.images import MAX_PIXELS, UnreadableImage
from explicate_bundle.kinds.kind import Check
from explicate_bundle.model_inputs import ImageInput, ModelInput
from explicate_export.conversion import CardText, ModelExport, Say
from explicate_export.described import DescribedModel, HeldOut, HeldOutInput
from explicate_export.errors import UsageError, first_line
from explicate_export.golden_inputs import LEAST_EVALUATIONS, Compared, GoldenChoice, spread_evenly
from explicate_export.objectives import InputWords
from explicate_export.onnx_graph import TorchGraph, in_unit, load_pretrained
from explicate_export.parity import Scale
from explicate_export.training_run import UNFINISHED, FinishedRun, check_files, read_held_out
from explicate_server.modalities.image import ImageModality
from explicate_server.modalities.modality import EncodedInput, Modality

_MOST_SIZED = 1000  # files whose sizes the card tells
PIXELS_NAME = "pixels"
_REFERENCE_BATCH_ROWS = 32
_SAMPLE_ROWS = 2  # any number above 1 will do


@dataclass(frozen=True)
class ImageModel:
    """A Hugging Face image classifier in float32, with the normalisation before it."""

    module: "NormalisedModel"
    architecture: str  # class name, such as "ResNetForImageClassification"
    width: int
    height: int
    advice: str = "train with another base model, such as a ResNet, ViT or MobileNetV2"

    @torch.no_grad()
    def outputs(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """float32 [images, outputs] of uint8 [height, width, 3] each, as the model answers in training."""
        parts = [
            self.module(torch.from_numpy(np.stack(pixels[start : start + _REFERENCE_BATCH_ROWS]))).numpy()
            for start in range(0, len(pixels), _REFERENCE_BATCH_ROWS)
        ]
        return np.concatenate(parts)

    def operations(self) -> int:
        """Floating point operations that one image takes; the same on every machine."""
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.module(self._sample(1))
        return int(counter.get_total_flops())

    def graph_source(self, output_name: str) -> TorchGraph:
        """The graph: uint8 "pixels" [batch, height, width, 3] to float32 [batch, outputs]."""
        return TorchGraph(
            module=self.module,
            name=self.architecture,
            samples={PIXELS_NAME: self._sample(_SAMPLE_ROWS)},
            dynamic_axes={0: "batch"},
            output_name=output_name,
            advice=self.advice,
        )

    def _sample(self, rows: int) -> Tensor:
        pixels = torch.arange(rows * self.height * self.width * 3) % 256
        return pixels.to(torch.uint8).reshape(rows, self.height, self.width, 3)


class NormalisedModel(torch.nn.Module):
    """Scales and normalises pixels, puts the channels first, and returns the model's logits, or values, alone."""

    def __init__(self, model: Any, normalisation: PixelNormalisation, target: TargetScale | None) -> None:
        super().__init__()
        self.model = model
        self.target = target
        scale = [normalisation.rescale / std for std in normalisation.std]
        shift = [-mean / std for mean, std in zip(normalisation.mean, normalisation.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("shift", torch.tensor(shift))

    def forward(self, *inputs: Tensor) -> Tensor:  # as all modules that become graphs: any number of inputs, here one
        (pixels,) = inputs
        normalised = pixels.to(torch.float32) * self.get_buffer("scale") + self.get_buffer("shift")
        logits: Tensor = self.model(pixel_values=normalised.permute(0, 3, 1, 2)).logits
        return in_unit(logits, self.target)


def load(run: FinishedRun) -> ImageModel:
    """Loads the run's model; raises UsageError when it does not fit what run.json says."""
    (model,) = load_pretrained(run, AutoModelForImageClassification)
    module = NormalisedModel(model, run.record.normalisation, run.target_scale).eval()
    return read_by(module, run.record.image, run.model_directory, mend="train again")


def read_by(
    module: NormalisedModel, schema: bundle_pb2.ImageSchema, directory: Path, *, mend: str, **advice: str
) -> ImageModel:
    """The model, which was tried on a blank image; raises UsageError when it does not read images of that size."""
    model = ImageModel(module, type(module.model).__name__, schema.width, schema.height, **advice)
    blank = np.zeros((schema.height, schema.width, 3), dtype=np.uint8)
    try:
        model.outputs([blank])
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{directory} does not read images of {schema.width} x {schema.height} pixels ({first_line(error)}): {mend}"
        ) from error
    return model


GOLDEN_IMAGES = 16
MOST_GOLDEN_BYTES = 8 * 2**20
# Floating point operations that the attributions of a bundle may take at every load: a second or two on two cores.
# How many images, segments of each and evaluations per segment is the first of these that fits.
MOST_OPERATIONS = 400e9
CHOICES = ((4, 25, 8), (4, 16, 4), (2, 16, 2), (1, 9, 2), (1, 4, 2))
_EDGE_IMAGE = 48  # pixels of the longer edge of the odd images
_ORIENTATION_TAG, _TURNED = 0x0112, 6


def edge_images(content: bytes) -> list[bytes]:
    """An image in forms that are easily read otherwise: transparent, with a palette, 16 bits, turned, narrow, a pixel.

    All without loss, so that every reader gives the same pixels.
    """
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((_EDGE_IMAGE, _EDGE_IMAGE))
    fading = image.copy()
    fading.putalpha(Image.linear_gradient("L").resize(image.size))
    palette = image.quantize(8)
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    deep = Image.fromarray(grey * 256 + 255 - grey)
    turned = Image.Exif()
    turned[_ORIENTATION_TAG] = _TURNED
    middle = image.width // 2
    return [
        _png(fading),
        _png(fading.convert("LA")),
        _png(palette, transparency=0),
        _png(image.convert("1")),
        _png(deep),
        _png(image, exif=turned),
        _png(image.crop((middle, 0, middle + 1, image.height))),
        _png(image.crop((middle, image.height // 2, middle + 1, image.height // 2 + 1))),
    ]


def choose_golden_images(
    outputs: NDArray[np.float32], sizes: Sequence[int], count: int = GOLDEN_IMAGES, most_bytes: int = MOST_GOLDEN_BYTES
) -> list[int]:
    """Indices of images spread evenly over what the model answers most surely, as many as fit; at least one.

    `sizes` are those of the encoded images in bytes.
    """
    by_output = np.argsort(outputs.max(axis=1), kind="stable")
    chosen: list[int] = []
    for index in spread_evenly(by_output.tolist(), count):
        if not chosen or sum(sizes[one] for one in chosen) + sizes[index] <= most_bytes:
            chosen.append(index)
    return chosen


def affordable(operations: int) -> tuple[int, int, int]:
    """How many images to attribute, with how many segments and evaluations per segment; 0 if one takes too long.

    `operations` are those that one image takes, in floating point.
    """
    for images, segments, each in CHOICES:
        if images * max(LEAST_EVALUATIONS, segments * each) * operations <= MOST_OPERATIONS:
            return images, segments, each
    return 0, 0, 0


def _png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()


# bf16 keeps 8 bits: the logits of the digits' ResNet, of up to 14.8, are off by 0.036 at most. Of a regression nothing
# was measured, so no lower precision is allowed.
GOLDEN_REDUCED_TOLERANCE = 0.1
_ANY_SIZE = 2**63 - 1  # bytes; what training read is not refused here
_WORDS = InputWords(
    one="image",
    many="images",
    source="an image",
    judged="of an image",
    classifier="An image classifier",
    alike="same subjects, cameras, light and framing",
    of_no_class="for images that show none of them",
    of_no_value="for images unlike all that it was trained on",
    of_no_label="an image that shows something else gets none of them, or a wrong one",
    edge_cases="in odd formats",
)


class ImageExport(ModelExport):
    """A model of images in torch."""

    schema: bundle_pb2.ImageSchema

    def __init__(self, described: DescribedModel, held_out: Sequence[HeldOut], model: ImageModel) -> None:
        """With images that it was not trained on."""
        self.described = described
        self.words = replace(_WORDS, measured=bool(described.test_metrics))
        self.schema = described.record.image
        self.reduced_tolerance = GOLDEN_REDUCED_TOLERANCE if described.kind.predicts.least_labels else 0.0
        self.held_out = held_out
        self._trained = model
        self.architecture = model.architecture

    def load(self, held_out: HeldOut) -> ModelInput:
        """The bytes of the file."""
        value = held_out.value
        return ImageInput(value.read_bytes()) if isinstance(value, Path) else value

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:  # noqa: ARG002
        """An image's bundle has no other files."""
        return ImageModality(self.schema, max_image_bytes=_ANY_SIZE, max_image_pixels=MAX_PIXELS)

    def edge_cases(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> list[ModelInput]:  # noqa: ARG002
        """The first image in odd forms."""
        (first, *_) = _contents(values)
        return [ImageInput(content) for content in edge_images(first)]

    def graph_source(self, output_name: str) -> TorchGraph:
        """The model, with scaling and normalising."""
        return self._trained.graph_source(output_name)

    def reference(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> NDArray[np.float32]:  # noqa: ARG002
        """As the model answers in training."""
        return self._trained.outputs([one.row.values for one in encoded])

    def choose_golden(self, compared: Compared) -> GoldenChoice:
        """Images spread evenly over what the model answers, and the edge cases."""
        sizes = [len(content) for content in _contents(compared.values)]
        whole = choose_golden_images(compared.reference[: compared.held_out], sizes)
        chosen = [*whole, *range(compared.held_out, len(sizes))]
        images, segments, evaluations_per_player = affordable(self._trained.operations())
        attributed = spread_evenly(whole, images) if images else []
        return GoldenChoice(chosen, attributed, evaluations_per_player, segments)

    def card(self, scale: Scale) -> CardText:  # noqa: ARG002
        """What the model sees of an image, and how segments are hidden."""
        return CardText(
            words=self.words,
            inputs="images",
            origin=self.described.made,
            absence="A segment of an image (a superpixel, or a cell of a grid) is absent when its pixels take its mean "
            "colour; answers that were asked for another masking (blurred, or grey) say so. Segments are cut from the "
            "pixels that the model reads, not from those of the file. Pictures with patches in one colour do not occur "
            "in life: what the model makes of them is part of what is measured.",
            sections=(_seen(self.schema),),
            tested=tuple(seen_images([one.value for one in self.held_out])),
        )


class TrainedImageExport(ImageExport):
    """A model of a run of ours; its model directory is a Hugging Face one."""

    def __init__(self, run: FinishedRun, say: Say) -> None:
        """Finds the held-out images and loads the model; raises UsageError if something does not fit run.json."""
        check_files(run.model_directory, ("config.json", "model.safetensors"))
        for holds, otherwise in _normalisation_checks(run):
            if not holds:
                raise UsageError(f"{run.file}: {otherwise}: train again")
        held_out = held_out_images(run)
        say(f"loading {run.model_directory}")
        super().__init__(run, held_out, load(run))
        self._directory = run.directory

    def encode(self, modality: Modality, values: Sequence[ModelInput]) -> list[EncodedInput]:
        """Decodes and resizes."""
        try:
            return super().encode(modality, values)
        except UnreadableImage as error:
            raise UsageError(f"a held-out image of {self._directory} {error}: train again") from None


def held_out_images(run: FinishedRun) -> list[HeldOut]:
    """The image files of the test split."""
    folder = run.directory.resolve()

    def read(line: Mapping[str, Any]) -> Path:
        name = line.get("image")
        if not isinstance(name, str):
            raise UsageError(f'not an object with an "image": {UNFINISHED}')
        file = run.directory / name
        if not file.resolve().is_relative_to(folder):
            raise UsageError(f"the image {name!r} is outside the run's folder: train again")
        if not file.is_file():
            raise UsageError(f"{file} is missing: {UNFINISHED}")
        return file

    return read_held_out(run, read)


def _normalisation_checks(run: FinishedRun) -> Iterator[Check]:
    normalisation = run.record.normalisation
    for name in ("mean", "std"):
        values = getattr(normalisation, name)
        yield len(values) == 3 and all(map(isfinite, values)), f"normalisation.{name} must be three numbers"
    above = min(normalisation.std) > 0 and isfinite(normalisation.rescale) and normalisation.rescale > 0
    yield above, "normalisation.std and normalisation.rescale must be above 0"


def _contents(values: Sequence[ModelInput]) -> tuple[bytes, ...]:
    return tuple(value.content for value in values if isinstance(value, ImageInput))


def _seen(schema: bundle_pb2.ImageSchema) -> str:
    size, edge = f"{schema.width} x {schema.height} pixels", schema.shortest_edge
    how = f"it is stretched to {size}, whatever its shape"
    if schema.stretched:
        how = f"it is stretched to {edge} x {edge} pixels, whatever its shape, and the middle {size} are cut out"
    elif edge:
        how = (
            f"its shorter edge is resized to {edge} pixels, and the middle {size} are cut out; what lies outside is "
            "not seen, and answers say which part was"
        )
    resampling = bundle_pb2.Resampling.Name(schema.resampling).removeprefix("RESAMPLING_").lower()
    return "\n".join(
        [
            "## What it sees of an image",
            "",
            f"The first frame, upright, on white where it is transparent, in RGB with 8 bits a channel. Then {how} "
            f"({resampling} resampling, antialiased). Scaling and normalising are part of the graph.",
        ]
    )


def seen_images(images: Sequence[HeldOutInput]) -> Iterator[str]:
    """What the test images are like, in sentences without markup; only the headers of files are read."""
    sizes = [size for image in images[:_MOST_SIZED] if (size := _size(image))]
    if not sizes:
        return
    wide, high = (_span([size[side] for size in sizes]) for side in (0, 1))
    yield (
        f"The {len(images):,} test images are {wide} pixels wide and {high} high. Of others, such as much larger "
        "or smaller ones, nothing is known."
    )


def _span(pixels: Sequence[int]) -> str:
    first, last = min(pixels), max(pixels)
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _size(image: HeldOutInput) -> tuple[int, int] | None:
    if not isinstance(image, Path | ImageInput):
        return None
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image.content)) as opened:
            return opened.size
    except (OSError, Image.DecompressionBombError):
        return None
