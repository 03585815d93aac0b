"""Images with some of their fields absent, as a server shows them: in their mean colour, blurred, or grey.

The fields are those of grids of many sizes, and for a model that reads patches also the patches. Superpixels, which a
server offers too, would take longer to find than a small model takes to learn from an image.
"""

from collections.abc import Sequence
from typing import Any  # numbers of any type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explicate_bundle.images import DEFAULT_SEGMENTS, MASKINGS, SegmentMap, even_grid, hidden_pixels
from explicate_training.interpretability.players import Batch, Players

_SEGMENTS, _HIDDEN = "segments", "hidden"
_FEWEST_SEGMENTS, _MOST_SEGMENTS = 9, 2 * DEFAULT_SEGMENTS


class FieldPlayers(Players):
    """Fields of images; `with_fields` cuts them."""

    extra = frozenset({_SEGMENTS, _HIDDEN})

    def counts(self, batch: Batch) -> Tensor:
        return batch[_SEGMENTS].flatten(1).amax(dim=1) + 1

    def shown(self, batch: Batch, rows: Tensor, present: Tensor) -> dict[str, Tensor]:
        segments = batch[_SEGMENTS][rows]
        seen = present.gather(1, segments.flatten(1)).view(segments.shape).unsqueeze(-1)
        return {"pixels": torch.where(seen, batch["pixels"][rows], batch[_HIDDEN][rows])}


def with_fields(
    batch: dict[str, Tensor],
    streams: Sequence[np.random.Generator],
    *,
    patch_size: int,
    maskings: Sequence[str] = MASKINGS,
) -> dict[str, Tensor]:
    """A batch of pixels with the fields of each image, and what is seen where they are absent.

    The number of fields and what is seen in their place are drawn from each image's own stream.

    Args:
        batch: "pixels" uint8 [images, height, width, 3].
        streams: one for each image.
        patch_size: pixels of the edge of a patch; 0 where the model reads none.
        maskings: what may be seen where a field is absent.
    """
    pixels = batch["pixels"].numpy()
    cut = [_fields(image, stream, patch_size) for image, stream in zip(pixels, streams, strict=True)]
    hidden = [
        hidden_pixels(image, fields, maskings[int(stream.integers(len(maskings)))])
        for image, fields, stream in zip(pixels, cut, streams, strict=True)
    ]
    return {
        **batch,
        _SEGMENTS: torch.from_numpy(np.stack(cut).astype(np.int64)),
        _HIDDEN: torch.from_numpy(np.stack(hidden)),
    }


def _fields(pixels: NDArray[Any], stream: np.random.Generator, patch_size: int) -> SegmentMap:
    height, width = pixels.shape[:2]
    by_patch, count = stream.random() < 0.5, stream.random()
    if patch_size and by_patch:
        return even_grid(height, width, (height // patch_size) * (width // patch_size))
    return even_grid(height, width, round(_FEWEST_SEGMENTS * (_MOST_SEGMENTS / _FEWEST_SEGMENTS) ** count))
