"""The pictures of the report of a run on images."""

import base64
from collections.abc import Mapping
from typing import Any  # JSON values

import numpy as np
import torch
from PIL import Image

from explicate_bundle.images import Pixels, encode_png
from explicate_training.image.augmentation import augment
from explicate_training.image.config import AugmentationConfig
from explicate_training.image.data import ImageSet
from explicate_training.tasks.task import Task

_SHOWN_IMAGES, _SHOWN_CHANGES = 6, 5  # of the augmentation: images, and changes of each
_SHOWN_EDGE = 96  # pixels of a picture in the report, at least; at most twice that

Pictures = list[dict[str, Any]]


def changed_images(train: ImageSet, task: Task, config: AugmentationConfig, *, seed: int) -> list[Pictures]:
    """For a few training images a row: the image as the model reads it, then changes as training draws them."""
    rows = np.linspace(0, len(train) - 1, min(_SHOWN_IMAGES, len(train))).round().astype(int)
    shown = []
    for row in rows.tolist():
        pixels = train.pixels[train.places[row]]
        repeated = torch.from_numpy(np.repeat(pixels[np.newaxis], _SHOWN_CHANGES, axis=0))
        changes = augment(repeated, [(row, 0, row + place) for place in range(_SHOWN_CHANGES)], config, seed=seed)
        shown.append([_picture(one, task.words(train.labels[row])) for one in (pixels, *changes.numpy())])
    return shown


def pictures_of(images: ImageSet, rows: Mapping[int, dict[str, Any]]) -> Pictures:
    """Pictures of some rows with what is told of them."""
    return [
        {**_picture(images.pixels[images.places[row]], str(images.names[row])), **told} for row, told in rows.items()
    ]


def _picture(pixels: Pixels, name: str) -> dict[str, Any]:
    """A picture that needs no file, small ones enlarged with their pixels seen, large ones made smaller."""
    height, width = pixels.shape[:2]
    times = max(1, _SHOWN_EDGE // max(height, width))
    image = Image.fromarray(pixels).resize((width * times, height * times), Image.Resampling.NEAREST)
    image.thumbnail((2 * _SHOWN_EDGE, 2 * _SHOWN_EDGE))
    encoded = base64.b64encode(encode_png(np.asarray(image))).decode()
    return {"name": name, "address": f"data:image/png;base64,{encoded}"}
