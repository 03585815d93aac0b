"""Cutting the pixels that a model reads into segments, the players of an image; equal pixels are cut alike."""

import math

import numpy as np
from numpy.typing import NDArray

# More players than this make the fit, not the model, the cost; see MAX_PLAYERS in options.py.
MAX_SEGMENTS = 1024
# Quickshift takes 11 µs a pixel, so 3 s here, and nothing can stop it.
_MOST_QUICKSHIFT_PIXELS = 512 * 512
# lime 0.2.0.1 cuts images with these. The seed is the one that scikit-image takes by itself today, as lime's own is
# dropped on the way: it names the argument `random_seed`, which scikit-image no longer knows.
_LIME_QUICKSHIFT = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2, "rng": 42}
# scikit-image's own weight of nearness against colour, then heavier ones: noise falls into dust at the first, which is
# swept together into a few segments or a single one.
_SLIC_COMPACTNESS = (10.0, 100.0, 1000.0)

Pixels = NDArray[np.uint8]
SegmentMap = NDArray[np.intp]


def load_library() -> None:
    """Import what cuts images: half a second that the first explanation would wait, and other models do without."""
    import skimage.segmentation  # noqa: F401


def segmented(pixels: Pixels, granularity: str, *, segments: int, patch_size: int) -> SegmentMap:
    """intp[height, width], the segment of each pixel of uint8[height, width, 3]; every number from 0 on is there.

    Args:
        pixels: what the model reads.
        granularity: one of those that `granularities` gives.
        segments: about how many, for "slic" and "grid".
        patch_size: pixels of a patch's edge, for "patch".
    """
    height, width = pixels.shape[:2]
    match granularity:
        case "slic":
            return _slic(pixels, segments)
        case "quickshift":
            return _quickshift(pixels)
        case "patch":
            return grid(height, width, rows=math.ceil(height / patch_size), columns=math.ceil(width / patch_size))
        case _:
            return _even_grid(height, width, segments)


def granularities(height: int, width: int, patch_size: int) -> tuple[str, ...]:
    """How images of a size can be cut, the default first; ``patch_size`` is 0 for a model that reads no patches."""
    patches = math.ceil(height / patch_size) * math.ceil(width / patch_size) if patch_size else 0
    offered = {
        "slic": True,
        "quickshift": height * width <= _MOST_QUICKSHIFT_PIXELS,
        "grid": True,
        "patch": 2 <= patches <= MAX_SEGMENTS,
    }
    return tuple(name for name, possible in offered.items() if possible)


def grid(height: int, width: int, *, rows: int, columns: int) -> SegmentMap:
    """Rectangles, row after row; those of a row differ by one pixel at most."""
    row_of, column_of = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.asarray(row_of[:, np.newaxis] * columns + column_of, dtype=np.intp)


def _even_grid(height: int, width: int, segments: int) -> SegmentMap:
    """About this many cells, as square as possible."""
    rows = min(height, segments, max(1, round(math.sqrt(segments * height / width))))
    columns = min(width, max(1, round(segments / rows)), MAX_SEGMENTS // rows)
    return grid(height, width, rows=rows, columns=columns)


def _slic(pixels: Pixels, segments: int) -> SegmentMap:
    """SLIC superpixels (Achanta et al., 2012); a grid where there is nothing to follow or too little room."""
    from skimage.segmentation import slic

    for compactness in _SLIC_COMPACTNESS:
        found = _numbered(slic(pixels, n_segments=segments, compactness=compactness, start_label=0))
        if max(2, segments // 2) <= found.max() + 1 <= MAX_SEGMENTS:
            return found
    return _even_grid(pixels.shape[0], pixels.shape[1], segments)


def _quickshift(pixels: Pixels) -> SegmentMap:
    """Quick shift (Vedaldi and Soatto, 2008) as lime asks for it; a grid of four where it finds a single segment."""
    from skimage.segmentation import quickshift

    found = _numbered(quickshift(pixels, **_LIME_QUICKSHIFT))  # type: ignore[no-untyped-call]
    return found if found.max() else _even_grid(pixels.shape[0], pixels.shape[1], 4)


def _numbered(labels: NDArray[np.integer]) -> SegmentMap:
    """The same segments with the numbers from 0 on, in the order of their labels."""
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(labels.shape), dtype=np.intp)
