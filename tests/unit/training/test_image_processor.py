"""What a base model makes of an image before its first layer, as transformers makes it."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, MobileNetV2ImageProcessorPil
from transformers import ViTImageProcessorPil as ViT

from explicate.errors import UsageError
from explicate_bundle.images import Preparation
from explicate_training.image.processor import ImageProcessor, read_processor


def normalised(processor: ImageProcessor, image: Image.Image) -> np.ndarray[Any, Any]:
    """float [3, height, width] as the graph makes it."""
    pixels = processor.preparation.pixels(image).astype(np.float64)
    values = (pixels * processor.rescale - np.array(processor.mean)) / np.array(processor.std)
    return np.moveaxis(values, 2, 0)


@pytest.mark.parametrize(
    "theirs",
    [
        ViT(),
        ViT(size={"height": 20, "width": 28}, resample=3),
        ViT(do_normalize=False),
        MobileNetV2ImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}),
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 24, "width": 28}),
        ConvNextImageProcessorPil(size={"shortest_edge": 56}, crop_pct=0.875),
        ConvNextImageProcessorPil(size={"shortest_edge": 384}),
    ],
    ids=lambda theirs: f"{type(theirs).__name__}-{theirs.size}",
)
# Sizes whose edges come out whole and whose margins are even: otherwise transformers cuts where we round, by a pixel.
@pytest.mark.parametrize("size", [(96, 64), (64, 96), (64, 64)])
def test_images_become_what_transformers_makes_of_them(theirs: Any, size: tuple[int, int]) -> None:
    stream = np.random.default_rng(2)
    image = Image.fromarray(stream.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))
    ours = read_processor(theirs.to_dict(), "base")
    expected = theirs(image, return_tensors="np")["pixel_values"][0]
    actual = normalised(ours, image)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_a_processor_survives_being_written_and_read_again() -> None:
    for preparation in (Preparation(20, 30), Preparation(20, 30, shortest_edge=32, resampling="bicubic")):
        processor = ImageProcessor(preparation, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 1 / 255)
        assert read_processor(processor.as_json(), "base") == processor


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 32, "image_mean": [0.5] * 3}, "image_std is missing"),
        ({"size": 32, "image_mean": [0.5], "image_std": [0.5]}, "image_mean has 1 channels"),
        ({"size": {"longest_edge": 9}, "image_mean": [0] * 3, "image_std": [1] * 3}, "width is missing"),
        ({"size": 32, "resample": 5, "image_mean": [0] * 3, "image_std": [1] * 3}, "resample is 5"),
        ({"size": 10**6, "image_mean": [0] * 3, "image_std": [1] * 3}, "edges go from 1 to 2048"),
        (
            {"size": 4096, "image_mean": [0] * 3, "image_std": [1] * 3},
            "reads 4096 x 4096 pixels, and edges go",
        ),
        ({"size": 32, "image_mean": [0] * 3, "image_std": [0] * 3}, "image_std is not above 0"),
        ({"size": 32, "rescale_offset": True}, "rescale_offset"),
        ({"size": "large", "image_mean": [0] * 3, "image_std": [1] * 3}, "cannot use the preprocessor_config.json"),
    ],
)
def test_a_processor_that_cannot_be_followed_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_processor(settings, "base")
