"""Image files to the pixels that a model reads: the same steps as in training, which has them as its own.

The size that a file declares is held against the limit before a pixel is decoded, and only the first picture of a file
is. Decoding takes up to 12 bytes of memory for each pixel, of a WebP 17 (measured with 32 million pixels).
"""

import io
import logging
import warnings
from dataclasses import dataclass
from typing import Any  # pixels of several types

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from explicate.v1 import bundle_pb2
from explicate_bundle.image_headers import FORMATS, HeaderError, canvas_of, image_format

# Pillow's own bound only warns at first, and is not the operator's. Every file goes through ours before it is decoded.
Image.MAX_IMAGE_PIXELS = None
# What Pillow says of damaged files would let a caller write into our log, and Python keeps every different warning.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

_RESAMPLINGS = {
    bundle_pb2.RESAMPLING_NEAREST: Image.Resampling.NEAREST,
    bundle_pb2.RESAMPLING_BILINEAR: Image.Resampling.BILINEAR,
    bundle_pb2.RESAMPLING_BICUBIC: Image.Resampling.BICUBIC,
    bundle_pb2.RESAMPLING_LANCZOS: Image.Resampling.LANCZOS,
}
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_WHITE = (255, 255, 255, 255)
_STRIP_ROWS = 256
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF 6.0, section 15


class UnreadableImage(Exception):
    """An image cannot be used; the message says why, in words that follow the name of its field."""


@dataclass(frozen=True)
class ReadImage:
    """What the model sees of an image.

    Attributes:
        pixels: uint8[height, width, 3], RGB.
        size: width and height of the upright image.
        box: left, upper, right and lower edge of what ``pixels`` shows, in pixels of the upright image.
        frames: pictures in the file, up to MOST_FRAMES of GIF and TIFF; only the first one was read.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    frames: int


def check_head(content: bytes) -> str:
    """The format of a file, by its first bytes.

    Raises:
        UnreadableImage: it is empty, or of no format that is read.
    """
    if not content:
        raise UnreadableImage("is empty; give the bytes of an image file")
    name = image_format(content)
    if name is None:
        raise UnreadableImage(f"is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file")
    return name


def read_image(content: bytes, schema: bundle_pb2.ImageSchema, *, max_pixels: int) -> ReadImage:
    """Decode the first picture and give it the size that the model reads.

    Raises:
        UnreadableImage: it is no image, damaged, or larger than ``max_pixels`` as declared or once resized.
    """
    name = check_head(content)
    try:
        canvas = canvas_of(content, name)
        if canvas.size is not None:
            _check_size(canvas.size, max_pixels)
        image = Image.open(io.BytesIO(content), formats=(name.upper(),))
        _check_size(image.size, max_pixels)
        _check_tiles(image, max_pixels)
        frames = int(getattr(image, "n_frames", 1)) if canvas.frames is None else canvas.frames
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        upright = _rgb(image)
    except UnreadableImage:
        raise
    except HeaderError as error:
        raise UnreadableImage(f"is a {name} file that {error}") from None
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error and others
        raise UnreadableImage(f"is a {name} file that cannot be decoded; it is damaged or breaks off") from error
    pixels, box = _resized(upright, schema, max_pixels)
    return ReadImage(pixels, upright.size, box, frames)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UnreadableImage(f"declares {width:,} x {height:,} pixels; at most {max_pixels:,} are accepted")


def _check_tiles(image: Image.Image, max_pixels: int) -> None:
    """A small TIFF may declare a huge tile, which would be decoded whole."""
    tags = getattr(image, "tag_v2", {})
    _check_size((tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)), max_pixels)


def _rgb(image: Image.Image) -> Image.Image:
    """With 8 bits a channel, what is transparent on white."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return _from_grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _from_grey(_eight_bit(np.asarray(image)))
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Strip by strip, for a whole image more would take four times its memory."""
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height))).convert("RGBA")
        result.paste(Image.alpha_composite(Image.new("RGBA", strip.size, _WHITE), strip).convert("RGB"), (0, top))
    return result


def _eight_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Of 32-bit integers the upper 8 of 16 bits; of floats in [0, 1] or [0, 255] the nearest."""
    strips = [values[top : top + _STRIP_ROWS] for top in range(0, len(values), _STRIP_ROWS)]
    if values.dtype.kind == "i":
        return np.concatenate([(np.clip(strip, 0, 65535) >> 8).astype(np.uint8) for strip in strips])
    scale = 255.0 if max(_finite(strip).max() for strip in strips) <= 1.0 else 1.0
    scaled = (np.rint(_finite(strip) * scale) for strip in strips)
    return np.concatenate([np.clip(strip, 0, 255).astype(np.uint8) for strip in scaled])


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)


def _from_grey(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")


def _resized(
    image: Image.Image, schema: bundle_pb2.ImageSchema, max_pixels: int
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """The model's pixels and the box of the image that they show."""
    resampling, wanted = _RESAMPLINGS[schema.resampling], (schema.width, schema.height)
    if not schema.shortest_edge:
        return np.asarray(image.resize(wanted, resampling)), (0.0, 0.0, float(image.width), float(image.height))
    short = min(image.size)
    width, height = (
        max(least, schema.shortest_edge if edge == short else round(edge * schema.shortest_edge / short))
        for edge, least in zip(image.size, wanted, strict=True)
    )
    if width * height > max(max_pixels, schema.shortest_edge**2, schema.width * schema.height):
        problem = f"is too narrow: its {image.width:,} x {image.height:,} pixels would become {width:,} x {height:,}"
        raise UnreadableImage(problem)
    left, top = (width - schema.width) // 2, (height - schema.height) // 2
    cut = image.resize((width, height), resampling).crop((left, top, left + schema.width, top + schema.height))
    x, y = image.width / width, image.height / height
    return np.asarray(cut), (left * x, top * y, (left + schema.width) * x, (top + schema.height) * y)
