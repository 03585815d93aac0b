"""Encoded images to the pixels that a model reads: the same steps in training, export and server.

Needs Pillow and numpy only. The server has these steps as its own; the golden answers of a bundle check that both
agree.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any  # uint8 pixels of several shapes

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 50_000_000  # of an encoded image; Pillow's own bound is 89 million
RESAMPLINGS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")

Pixels = NDArray[np.uint8]


class ImageError(Exception):
    """An image cannot be used; the message says why, in words that follow "the image"."""


@dataclass(frozen=True)
class Preparation:
    """The size that a model reads, and how an image gets it."""

    width: int
    height: int
    shortest_edge: int = 0  # 0: stretched to width x height; else resized to it, its shape kept, and the middle cut out
    resampling: str = "bilinear"

    def pixels(self, image: Image.Image) -> Pixels:
        """uint8 [height, width, 3] of an upright RGB image; raises ImageError when it is too narrow to be resized."""
        resampling = RESAMPLINGS[self.resampling]
        if not self.shortest_edge:
            return np.asarray(image.resize((self.width, self.height), resampling))
        short = min(image.size)
        width, height = (
            max(least, self.shortest_edge if edge == short else round(edge * self.shortest_edge / short))
            for edge, least in zip(image.size, (self.width, self.height), strict=True)
        )
        if width * height > MAX_PIXELS:
            raise ImageError(f"is too narrow: {image.width} x {image.height} pixels would become {width} x {height}")
        left, top = (width - self.width) // 2, (height - self.height) // 2
        resized = image.resize((width, height), resampling)
        return np.asarray(resized.crop((left, top, left + self.width, top + self.height)))


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Inside, what Pillow only warns of is refused; enter it once, outside of threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The first frame, upright, as RGB with 8 bits a channel, what is transparent on white.

    Raises ImageError when it is not an image of FORMATS, damaged, or of more pixels than allowed; the size is read
    from its header before anything is decoded.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(image, max_pixels)
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"has more than {max_pixels:,} pixels") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error and others
        reason = "is empty" if not content else f"cannot be decoded ({type(error).__name__})"
        raise ImageError(reason) from error


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of uint8 [height, width, 3] RGB or [height, width] grey pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _check_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ImageError(f"has {image.width} x {image.height} pixels, more than {max_pixels:,}")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        return _grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _grey(_eight_bit(np.asarray(image)))
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        whole = image.convert("RGBA")
        white = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, whole).convert("RGB")
    return image.convert("RGB")


def _eight_bit(values: NDArray[Any]) -> Pixels:
    """Of 32-bit integers the upper 8 of 16 bits; of floats in [0, 1] or [0, 255] the nearest."""
    if values.dtype.kind == "i":
        upper: Pixels = (np.clip(values, 0, 65535) >> 8).astype(np.uint8)
        return upper
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)
    scale = 255.0 if finite.max(initial=0.0) <= 1.0 else 1.0
    grey: Pixels = np.clip(np.rint(finite * scale), 0, 255).astype(np.uint8)
    return grey


def _grey(values: Pixels) -> Image.Image:
    return Image.fromarray(values).convert("RGB")
