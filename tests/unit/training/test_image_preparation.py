"""Encoded images to pixels: in training as in the server, and like Pillow, whatever the file looks like."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, MobileNetV2ImageProcessorPil
from transformers import ViTImageProcessorPil as ViT

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.images import read_image
from explicate_export.image.golden import edge_images
from explicate_training.image.preparation import (
    FORMATS,
    ImageError,
    Preparation,
    bombs_refused,
    decode,
    encode_png,
)
from explicate_training.image.processor import ImageProcessor, read_processor

COLOURS = np.random.default_rng(0).integers(0, 256, (23, 37, 3)).astype(np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


def test_transparency_becomes_white() -> None:
    image = Image.fromarray(COLOURS)
    image.putalpha(Image.new("L", image.size, 51))  # a fifth
    shown = np.asarray(decode(encoded(image))).astype(int)
    assert np.abs(shown - (0.2 * COLOURS + 0.8 * 255)).max() <= 1


def test_sixteen_bits_keep_the_upper_eight() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (9, 9)).astype(np.uint16)
    shown = np.asarray(decode(encoded(Image.fromarray(deep))))
    np.testing.assert_array_equal(shown, np.repeat((deep >> 8)[:, :, np.newaxis], 3, axis=2))


def test_a_turned_image_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the right edge is the bottom
    shown = np.asarray(decode(encoded(Image.fromarray(COLOURS), exif=exif)))
    np.testing.assert_array_equal(shown, np.rot90(COLOURS, k=-1))


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.fromarray(np.full((5, 5, 3), grey, dtype=np.uint8)) for grey in (10, 200)]
    content = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert np.asarray(decode(content)).max() == 10


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read(form: str) -> None:
    shown = decode(encoded(Image.fromarray(COLOURS), form))
    assert (shown.mode, shown.size) == ("RGB", (37, 23))


def declared(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says it is this large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        file += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return file


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"not an image", "cannot be decoded"),
        (encoded(Image.fromarray(COLOURS))[:200], "cannot be decoded"),
        (declared(50_000, 50_000), "more than 50,000,000"),
        (declared(8_000, 8_000), "more than 50,000,000"),
        (encoded(Image.fromarray(COLOURS), "PPM"), "cannot be decoded"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(content: bytes, sentence: str) -> None:
    with bombs_refused(), pytest.raises(ImageError, match=sentence):
        decode(content)


def test_an_image_too_narrow_to_be_resized_is_refused() -> None:
    line = Image.new("RGB", (1, 20_000))
    with pytest.raises(ImageError, match="is too narrow"):
        Preparation(224, 224, shortest_edge=256).pixels(line)


PREPARATIONS = [
    Preparation(32, 32),
    Preparation(48, 20, resampling="lanczos"),
    Preparation(24, 24, shortest_edge=28, resampling="bicubic"),
    Preparation(30, 24, shortest_edge=12),  # the middle is larger than what was resized
    Preparation(16, 16, shortest_edge=16, resampling="nearest"),
]


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=str)
@pytest.mark.parametrize("size", [(37, 23), (23, 37), (1, 1), (3, 60), (64, 64)])
def test_training_and_server_read_the_same_pixels(preparation: Preparation, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    schema = bundle_pb2.ImageSchema(
        width=preparation.width,
        height=preparation.height,
        shortest_edge=preparation.shortest_edge,
        resampling=bundle_pb2.Resampling.Value(f"RESAMPLING_{preparation.resampling.upper()}"),
    )
    floats = Image.fromarray(np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20))
    contents = [
        encode_png(pixels),
        *edge_images(encode_png(pixels)),
        encoded(image, "JPEG"),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image.quantize(5), "GIF", transparency=1),
        encoded(floats, "TIFF"),
    ]
    for content in contents:
        ours = preparation.pixels(decode(content))
        assert ours.shape == (preparation.height, preparation.width, 3)
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, read_image(content, schema, max_pixels=10**6).pixels)


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
        ({"size": 10**6, "image_mean": [0] * 3, "image_std": [1] * 3}, "not one from 1 to 4096"),
        ({"size": 32, "image_mean": [0] * 3, "image_std": [0] * 3}, "image_std is not above 0"),
        ({"size": 32, "rescale_offset": True}, "rescale_offset"),
        ({"size": "large", "image_mean": [0] * 3, "image_std": [1] * 3}, "cannot use the preprocessor_config.json"),
    ],
)
def test_a_processor_that_cannot_be_followed_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_processor(settings, "base")
