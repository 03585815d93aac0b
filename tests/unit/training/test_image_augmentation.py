"""Random changes of training images: each does what its name says, and the seed alone decides."""

import numpy as np
import pytest
import torch

from explicate_training.image.augmentation import DrawOrder, augment
from explicate_training.image.config import AugmentationConfig

NOTHING = AugmentationConfig(flip=0.0, crop=0.0, rotation=0.0, colour=0.0, noise=0.0)
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 20, 30, 3)).astype(np.uint8))
DRAWS = [(row, 0, row) for row in range(len(IMAGES))]


def changed(seed: int = 0, draws: list[tuple[int, int, int]] = DRAWS, **options: float) -> torch.Tensor:
    return augment(IMAGES, draws, AugmentationConfig(**{**vars(NOTHING), **options}), seed=seed)


def test_nothing_is_changed_when_all_is_off() -> None:
    assert torch.equal(changed(), IMAGES)


def test_a_flip_mirrors_left_and_right() -> None:
    assert torch.equal(changed(flip=1.0), IMAGES.flip(2))
    some = changed(flip=0.5)
    mirrored = [torch.equal(one, image.flip(1)) for one, image in zip(some, IMAGES, strict=True)]
    kept = [torch.equal(one, image) for one, image in zip(some, IMAGES, strict=True)]
    assert [not one for one in mirrored] == kept
    assert 0 < sum(mirrored) < len(IMAGES)


def test_a_rotation_turns_about_the_middle_and_keeps_shapes() -> None:
    # A disc in the middle of an image that is no square stays a disc, whatever the angle.
    y, x = np.indices((40, 80))
    disc = ((x - 39.5) ** 2 + (y - 19.5) ** 2 <= 15**2) * np.uint8(255)
    images = torch.from_numpy(np.repeat(disc[np.newaxis, :, :, np.newaxis], 3, axis=3)).repeat(12, 1, 1, 1)
    turned = augment(images, DRAWS, AugmentationConfig(**{**vars(NOTHING), "rotation": 180.0}), seed=0)
    share = (turned > 127).float().mean(dim=(1, 2, 3)) / (images > 127).float().mean()
    assert (share - 1).abs().max() < 0.03
    assert ((turned > 127) != (images > 127)).float().mean() < 0.01
    half_plane = torch.zeros(12, 40, 40, 3, dtype=torch.uint8)
    half_plane[:, :20] = 255
    angles = torch.atan2(
        *_gradient(augment(half_plane, DRAWS, AugmentationConfig(**{**vars(NOTHING), "rotation": 30.0}), seed=0))
    )
    degrees = torch.rad2deg(angles)
    assert degrees.abs().max() <= 31
    assert degrees.max() > 10
    assert degrees.min() < -10


def _gradient(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How much the brightness rises across and falls down each image, in its middle."""
    middle = images[:, 10:30, 10:30, 0].float()
    return middle[:, :, 1:].sub(middle[:, :, :-1]).mean(dim=(1, 2)), middle[:, :-1].sub(middle[:, 1:]).mean(dim=(1, 2))


def test_a_crop_shows_a_part_of_the_image_enlarged() -> None:
    ramp = torch.arange(100).repeat(1, 100, 1).unsqueeze(-1).repeat(12, 1, 1, 3).to(torch.uint8)
    cut = augment(ramp, DRAWS, AugmentationConfig(**{**vars(NOTHING), "crop": 0.5}), seed=0).float()
    widths = cut[:, 50, -1, 0] - cut[:, 50, 0, 0]  # of the 99 that the ramp rises by
    assert (widths >= 49).all()
    assert (widths <= 99).all()
    assert widths.max() - widths.min() > 20
    assert (cut[:, 50, 0, 0] >= 0).all()


def test_colours_change_within_their_bound() -> None:
    grey = torch.full((12, 4, 4, 3), 100, dtype=torch.uint8)
    bright = augment(grey, DRAWS, AugmentationConfig(**{**vars(NOTHING), "colour": 0.3}), seed=0)
    levels = bright.float().mean(dim=(1, 2, 3))
    assert (bright.flatten(1) == bright.flatten(1)[:, :1]).all()  # contrast and saturation find nothing in plain grey
    assert ((levels >= 70) & (levels <= 130)).all()
    assert levels.max() - levels.min() > 20


def test_noise_has_the_spread_asked_for_at_most() -> None:
    grey = torch.full((200, 16, 16, 3), 128, dtype=torch.uint8)
    draws = [(row, 0, row) for row in range(200)]
    noisy = augment(grey, draws, AugmentationConfig(**{**vars(NOTHING), "noise": 0.1}), seed=0).float()
    spreads = noisy.std(dim=(1, 2, 3)) / 255
    assert spreads.max() < 0.11
    # Uniform from nothing to the bound: half of it on average.
    assert spreads.mean() == pytest.approx(0.05, abs=0.006)


def test_the_draw_alone_decides_whatever_the_batch() -> None:
    config = AugmentationConfig()
    together = augment(IMAGES, DRAWS, config, seed=3)
    alone = torch.cat([augment(IMAGES[[row]], [DRAWS[row]], config, seed=3) for row in range(len(IMAGES))])
    assert torch.equal(together, alone)
    for other in (
        augment(IMAGES, DRAWS, config, seed=4),
        augment(IMAGES, [(row, 1, place) for row, _, place in DRAWS], config, seed=3),
    ):
        assert all(not torch.equal(one, another) for one, another in zip(together, other, strict=True))


def test_the_order_tells_epoch_and_place_and_repeats_rare_classes() -> None:
    order = DrawOrder(np.array([0] * 6 + [1] * 2), "over-sampling", batch_size=4, seed=0)
    order.set_epoch(5)
    draws = list(order)
    assert [(epoch, place) for _, epoch, place in draws] == [(5, place) for place in range(12)]
    assert sorted(row for row, _, _ in draws) == [0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7]


@pytest.mark.parametrize(("rows", "batch_size", "drawn"), [(9, 4, 8), (8, 4, 8), (10, 4, 10), (5, 1, 5), (1, 4, 1)])
def test_no_batch_is_of_one_image_alone(rows: int, batch_size: int, drawn: int) -> None:
    order = DrawOrder(np.zeros(rows), "none", batch_size=batch_size, seed=0)
    left_out = set()
    for epoch in range(12):
        order.set_epoch(epoch)
        images = [row for row, _, _ in order]
        assert len(images) == len(set(images)) == len(order) == drawn
        left_out.add(frozenset(range(rows)) - set(images))
    assert len(left_out) > 1 or drawn == rows  # another one each time
