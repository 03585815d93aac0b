"""The run directory of a model of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_bundle.images import MAX_EDGE, MAX_SHORTEST_EDGE, RESAMPLINGS, Preparation
from explicate_export.errors import UsageError
from explicate_export.training_run import (
    HELD_OUT_NAME,
    UNFINISHED,
    Target,
    TrainingRun,
    check_files,
    field,
    read_base_model,
    read_labels,
    read_lines,
    read_run,
    read_target,
    read_target_name,
)

KINDS = {
    "image-classification": bundle_pb2.MODEL_KIND_IMAGE_CLASSIFICATION,
    "image-multi-label": bundle_pb2.MODEL_KIND_IMAGE_MULTI_LABEL,
    "image-regression": bundle_pb2.MODEL_KIND_IMAGE_REGRESSION,
}


@dataclass(frozen=True)
class Normalisation:
    """What the graph makes of a channel's pixels first: (pixel * rescale - mean) / std."""

    mean: tuple[float, ...]  # of red, green, blue
    std: tuple[float, ...]
    rescale: float


@dataclass(frozen=True)
class ImageRun:
    """A finished run that trained a model of images; its model directory is a Hugging Face one."""

    training: TrainingRun
    kind: int  # a bundle_pb2.ModelKind
    base_model: str
    labels: tuple[str, ...]  # by class index; empty for regression
    target_name: str  # of regression, else empty
    target: Target | None  # of regression
    schema: bundle_pb2.ImageSchema
    preparation: Preparation
    normalisation: Normalisation
    held_out: tuple[Path, ...]  # image files of the test split, in file order

    @property
    def regression(self) -> bool:
        """Whether a number is predicted, not classes."""
        return self.kind == bundle_pb2.MODEL_KIND_IMAGE_REGRESSION


def read_image_run(directory: Path) -> ImageRun:
    """Raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    run = read_run(directory)
    check_files(run.model_directory, ("config.json", "model.safetensors"))
    kind = KINDS[field(run.settings, "kind", str, run.file)]
    regression = kind == bundle_pb2.MODEL_KIND_IMAGE_REGRESSION
    image = field(run.settings, "image", dict, run.file)
    schema = _schema(image, run.file)
    return ImageRun(
        training=run,
        kind=kind,
        base_model=read_base_model(run),
        labels=read_labels(run),
        target_name=read_target_name(run) if regression else "",
        target=read_target(run) if regression else None,
        schema=schema,
        preparation=Preparation.of(schema),
        normalisation=_normalisation(image, run.file),
        held_out=_held_out(directory),
    )


def _schema(image: Mapping[str, Any], path: Path) -> bundle_pb2.ImageSchema:
    resampling = image.get("resampling")
    if resampling not in RESAMPLINGS:
        raise UsageError(
            f"{path}: image.resampling is {resampling!r}, not one of {', '.join(RESAMPLINGS)}: train again"
        )
    edges: dict[str, int] = {
        name: field(image, name, int, path) for name in ("width", "height", "shortest_edge", "patch_size")
    }
    edge, shortest = (1, MAX_EDGE), (0, MAX_SHORTEST_EDGE)
    ranges = {"width": edge, "height": edge, "shortest_edge": shortest, "patch_size": (0, MAX_EDGE)}
    for name, (least, most) in ranges.items():
        if not least <= edges[name] <= most:
            raise UsageError(f"{path}: image.{name} is {edges[name]}, not from {least} to {most}: train again")
    # An edge of 0 says that there is none, which a schema says by leaving it out.
    present = {name: edge for name, edge in edges.items() if edge}
    return bundle_pb2.ImageSchema(resampling=bundle_pb2.Resampling.Value(f"RESAMPLING_{resampling.upper()}"), **present)


def _normalisation(image: Mapping[str, Any], path: Path) -> Normalisation:
    mean, std = (_channels(image, name, path) for name in ("mean", "std"))
    rescale = field(image, "rescale", float, path)
    if min(std) <= 0 or not (isfinite(rescale) and rescale > 0):
        raise UsageError(f"{path}: image.std and image.rescale must be above 0: train again")
    return Normalisation(mean, std, rescale)


def _channels(image: Mapping[str, Any], name: str, path: Path) -> tuple[float, ...]:
    values = field(image, name, list, path)
    if len(values) != 3 or not all(isinstance(value, int | float) and isfinite(value) for value in values):
        raise UsageError(f"{path}: image.{name} must be three numbers, not {values!r}: train again")
    return tuple(float(value) for value in values)


def _held_out(directory: Path) -> tuple[Path, ...]:
    """The image files of the test split."""
    path = directory / HELD_OUT_NAME
    folder = directory.resolve()
    files = []
    for place, value in read_lines(path):
        name = value.get("image") if isinstance(value, dict) else None
        if not isinstance(name, str):
            raise UsageError(f'{place}: not an object with an "image": {UNFINISHED}')
        file = directory / name
        if not file.resolve().is_relative_to(folder):
            raise UsageError(f"{place}: the image {name!r} is outside the run's folder: train again")
        if not file.is_file():
            raise UsageError(f"{place}: {file} is missing: {UNFINISHED}")
        files.append(file)
    if not files:
        raise UsageError(f"{path} has no images, and the export must be compared on some: {UNFINISHED}")
    return tuple(files)
