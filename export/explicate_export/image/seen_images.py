"""What the images are like that a model was tested on: how many, and their sizes, for the limits of its card."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from explicate_bundle.model_inputs import ImageInput
from explicate_export.described import HeldOutInput

_MOST_FILES = 1000


def seen_images(images: Sequence[HeldOutInput]) -> Iterator[str]:
    """Sentences without markup; only the headers of files are read."""
    sizes = [size for image in images[:_MOST_FILES] if (size := _size(image))]
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
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
