"""Random changes of training images: mirrored, cut, turned, in other colours and with noise.

What is drawn for an image is a function of the seed, the epoch and its place in the epoch alone, so that a resumed run
sees the pictures of the uninterrupted one, and batches can be made by anybody in any order.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any  # targets of any number type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from explicate_training.image.config import AugmentationConfig
from explicate_training.loop.rows import BalancedOrder

Draw = tuple[int, int, int]  # an image's number, the epoch, its place in the epoch
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # brightness of a colour (ITU-R BT.601)
_WHITE = 255.0


class DrawOrder(BalancedOrder):
    """The order of training images, each with what its changes are drawn from.

    No batch is of one image alone: a normalisation over the batch (BatchNorm) knows no spread of one value. The image
    that would be left over, another one in each epoch, is left out.
    """

    def __init__(self, targets: NDArray[Any], imbalance: str, *, batch_size: int, seed: int) -> None:
        super().__init__(targets, imbalance, seed=seed)
        drawn = super().__len__()
        self._count = drawn - 1 if drawn % batch_size == 1 and drawn > batch_size > 1 else drawn

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Draw]:  # type: ignore[override]  # the loader hands on what the order gives
        for place, row in enumerate(islice(super().__iter__(), self._count)):
            yield row, self._epoch, place


def augment(pixels: Tensor, draws: Sequence[Draw], config: AugmentationConfig, *, seed: int) -> Tensor:
    """Changed images, uint8 [images, height, width, 3] as given; each by its own draw."""
    streams = [np.random.Generator(np.random.Philox([seed, epoch, place])) for _, epoch, place in draws]
    # Always as many draws in the same order: an option that is off does not change what the others draw.
    uniform = torch.from_numpy(np.stack([stream.random(9) for stream in streams]).astype(np.float32))
    images = pixels.permute(0, 3, 1, 2).float()
    if config.flip or config.crop or config.rotation:
        images = _moved(images, uniform[:, :5], config)
    if config.colour:
        images = _coloured(images, 1 + config.colour * (2 * uniform[:, 5:8] - 1))
    if config.noise:
        noise = torch.from_numpy(np.stack([stream.standard_normal(images.shape[1:], np.float32) for stream in streams]))
        images = images + noise * (_WHITE * config.noise * uniform[:, 8]).view(-1, 1, 1, 1)
    return images.round().clamp(0, _WHITE).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _moved(images: Tensor, uniform: Tensor, config: AugmentationConfig) -> Tensor:
    """Mirrors, cuts and turns in one resampling; what comes from outside repeats the border.

    Args:
        images: float [images, 3, height, width].
        uniform: [images, 5] in [0, 1): mirrored or not, part cut away, where to, angle.
        config: how much.
    """
    height, width = images.shape[2:]
    mirror = torch.where(uniform[:, 0] < config.flip, -1.0, 1.0)
    kept = 1 - config.crop * uniform[:, 1]
    across, down = ((1 - kept) * (2 * uniform[:, place] - 1) for place in (2, 3))
    angle = torch.deg2rad(config.rotation * (2 * uniform[:, 4] - 1))
    cosine, sine, shape = torch.cos(angle), torch.sin(angle), width / height
    # Rows of the map from places in the result to places in the image, both from -1 to 1 along each edge.
    theta = torch.stack(
        [
            torch.stack([mirror * kept * cosine, -kept * sine / shape, across], dim=1),
            torch.stack([mirror * kept * sine * shape, kept * cosine, down], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _coloured(images: Tensor, factors: Tensor) -> Tensor:
    """Changes brightness, contrast (from the mean grey) and saturation (from each pixel's grey) by `factors` [n, 3]."""
    brightness, contrast, saturation = (factors[:, place].view(-1, 1, 1, 1) for place in range(3))
    images = images * brightness
    middle = _grey(images).mean(dim=(1, 2, 3), keepdim=True)
    images = middle + contrast * (images - middle)
    grey = _grey(images)
    return grey + saturation * (images - grey)


def _grey(images: Tensor) -> Tensor:
    """float [images, 1, height, width]."""
    weights = images.new_tensor([_RED, _GREEN, _BLUE]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
