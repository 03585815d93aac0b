"""Models of images: golden images, and odd file formats to compare on."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.images import MAX_PIXELS, UnreadableImage
from explicate_bundle.inputs import ImageInput, ModelInput
from explicate_bundle.kinds.kind import Check
from explicate_export.conversion import CardText, ModelExport, Say
from explicate_export.errors import UsageError
from explicate_export.golden_inputs import Compared, GoldenChoice, spread_evenly
from explicate_export.image import model as image_model
from explicate_export.image.golden import affordable, choose_golden_images, edge_images
from explicate_export.markdown import code
from explicate_export.objectives import InputWords
from explicate_export.onnx_graph import GraphSource
from explicate_export.parity import Scale
from explicate_export.training_run import UNFINISHED, FinishedRun, HeldOut, check_files, read_held_out
from explicate_server.modalities.image import ImageModality
from explicate_server.modalities.modality import EncodedInput, Modality

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
    """A model of images; its model directory is a Hugging Face one."""

    words = _WORDS
    schema: bundle_pb2.ImageSchema

    def __init__(self, run: FinishedRun, say: Say) -> None:
        """See ModelExport."""
        check_files(run.model_directory, ("config.json", "model.safetensors"))
        for holds, otherwise in _normalisation_checks(run):
            if not holds:
                raise UsageError(f"{run.file}: {otherwise}: train again")
        self.run = run
        self.schema = run.record.image
        self.reduced_tolerance = GOLDEN_REDUCED_TOLERANCE if run.kind.predicts.least_labels else 0.0
        self.held_out = held_out_images(run)
        say(f"loading {run.model_directory}")
        self._trained = image_model.load(run)
        self.architecture = self._trained.architecture

    def load(self, held_out: HeldOut) -> ModelInput:
        """The bytes of the file."""
        assert isinstance(held_out.value, Path)
        return ImageInput(held_out.value.read_bytes())

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:  # noqa: ARG002
        """An image's bundle has no other files."""
        return ImageModality(self.schema, max_image_bytes=_ANY_SIZE, max_image_pixels=MAX_PIXELS)

    def encode(self, modality: Modality, values: Sequence[ModelInput]) -> list[EncodedInput]:
        """Decodes and resizes."""
        try:
            return super().encode(modality, values)
        except UnreadableImage as error:
            raise UsageError(f"a held-out image of {self.run.directory} {error}: train again") from None

    def edge_cases(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> list[ModelInput]:  # noqa: ARG002
        """The first image in odd forms."""
        (first, *_) = _contents(values)
        return [ImageInput(content) for content in edge_images(first)]

    def graph_source(self, output_name: str) -> GraphSource:
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
        base = self.run.base_model
        return CardText(
            words=self.words,
            inputs="images",
            origin=f"A small {code(base.removeprefix('new '))}, trained from nothing."
            if base.startswith("new ")
            else f"Fine-tuned from {code(base)}.",
            absence="A segment of an image (a superpixel, or a cell of a grid) is absent when its pixels take its mean "
            "colour; answers that were asked for another masking (blurred, or grey) say so. Segments are cut from the "
            "pixels that the model reads, not from those of the file. Pictures with patches in one colour do not occur "
            "in life: what the model makes of them is part of what is measured.",
            sections=(_seen(self.schema),),
        )


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
    size = f"{schema.width} x {schema.height} pixels"
    how = (
        f"its shorter edge is resized to {schema.shortest_edge} pixels, and the middle {size} are cut out; what lies "
        "outside is not seen, and answers say which part was"
        if schema.shortest_edge
        else f"it is stretched to {size}, whatever its shape"
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
