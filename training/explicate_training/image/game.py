"""An image as a game of the fields of a grid, as the trained network reads it."""

import io
from typing import Any  # numbers of any type

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import explicate
from explicate_training.image.model import ImageModel
from explicate_training.report.explanations import Game

_FIELDS = 7  # across and down


def image_game(model: ImageModel, pixels: NDArray[np.uint8]) -> Game:
    """The game of the fields of a prepared image uint8 [height, width, 3]: an absent one has its mean colour."""
    height, width = pixels.shape[:2]
    ids = _grid(height, width)
    count = int(ids.max()) + 1
    inside = [ids == field for field in range(count)]
    absent = pixels.copy()
    for field in inside:
        absent[field] = np.round(pixels[field].mean(axis=0)).astype(np.uint8)

    def outputs(present: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
        shown = np.where(present[:, ids][..., np.newaxis], pixels, absent)
        return model.predict(shown, np.arange(len(shown)))

    features = tuple(explicate.Feature(segment=_segment(field, where)) for field, where in enumerate(inside))
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    given = {
        "image": explicate.Image(content.getvalue()),
        "segment_map": explicate.SegmentMap(width, height, tuple(ids.ravel().tolist())),
    }
    return Game(features, tuple(_place(where) for where in inside), outputs, given, granularity="grid")


def _grid(height: int, width: int) -> NDArray[np.intp]:
    down = np.arange(height) * min(_FIELDS, height) // height
    across = np.arange(width) * min(_FIELDS, width) // width
    return down[:, np.newaxis] * (int(across.max()) + 1) + across


def _segment(field: int, where: NDArray[np.bool_]) -> explicate.ImageSegment:
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return explicate.ImageSegment(field, int(where.sum()), *box)


def _place(where: NDArray[np.bool_]) -> str:
    """Which ninth of the image the field's middle is in."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    down = int((rows[0] + rows[-1] + 1) / 2 / len(where) * 3)
    across = int((columns[0] + columns[-1] + 1) / 2 / where.shape[1] * 3)
    words = (("upper", "middle", "lower")[min(down, 2)], ("left", "centre", "right")[min(across, 2)])
    return " ".join(words) if words != ("middle", "centre") else "centre"
