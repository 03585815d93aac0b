"""Models of images: graph and golden images of their bundles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.images import UnreadableImage, decode
from explicate_bundle.input_kind import split_kind
from explicate_bundle.inputs import ImageInput
from explicate_bundle.writing import GOLDEN_NAME, GRAPH_NAME
from explicate_export.contents import CardText, Contents, Say
from explicate_export.description import GOLDEN_TOLERANCE
from explicate_export.errors import UsageError
from explicate_export.evenly import evenly
from explicate_export.image import model as image_model
from explicate_export.image.golden import Pixels, attribute_golden_images, choose_golden_images, edge_images
from explicate_export.image.run import ImageRun, read_image_run
from explicate_export.model_card import code
from explicate_export.onnx_graph import write_graph
from explicate_export.parity import LOGITS, MAX_DIFFERENCE, Graph, Scale, check_parity, measure_parity
from explicate_export.training_run import TrainingRun


def image_card(run: ImageRun) -> CardText:
    """The sentences for the card of a classifier, a model of several labels or a regression."""
    return CardText(
        summary=f"{_summary(run)} {_origin(run)}",
        inputs="images",
        limits=_limits(run),
        absence="A segment of an image (a superpixel, or a cell of a grid) is absent when its pixels take its mean "
        "colour; answers that were asked for another masking (blurred, or grey) say so. Segments are cut from the "
        "pixels that the model reads, not from those of the file. Pictures with patches in one colour do not occur "
        "in life: what the model makes of them is part of what is measured.",
        sections=(_seen(run),),
    )


def _summary(run: ImageRun) -> str:
    if run.regression:
        return f"A regression that predicts {code(run.target_name)} from an image, in its own unit."
    labels = ", ".join(map(code, run.labels))
    if run.kind == bundle_pb2.MODEL_KIND_IMAGE_MULTI_LABEL:
        return f"A model that says of an image which of {len(run.labels)} labels fit, any number of them: {labels}."
    return f"An image classifier with {len(run.labels)} classes: {labels}."


def _origin(run: ImageRun) -> str:
    if run.base_model.startswith("new "):
        return f"A small {code(run.base_model.removeprefix('new '))}, trained from nothing."
    return f"Fine-tuned from {code(run.base_model)}."


def _seen(run: ImageRun) -> str:
    schema = run.schema
    size = f"{schema.width} x {schema.height} pixels"
    how = (
        f"its shorter edge is resized to {schema.shortest_edge} pixels, and the middle {size} are cut out; what lies "
        "outside is not seen, and answers say which part was"
        if schema.shortest_edge
        else f"it is stretched to {size}, whatever its shape"
    )
    return "\n".join(
        [
            "## What it sees of an image",
            "",
            f"The first frame, upright, on white where it is transparent, in RGB with 8 bits a channel. Then {how} "
            f"({run.preparation.resampling} resampling, antialiased). Scaling and normalising are part of the graph.",
        ]
    )


def _limits(run: ImageRun) -> tuple[str, ...]:
    always = f"It always answers one of its {len(run.labels)} classes, also for images that show none of them."
    if run.regression:
        always = "It answers a number for every image, also for images unlike all that it was trained on."
    elif run.kind == bundle_pb2.MODEL_KIND_IMAGE_MULTI_LABEL:
        always = "It knows its labels only: an image that shows something else gets none of them, or a wrong one."
    little = "" if run.regression else ", and its probabilities mean little"
    return (
        "Meant for images like those it was trained on: same subjects, cameras, light and framing. On others its "
        f"metrics do not hold{little}.",
        always,
    )


# bf16 keeps 8 bits: the logits of the digits' ResNet, of up to 14.8, are off by 0.036 at most. Of a regression nothing
# was measured, so no lower precision is allowed.
GOLDEN_REDUCED_TOLERANCE = 0.1
_BATCH_ROWS = 16


def open_image_run(directory: Path, say: Say) -> "ImageExport":
    """Raises UsageError when the run is not complete, or its model does not fit what run.json says."""
    run = read_image_run(directory)
    say(f"loading {run.training.model_directory}")
    return ImageExport(run, image_model.load(run))


@dataclass(frozen=True)
class ImageExport:
    """A finished run of a classifier, a model of several labels or a regression of images."""

    image_run: ImageRun
    trained: image_model.ImageModel

    @property
    def run(self) -> TrainingRun:
        """What all runs say of themselves."""
        return self.image_run.training

    def fill(self, folder: Path, *, compared_inputs: int, say: Say) -> Contents:
        """Writes model.onnx and golden.npz; see ModelExport."""
        run = self.image_run
        path = folder / GRAPH_NAME
        say(f"converting {self.trained.architecture} to ONNX")
        write_graph(self.trained.graph_source("values" if run.regression else "logits"), path)

        contents = [file.read_bytes() for file in evenly(run.held_out, compared_inputs)]
        held_out = len(contents)
        pixels = [self._pixels(content) for content in contents]
        odd = edge_images(contents[0])
        contents += odd
        pixels += [self._pixels(content) for content in odd]
        say(f"comparing with torch on {held_out} held-out images and {len(contents) - held_out} in odd formats")
        reference = self.trained.outputs(pixels)
        graph = _ImageGraph(path)
        scale = Scale(run.target.spread, "of the target's spread") if run.target else LOGITS
        parity = measure_parity(
            lambda indices: graph.outputs([pixels[index] for index in indices.tolist()]),
            reference,
            order=range(len(pixels)),
            batch_rows=_BATCH_ROWS,
            scale=scale,
        )
        check_parity(parity)
        say(f"largest difference {parity.difference:.1e} {scale.words} (allowed {MAX_DIFFERENCE:g})")

        whole = choose_golden_images(reference[:held_out], [len(content) for content in contents])
        golden = [*whole, *range(held_out, len(contents))]
        recipe, attributions = attribute_golden_images(
            [pixels[index] for index in golden],
            reference[golden],
            range(len(whole)),
            answer=graph.outputs,
            operations=self.trained.operations(),
            unit=scale.unit,
        )
        say(f"{len(golden)} golden images, {len(attributions)} of them attributed")
        manifest = self._manifest(recipe, scale)
        files = tuple(ImageInput(contents[index]) for index in golden)
        write_golden(folder / GOLDEN_NAME, Golden(files, reference[golden], attributions), manifest)
        return Contents(manifest, parity, image_card(run))

    def _pixels(self, content: bytes) -> Pixels:
        try:
            return self.image_run.preparation.pixels(decode(content))
        except UnreadableImage as error:
            raise UsageError(f"a held-out image of {self.image_run.training.directory} {error}: train again") from None

    def _manifest(self, recipe: bundle_pb2.GoldenAttributions | None, scale: Scale) -> bundle_pb2.Bundle:
        run = self.image_run
        manifest = bundle_pb2.Bundle(
            kind=run.kind,  # type: ignore[arg-type]  # an enum's number, which the stubs know by another name
            class_labels=run.labels,
            target_name=run.target_name or None,
            image=run.schema,
            golden_tolerance=GOLDEN_TOLERANCE * scale.unit,
            golden_reduced_tolerance=None if run.regression else GOLDEN_REDUCED_TOLERANCE,
            golden_attributions=recipe,
            provenance=bundle_pb2.Provenance(base_model=run.base_model),
        )
        return split_kind(manifest)


class _ImageGraph:
    """model.onnx, asked for images in batches that fit into memory."""

    def __init__(self, path: Path) -> None:
        self._graph = Graph(path)

    def outputs(self, pixels: Sequence[Pixels]) -> NDArray[np.float32]:
        """float32 [images, outputs]."""
        parts = [
            self._graph.run({image_model.PIXELS_NAME: np.stack(pixels[start : start + _BATCH_ROWS])})
            for start in range(0, len(pixels), _BATCH_ROWS)
        ]
        return np.concatenate(parts)
