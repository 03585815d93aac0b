"""Golden images of a bundle: which held-out ones, and odd forms of one that are easily read otherwise."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explicate_export.golden_inputs import LEAST_EVALUATIONS, spread_evenly

GOLDEN_IMAGES = 16
MOST_GOLDEN_BYTES = 8 * 2**20
# Floating point operations that the attributions of a bundle may take at every load: a second or two on two cores.
# How many images, segments of each and evaluations per segment is the first of these that fits.
MOST_OPERATIONS = 400e9
CHOICES = ((4, 25, 8), (4, 16, 4), (2, 16, 2), (1, 9, 2), (1, 4, 2))
_EDGE_IMAGE = 48  # pixels of the longer edge of the odd images
_ORIENTATION_TAG, _TURNED = 0x0112, 6


def edge_images(content: bytes) -> list[bytes]:
    """An image in forms that are easily read otherwise: transparent, with a palette, 16 bits, turned, narrow, a pixel.

    All without loss, so that every reader gives the same pixels.
    """
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((_EDGE_IMAGE, _EDGE_IMAGE))
    fading = image.copy()
    fading.putalpha(Image.linear_gradient("L").resize(image.size))
    palette = image.quantize(8)
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    deep = Image.fromarray(grey * 256 + 255 - grey)
    turned = Image.Exif()
    turned[_ORIENTATION_TAG] = _TURNED
    middle = image.width // 2
    return [
        _png(fading),
        _png(fading.convert("LA")),
        _png(palette, transparency=0),
        _png(image.convert("1")),
        _png(deep),
        _png(image, exif=turned),
        _png(image.crop((middle, 0, middle + 1, image.height))),
        _png(image.crop((middle, image.height // 2, middle + 1, image.height // 2 + 1))),
    ]


def choose_golden_images(
    outputs: NDArray[np.float32], sizes: Sequence[int], count: int = GOLDEN_IMAGES, most_bytes: int = MOST_GOLDEN_BYTES
) -> list[int]:
    """Indices of images spread evenly over what the model answers most surely, as many as fit; at least one.

    `sizes` are those of the encoded images in bytes.
    """
    by_output = np.argsort(outputs.max(axis=1), kind="stable")
    chosen: list[int] = []
    for index in spread_evenly(by_output.tolist(), count):
        if not chosen or sum(sizes[one] for one in chosen) + sizes[index] <= most_bytes:
            chosen.append(index)
    return chosen


def affordable(operations: int) -> tuple[int, int, int]:
    """How many images to attribute, with how many segments and evaluations per segment; 0 if one takes too long.

    `operations` are those that one image takes, in floating point.
    """
    for images, segments, each in CHOICES:
        if images * max(LEAST_EVALUATIONS, segments * each) * operations <= MOST_OPERATIONS:
            return images, segments, each
    return 0, 0, 0


def _png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()
