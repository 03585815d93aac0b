"""What a model makes of an image before its first layer, as preprocessor_config.json says it.

The file is read here and not by transformers' image processors, which need torchvision and then read images in ways of
their own. A processor that stretches an image and then cuts out the middle is read as one that keeps its shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # JSON values

from explicate.errors import UsageError
from explicate_bundle.images import Preparation

_RESAMPLING_CODES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
# ConvNext's and ResNet's processor: below this size the image is resized to more and cut.
_CROP_BELOW, _CROP_PERCENTAGE = 384, 224 / 256


@dataclass(frozen=True)
class ImageProcessor:
    """How pixels are prepared, and how the graph normalises them: (pixel * rescale - mean) / std of each channel."""

    preparation: Preparation
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    rescale: float = 1 / 255

    def as_json(self) -> dict[str, Any]:
        """The content of preprocessor_config.json, for whoever takes the trained model as a base."""
        preparation = self.preparation
        size = {"height": preparation.height, "width": preparation.width}
        shortest = {"shortest_edge": preparation.shortest_edge}
        codes = {name: code for code, name in _RESAMPLING_CODES.items()}
        return {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": shortest if preparation.shortest_edge else size,
            "resample": codes[preparation.resampling],
            "do_center_crop": bool(preparation.shortest_edge),
            "crop_size": size,
            "do_rescale": True,
            "rescale_factor": self.rescale,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }


def read_processor(settings: Mapping[str, Any], base: str) -> ImageProcessor:
    """What the settings of a preprocessor_config.json say; raises UsageError when that cannot be done here."""
    try:
        return _read(settings)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"model.base: cannot use the preprocessor_config.json of {base} ({reason}): choose another base"
        ) from None


def _read(settings: Mapping[str, Any]) -> ImageProcessor:
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    if settings.get("rescale_offset"):
        raise ValueError("rescale_offset shifts the pixels, which is not supported")
    code = settings.get("resample", 2)
    if code not in _RESAMPLING_CODES:
        raise ValueError(f"resample is {code!r}, not nearest, bilinear, bicubic or lanczos")
    width, height, shortest_edge = _sizes(settings, kind)
    preparation = Preparation(width, height, shortest_edge, _RESAMPLING_CODES[code])
    if preparation.problem:
        raise ValueError(f"it {preparation.problem}")
    normalised = settings.get("do_normalize", True)
    mean = _channels(settings["image_mean"] if normalised else 0.0, "image_mean")
    std = _channels(settings["image_std"] if normalised else 1.0, "image_std")
    if min(std) <= 0:
        raise ValueError("image_std is not above 0")
    rescale = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    return ImageProcessor(preparation, mean, std, rescale)


def _sizes(settings: Mapping[str, Any], kind: str) -> tuple[int, int, int]:
    """(width, height, shortest edge, 0 where the image is stretched)."""
    size = settings.get("size", settings.get("crop_size"))
    if "ConvN" in kind:  # ConvNext and ConvNeXT, whose sizes are the edges that the model reads
        edge = int(size["shortest_edge"] if isinstance(size, Mapping) else size)
        percentage = float(settings.get("crop_pct") or _CROP_PERCENTAGE)
        return edge, edge, int(edge / percentage) if edge < _CROP_BELOW else 0
    if settings.get("do_center_crop"):
        width, height = _edges(settings.get("crop_size", size))
        if isinstance(size, Mapping) and "shortest_edge" in size:
            return width, height, int(size["shortest_edge"])
        return width, height, min(_edges(size))
    if isinstance(size, Mapping) and "shortest_edge" in size:  # images of many shapes; a graph reads one
        return (int(size["shortest_edge"]),) * 3
    return (*_edges(size), 0)


def _edges(size: Any) -> tuple[int, int]:
    """(width, height)."""
    if isinstance(size, Mapping):
        return int(size["width"]), int(size["height"])
    if isinstance(size, Sequence):
        height, width = size
        return int(width), int(height)
    return int(size), int(size)


def _channels(value: Any, name: str) -> tuple[float, float, float]:
    if not isinstance(value, Sequence):
        value = [value] * 3
    if len(value) != 3:
        raise ValueError(f"{name} has {len(value)} channels, and images have three")
    return float(value[0]), float(value[1]), float(value[2])
