"""Labelled images in memory: their pixels as the model reads them, and where each came from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # labels and groups: objects

import numpy as np
from numpy.typing import NDArray

from explicate_training.image.preparation import ImageError, Pixels

MAX_FILE_BYTES = 64 * 2**20

Rows = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True)
class ImageSet:
    """Images, one of each per entry."""

    pixels: Pixels  # [all images that were read, height, width, 3], mapped from a file
    places: NDArray[np.intp]  # of these images in pixels
    names: NDArray[Any]  # object: str, the path from the folder of the data
    contents: NDArray[Any]  # object: Path, or the encoded image as bytes
    labels: NDArray[Any]  # object: Label
    groups: NDArray[Any] | None  # object: str; images with the same stay in one split
    splits: NDArray[Any]  # object: Split

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Rows) -> "ImageSet":
        """These images, by number or by mask; the pixels are shared."""
        return replace(
            self,
            places=self.places[rows],
            names=self.names[rows],
            contents=self.contents[rows],
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            splits=self.splits[rows],
        )


def read_content(content: Path | bytes) -> bytes:
    """The encoded image; raises ImageError when its file is missing, too large or unreadable."""
    if isinstance(content, bytes):
        return content
    try:
        size = content.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(f"has {size / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20}")
        return content.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror or error})") from None
