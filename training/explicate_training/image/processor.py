"""What a model makes of an image before its first layer, as preprocessor_config.json says it.

The file is read here and not by transformers' image processors, which need torchvision and then read images in ways of
their own. A processor that stretches an image and then cuts out the middle is read as one that keeps its shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any  # JSON values

from explicate.errors import UsageError
from explicate_bundle.images import Preparation

_RESAMPLING_CODES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
# ConvNext's and ResNet's processor: below this size the image is resized to more and cut.
_CROP_BELOW, _CROP_PERCENTAGE = 384, 224 / 256
_NOT_DONE = {
    "do_flip_channel_order": "reads blue before red",
    "do_pad": "pads images",
    "do_grayscale": "makes images grey",
    "include_top": "normalises twice",
}


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
        raise UsageError(
            f"model.base: cannot use the preprocessor_config.json of {base} ({_reason(error)}): choose another base"
        ) from None


def read_exactly(settings: Mapping[str, Any], directory: str) -> ImageProcessor:
    """What a model that is taken as it is makes of an image, to the pixel, by all settings of its processor.

    Raises UsageError when that cannot be done here.
    """
    try:
        found = _read(settings)
        preparation, size = found.preparation, settings.get("size")
        cut = bool(preparation.shortest_edge) and "ConvN" not in _kind(settings)
        stretched = cut and isinstance(size, Mapping) and not size.get("shortest_edge")
        rectangle = stretched and len(set(_edges(size))) > 1
        problem = "images are stretched to a rectangle before the middle is cut out" if rectangle else ""
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = _reason(error)
    problem = next((f"{name} {told}" for name, told in _NOT_DONE.items() if settings.get(name)), problem)
    if not settings.get("do_resize", True):
        problem = "do_resize is false, and a graph reads images of one size"
    elif not problem and cut and max(preparation.width, preparation.height) > preparation.shortest_edge:
        problem = "crop_size is larger than size, so images would be padded"
    if problem:
        raise UsageError(f"{directory}: cannot do as its preprocessor_config.json says ({problem})")
    rounded = bool(preparation.shortest_edge) and not stretched
    return replace(found, preparation=replace(preparation, rounds_down=rounded, stretched=stretched))


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _kind(settings: Mapping[str, Any]) -> str:
    return str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")


def _read(settings: Mapping[str, Any]) -> ImageProcessor:
    kind = _kind(settings)
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
