"""What cameras and networks do to images, each in three strengths (after Hendrycks and Dietterich, ICLR 2019)."""

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from explicate_bundle.model_inputs import ImageInput, ModelInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.outcomes.robustness import Disturb

Change = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def _disturbed(change: Change, strengths: tuple[float, float, float]) -> Disturb:
    def disturb(model: EvaluatedModel, value: ModelInput, generator: np.random.Generator) -> Sequence[ModelInput]:
        image = Image.fromarray(model.modality.encode(value).row.values)
        return [_file(change(image, strength, generator)) for strength in strengths]

    return disturb


def _noise(image: Image.Image, strength: float, generator: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    noisy = pixels + generator.normal(0.0, 255 * strength, pixels.shape)
    return Image.fromarray(np.clip(noisy.round(), 0, 255).astype(np.uint8))


def _blur(image: Image.Image, strength: float, _generator: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(strength * min(image.size)))


def _contrast(image: Image.Image, strength: float, _generator: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(strength)


def _brightness(image: Image.Image, strength: float, _generator: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(strength)


def _jpeg(image: Image.Image, quality: float, _generator: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    return Image.open(file)


def _pixelate(image: Image.Image, strength: float, _generator: np.random.Generator) -> Image.Image:
    size = (max(1, round(image.width * strength)), max(1, round(image.height * strength)))
    return image.resize(size, Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)


def _file(image: Image.Image) -> ImageInput:
    file = io.BytesIO()
    image.save(file, "PNG")
    return ImageInput(file.getvalue())


DISTURBANCES: Mapping[str, Disturb] = {
    "noise": _disturbed(_noise, (0.04, 0.08, 0.12)),
    "blur": _disturbed(_blur, (0.01, 0.02, 0.03)),
    "contrast": _disturbed(_contrast, (0.75, 0.5, 0.3)),
    "brightness": _disturbed(_brightness, (0.7, 1.3, 1.6)),
    "jpeg": _disturbed(_jpeg, (50, 25, 10)),
    "pixelate": _disturbed(_pixelate, (0.6, 0.4, 0.25)),
}
