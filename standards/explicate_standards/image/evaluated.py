"""How models of images are measured: pixel noise as edits, on a grid of segments that stays where it is."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explicate.errors import UsageError
from explicate_bundle.images import decode, picture_figures
from explicate_bundle.model_inputs import ImageInput, ModelInput
from explicate_standards.evaluated_kind import EvaluatedKind
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.subject import Subject

NOISE = 0.02  # standard deviation, of the range of a pixel
GRANULARITY = "grid"  # segments that follow the pixels would move with the noise
_MOST_EDITS = 20


class ImageKind(EvaluatedKind):
    """Image files."""

    edits_are = f"noise with a standard deviation of {NOISE:g} of a pixel's range"

    def read(self, line: Mapping[str, Any], model: EvaluatedModel, folder: Path) -> ModelInput | None:  # noqa: ARG002
        """The bytes of the file that "image" names, below the folder."""
        name = line.get("image")
        if not isinstance(name, str) or "\0" in name:
            raise UsageError('it has no "image" that is the name of a file beside it, which this model reads')
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"its image {name!r} is outside of the folder of the rows")
        if not file.is_file():
            raise UsageError(f"its image {name!r} is not there")
        return ImageInput(file.read_bytes())

    def fields(self, row: LabelledInput) -> Mapping[str, Any]:
        """How large, bright and sharp it is."""
        assert isinstance(row.value, ImageInput)
        return picture_figures(decode(row.value.content))

    def base(self, subject: Subject) -> Subject:
        """What the model reads of the image, as a file of its own, cut into a grid."""
        return subject.like(_file(_pixels(subject)), granularity=GRANULARITY)

    def edits(self, subject: Subject, generator: np.random.Generator) -> Iterator[ModelInput]:
        """With noise in each pixel."""
        pixels = _pixels(subject).astype(np.float64)
        for _ in range(_MOST_EDITS):
            noisy = pixels + generator.normal(0.0, 255 * NOISE, pixels.shape)
            yield _file(np.clip(noisy.round(), 0, 255).astype(np.uint8))

    def rationale(self, subject: Subject) -> NDArray[np.bool_] | None:  # noqa: ARG002
        """None are read of images."""
        return None

    def claims(self, model: EvaluatedModel) -> bool:  # noqa: ARG002
        """A bundle claims nothing of images."""
        return False

    def contradictions(self, subject: Subject) -> Mapping[str, Sequence[bool]]:  # noqa: ARG002
        """None."""
        return {}


def _pixels(subject: Subject) -> NDArray[np.uint8]:
    """uint8[height, width, 3], what the model reads of the subject's image."""
    pixels: NDArray[np.uint8] = subject.model.modality.encode(subject.row.value).row.values
    return pixels


def _file(pixels: NDArray[np.uint8]) -> ImageInput:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return ImageInput(file.getvalue())


KIND = ImageKind()
