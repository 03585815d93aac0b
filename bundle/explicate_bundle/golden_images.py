"""The golden images of an image bundle: files with the answers that the exported model gave.

``golden.npz`` holds, without pickle: ``contents`` uint8[bytes], all image files one after the other;
``content_offsets`` int64[images + 1], where each begins and ends; ``outputs`` float32[images, outputs], logits or the
value; and, where the manifest says how they were made, ``attribution_images`` int64[k], indices of the images that were
attributed, with their values as texts have them (golden.py), one per cell of the grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.arrays import opened_arrays
from explicate_bundle.errors import BundleError
from explicate_bundle.golden import attribution_arrays, read_attributions
from explicate_server.modalities.modality import ImageInput


@dataclass(frozen=True)
class GoldenImages:
    """Images and what they must give.

    Attributes:
        contents: the image files.
        outputs: float32[images, outputs].
        attributions: by index of an image, float64[cells]: of the logit with the highest golden one, or of the value.
    """

    contents: tuple[bytes, ...]
    outputs: NDArray[np.float32]
    attributions: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def inputs(self) -> tuple[ImageInput, ...]:
        """The images as they are asked."""
        return tuple(map(ImageInput, self.contents))


def read_golden_images(path: Path, *, outputs: int, attributed: bool) -> GoldenImages:
    """Read and check the file; ``attributed`` says whether it must hold attributions.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        data, offsets = arrays["contents"].astype(np.uint8).tobytes(), arrays["content_offsets"].tolist()
        golden = GoldenImages(
            tuple(data[start:end] for start, end in pairwise(offsets)),
            arrays["outputs"].astype(np.float32),
            read_attributions(arrays, "attribution_images") if attributed else {},
        )
    images = len(golden.contents)
    if offsets[:1] != [0] or offsets[-1:] != [len(data)] or offsets != sorted(offsets):
        raise BundleError("golden.npz has offsets that do not fit its images")
    if not images or golden.outputs.shape != (images, outputs):
        raise BundleError(
            f"golden.npz has {images} images and outputs of shape {golden.outputs.shape}; the model has {outputs} "
            "outputs"
        )
    if not all(0 <= index < images for index in golden.attributions):
        raise BundleError(f"golden.npz has attributions of images {list(golden.attributions)}, of {images}")
    return golden


def write_golden_images(path: Path, golden: GoldenImages) -> None:
    """Write the file."""
    arrays = {
        "contents": np.frombuffer(b"".join(golden.contents), dtype=np.uint8),
        "content_offsets": np.cumsum([0, *map(len, golden.contents)]).astype(np.int64),
        "outputs": golden.outputs.astype(np.float32),
        **attribution_arrays(golden.attributions, "attribution_images"),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the arrays for the flag allow_pickle
