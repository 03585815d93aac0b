"""Golden images of a bundle, with torch's answers and with attributions, for a server to meet on its own device.

The pixels come from training's preparation of images and the attributions are computed here in numpy: a server that
meets them prepares images as training did, and agrees on what a segment and its absence are.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explicate.v1 import bundle_pb2
from explicate_export.evenly import evenly
from explicate_server.explain import explain_game
from explicate_server.explain.methods import METHODS

GOLDEN_IMAGES = 16
MOST_GOLDEN_BYTES = 8 * 2**20
# permutation-shap is linear in the model's values, as for texts.
METHOD = "permutation-shap"
TOLERANCE = 0.05
# Floating point operations that the attributions of a bundle may take at every load: a second or two on two cores.
# How many images, segments of each and evaluations per segment is the first of these that fits.
MOST_OPERATIONS = 400e9
_CHOICES = ((4, 25, 8), (4, 16, 4), (2, 16, 2), (1, 9, 2), (1, 4, 2))
_LEAST_EVALUATIONS = 8
# Smaller attributions than this, in the unit of parity, are not compared: their relative difference would be rounding.
_LEAST_NORM = 0.1
_EDGE_IMAGE = 48  # pixels of the longer edge of the odd images
_ORIENTATION_TAG, _TURNED = 0x0112, 6

Pixels = NDArray[np.uint8]
Outputs = Callable[[Sequence[Pixels]], NDArray[np.float32]]


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
    for index in evenly(by_output.tolist(), count):
        if not chosen or sum(sizes[one] for one in chosen) + sizes[index] <= most_bytes:
            chosen.append(index)
    return chosen


def attribute_golden_images(
    pixels: Sequence[Pixels],
    outputs: NDArray[np.float32],
    candidates: Sequence[int],
    *,
    answer: Outputs,
    operations: int,
    unit: float,
) -> tuple[bundle_pb2.GoldenAttributions | None, Mapping[int, NDArray[np.float64]]]:
    """How the attributions are made, and those of a few of the `candidates`, by index; float64 [segments] each.

    Args:
        pixels: of the golden images, uint8 [height, width, 3] each.
        outputs: the golden ones, float32 [images, outputs].
        candidates: indices of images.
        answer: the graph's, float32 [images, outputs].
        operations: that one image takes, in floating point.
        unit: of the outputs; attributions much smaller are not compared.

    Nothing is attributed, and the first is None, when that would take more than MOST_OPERATIONS, or when the model's
    answers hardly depend on the segments.
    """
    affordable = [
        (images, segments, each)
        for images, segments, each in _CHOICES
        if images * max(_LEAST_EVALUATIONS, segments * each) * operations <= MOST_OPERATIONS
    ]
    if not affordable:
        return None, {}
    image_count, segments, evaluations_per_player = affordable[0]
    recipe = bundle_pb2.GoldenAttributions(
        method=METHOD,
        method_version=METHODS[METHOD].version,
        seed=0,
        evaluations_per_player=evaluations_per_player,
        tolerance=TOLERANCE,
        segments=segments,
    )
    attributions = {}
    for index in evenly(candidates, image_count):
        segment_map = grid(pixels[index].shape[0], pixels[index].shape[1], segments)
        players = int(segment_map.max()) + 1
        values = explain_game(
            _game(pixels[index], segment_map, int(outputs[index].argmax()), answer),
            players,
            method=recipe.method,
            seed=recipe.seed,
            max_evaluations=max(_LEAST_EVALUATIONS, evaluations_per_player * players),
        ).values
        if np.linalg.norm(values) >= _LEAST_NORM * unit:
            attributions[index] = values
    return (recipe, attributions) if attributions else (None, {})


def grid(height: int, width: int, segments: int) -> NDArray[np.intp]:
    """intp [height, width], the segment of each pixel: about so many rectangles, as square as they can be."""
    rows = min(height, segments, max(1, round(math.sqrt(segments * height / width))))
    columns = min(width, max(1, round(segments / rows)))
    down, across = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.asarray(down[:, np.newaxis] * columns + across, dtype=np.intp)


def _game(
    pixels: Pixels, segment_map: NDArray[np.intp], output: int, answer: Outputs
) -> Callable[[NDArray[np.bool_]], NDArray[np.float64]]:
    """v(S) = output(the image, with the segments outside of S in their mean colour, cut to whole numbers)."""
    hidden = np.empty_like(pixels)
    for segment in range(int(segment_map.max()) + 1):
        inside = segment_map == segment
        hidden[inside] = pixels[inside].mean(axis=0).astype(np.uint8)

    def value(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        rows = [np.where(present[segment_map][:, :, np.newaxis], pixels, hidden) for present in coalitions]
        return answer(rows)[:, output].astype(np.float64)

    return value


def _png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()
