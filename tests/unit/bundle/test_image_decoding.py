"""Image files of every kind become the pixels that Pillow and numpy give by the written steps; bad ones are refused."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explicate.v1 import bundle_pb2
from explicate_bundle.files import image_headers
from explicate_bundle.files.image_headers import MOST_FRAMES, MOST_SCANS
from explicate_bundle.images import (
    MAX_EDGE,
    MAX_SHORTEST_EDGE,
    Preparation,
    ReadImage,
    UnreadableImage,
    decode,
    read_image,
)
from support.tiny_image_bundle import HEIGHT, WIDTH, pictures, png, saved

MOST_PIXELS = 1_000_000
PIXELS = pictures(1)[0]
GREY = PIXELS[:, :, 0]
EXIF_ORIENTATION = 0x0112
# What turns the stored picture upright, by the orientation that EXIF gives it.
UPRIGHT: dict[int, Callable[[Any], Any]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


def read(content: bytes, *, width: int = WIDTH, height: int = HEIGHT, shortest_edge: int = 0) -> ReadImage:
    schema = bundle_pb2.ImageSchema(
        width=width, height=height, shortest_edge=shortest_edge, resampling="RESAMPLING_BILINEAR"
    )
    return read_image(content, schema, max_pixels=MOST_PIXELS)


def by_pillow(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def refusal(content: bytes, **options: Any) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(content, **options)
    return str(caught.value)


def oriented(file_format: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return saved(Image.fromarray(PIXELS), file_format, exif=exif, **options)


def many_frames(file_format: str, count: int, **options: Any) -> bytes:
    frames = [Image.fromarray(picture) for picture in pictures(count)]
    return saved(frames[0], file_format, save_all=True, append_images=frames[1:], **options)


LOSSLESS = {
    "png": png(PIXELS),
    "bmp": saved(Image.fromarray(PIXELS), "BMP"),
    "tiff": saved(Image.fromarray(PIXELS), "TIFF"),
    "tiff-lzw": saved(Image.fromarray(PIXELS), "TIFF", compression="tiff_lzw"),
    "webp": saved(Image.fromarray(PIXELS), "WEBP", lossless=True),
}
LOSSY = {
    "jpeg": saved(Image.fromarray(PIXELS), "JPEG", quality=90),
    "jpeg-progressive": saved(Image.fromarray(PIXELS), "JPEG", progressive=True),
    "jpeg-cmyk": saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"),
    "jpeg-grey": saved(Image.fromarray(GREY), "JPEG"),
    "webp": saved(Image.fromarray(PIXELS), "WEBP"),
    "gif": saved(Image.fromarray(PIXELS), "GIF"),
    "tiff-cmyk": saved(Image.fromarray(PIXELS).convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_an_image_of_the_models_size_is_taken_as_it_is(name: str) -> None:
    image = read(LOSSLESS[name])
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.pixels.dtype == np.uint8
    assert (image.size, image.box, image.frames) == ((WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT), 1)


@pytest.mark.parametrize("name", LOSSY)
def test_what_loses_colours_has_those_that_pillow_gives_it(name: str) -> None:
    np.testing.assert_array_equal(read(LOSSY[name]).pixels, by_pillow(LOSSY[name]))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_an_image_is_turned_as_its_exif_says(file_format: str, orientation: int) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    upright = UPRIGHT[orientation](PIXELS)
    height, width = upright.shape[:2]
    image = read(oriented(file_format, orientation, **options), width=width, height=height)
    np.testing.assert_array_equal(image.pixels, upright)
    assert image.size == (width, height)


def test_a_photo_from_a_phone_is_turned_too() -> None:
    photo = oriented("JPEG", 6)
    turned = read(photo, width=HEIGHT, height=WIDTH)
    np.testing.assert_array_equal(turned.pixels, UPRIGHT[6](by_pillow(photo)))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("alpha", [0, 1, 127, 255])
def test_what_is_transparent_is_put_on_white(mode: str, alpha: int) -> None:
    image = Image.fromarray(PIXELS if mode == "RGBA" else GREY)
    image.putalpha(alpha)
    opaque = PIXELS if mode == "RGBA" else np.repeat(GREY[:, :, np.newaxis], 3, axis=2)
    expected = (alpha * opaque.astype(float) + (255 - alpha) * 255) / 255
    assert np.abs(read(saved(image, "PNG")).pixels - expected).max() <= 1


def test_transparent_colours_of_a_palette_are_put_on_white() -> None:
    image = Image.fromarray((GREY > 128).astype(np.uint8))
    image = image.convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    pixels = read(saved(image, "PNG", transparency=1)).pixels
    np.testing.assert_array_equal(pixels[GREY <= 128], np.tile([10, 20, 30], ((GREY <= 128).sum(), 1)))
    assert (pixels[GREY > 128] == 255).all()
    keyed = Image.fromarray(np.where(GREY > 128, 200, 100).astype(np.uint8))
    pixels = read(saved(keyed, "PNG", transparency=200)).pixels
    np.testing.assert_array_equal(pixels[:, :, 0], np.where(GREY > 128, 255, 100))


def test_sixteen_bits_lose_the_lower_eight() -> None:
    values = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 170
    for file_format in ("PNG", "TIFF"):
        pixels = read(saved(Image.fromarray(values), file_format)).pixels
        np.testing.assert_array_equal(pixels, np.repeat(values[:, :, np.newaxis] // 256, 3, axis=2))
    pixels = read(saved(Image.fromarray(values.astype(np.int32)), "TIFF")).pixels
    np.testing.assert_array_equal(pixels[:, :, 1], values // 256)


def test_floats_are_parts_of_white_or_of_255() -> None:
    parts = np.linspace(0, 1, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    for scale in (1, 255):
        pixels = read(saved(Image.fromarray(parts * np.float32(scale)), "TIFF")).pixels
        assert np.abs(pixels[:, :, 2] - 255.0 * parts).max() <= 0.5001
    odd = np.array([[np.nan, np.inf, -np.inf, -3.0, 300.0, 12.0]], dtype=np.float32)
    pixels = read(saved(Image.fromarray(odd), "TIFF"), width=6, height=1).pixels
    assert pixels[0, :, 0].tolist() == [0, 255, 0, 0, 255, 12]


def test_one_bit_is_black_and_white() -> None:
    pixels = read(saved(Image.fromarray(GREY > 128), "PNG")).pixels
    np.testing.assert_array_equal(pixels[:, :, 1], np.where(GREY > 128, 255, 0))


def test_one_pixel_fills_what_the_model_reads() -> None:
    for edge in (0, 32):
        image = read(png(np.array([[[1, 2, 3]]], dtype=np.uint8)), shortest_edge=edge)
        assert (image.pixels == [1, 2, 3]).all()
        assert image.pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("width", "height", "edge", "resized", "cut"),
    [
        (60, 40, 20, (30, 20), (3, 2)),
        (40, 60, 20, (24, 30), (0, 7)),  # 20 wide is narrower than the model reads
        (33, 33, 25, (25, 25), (0, 4)),
        (101, 37, 19, (52, 19), (14, 1)),
        (24, 16, 16, (24, 16), (0, 0)),
    ],
)
def test_the_middle_is_cut_from_the_resized_image(
    width: int, height: int, edge: int, resized: tuple[int, int], cut: tuple[int, int]
) -> None:
    picture = pictures(1, height=height, width=width)[0]
    image = read(png(picture), shortest_edge=edge)
    whole = np.asarray(Image.fromarray(picture).resize(resized, Image.Resampling.BILINEAR))
    left, top = cut
    np.testing.assert_array_equal(image.pixels, whole[top : top + HEIGHT, left : left + WIDTH])
    x, y = width / resized[0], height / resized[1]
    assert image.box == pytest.approx((left * x, top * y, (left + WIDTH) * x, (top + HEIGHT) * y))
    assert image.size == (width, height)


@pytest.mark.parametrize("name", ["NEAREST", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_an_image_is_stretched_with_the_resampling_of_the_manifest(name: str) -> None:
    picture = pictures(1, height=50, width=31)[0]
    schema = bundle_pb2.ImageSchema(width=WIDTH, height=HEIGHT, resampling=f"RESAMPLING_{name}")
    image = read_image(png(picture), schema, max_pixels=MOST_PIXELS)
    expected = Image.fromarray(picture).resize((WIDTH, HEIGHT), Image.Resampling[name])
    np.testing.assert_array_equal(image.pixels, np.asarray(expected))
    assert image.box == (0, 0, 31, 50)


def zoo() -> Iterator[tuple[str, bytes]]:
    """Files of all kinds, none of the model's size."""
    colours, grey = pictures(1, height=45, width=37)[0], pictures(1, height=300, width=19)[0][:, :, 0]
    clear = Image.fromarray(colours)
    clear.putalpha(Image.fromarray(colours[:, :, 1]))
    for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        yield f"colours {name}", saved(Image.fromarray(colours), name)
        yield f"grey {name}", saved(Image.fromarray(grey), name)
    yield from ((f"clear {name}", saved(clear, name)) for name in ("PNG", "WEBP", "GIF", "TIFF"))
    yield from ((f"turned {turn}", oriented("JPEG", turn)) for turn in UPRIGHT)
    yield "palette", saved(Image.fromarray(colours).quantize(9), "PNG")
    yield "cmyk", saved(Image.fromarray(colours).convert("CMYK"), "TIFF")
    yield "sixteen", saved(Image.fromarray(grey.astype(np.uint16) * 201), "PNG")
    yield "integers", saved(Image.fromarray(grey.astype(np.int32) * 201), "TIFF")
    yield "floats", saved(Image.fromarray(grey.astype(np.float32) / 301), "TIFF")
    yield "frames", many_frames("GIF", 3)


PREPARATIONS = [
    Preparation(WIDTH, HEIGHT),
    Preparation(48, 20, resampling="lanczos"),
    Preparation(24, 24, shortest_edge=28, resampling="bicubic"),
    Preparation(30, 24, shortest_edge=12),  # the middle is larger than what was resized
    Preparation(16, 16, shortest_edge=16, resampling="nearest"),
]


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=str)
def test_an_image_decoded_first_and_prepared_later_has_the_same_pixels(preparation: Preparation) -> None:
    schema = bundle_pb2.ImageSchema(
        width=preparation.width,
        height=preparation.height,
        shortest_edge=preparation.shortest_edge,
        resampling=f"RESAMPLING_{preparation.resampling.upper()}",  # type: ignore[arg-type]  # a name will do
    )
    assert Preparation.of(schema) == preparation
    for name, content in zoo():
        later = preparation.pixels(decode(content))
        assert (later.shape, later.dtype) == ((preparation.height, preparation.width, 3), np.uint8), name
        np.testing.assert_array_equal(read_image(content, schema, max_pixels=MOST_PIXELS).pixels, later, err_msg=name)


@pytest.mark.parametrize(
    ("preparation", "problem"),
    [
        (Preparation(1, MAX_EDGE, MAX_SHORTEST_EDGE), ""),
        (Preparation(MAX_EDGE + 1, 8), "reads 2049 x 8 pixels, and edges go from 1 to 2048"),
        (Preparation(8, 0), "reads 8 x 0 pixels"),
        (Preparation(8, 8, MAX_SHORTEST_EDGE + 1), "resizes to 4097 pixels, and that goes up to 4096"),
        (Preparation(8, 8, -1), "resizes to -1 pixels"),
    ],
)
def test_sizes_have_a_limit(preparation: Preparation, problem: str) -> None:
    assert preparation.problem.startswith(problem)
    assert bool(preparation.problem) == bool(problem)


@pytest.mark.parametrize(
    ("file_format", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]
)
def test_of_many_pictures_the_first_is_read_and_all_are_counted(file_format: str, options: dict[str, Any]) -> None:
    first = saved(Image.fromarray(pictures(5)[0]), file_format, **options)
    image = read(many_frames(file_format, 5, **options))
    np.testing.assert_array_equal(image.pixels, read(first).pixels)
    assert image.frames == 5


def test_pictures_are_counted_up_to_a_limit_whatever_the_file_claims() -> None:
    screen = b"GIF89a" + struct.pack("<HH", 1, 1) + b"\xf0\0\0" + b"\0\0\0\xff\xff\xff"
    picture = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    whole = read(screen + 3 * picture + b"\x3b")
    assert whole.frames == 3
    assert read(screen + 300_000 * picture + b"\x3b").frames == MOST_FRAMES
    tiff = bytearray(saved(Image.fromarray(PIXELS), "TIFF"))
    (directory,) = struct.unpack_from("<I", tiff, 4)
    (entries,) = struct.unpack_from("<H", tiff, directory)
    struct.pack_into("<I", tiff, directory + 2 + 12 * entries, directory)  # a chain that bites its tail
    assert read(bytes(tiff)).frames == MOST_FRAMES


def png_declaring(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def replaced(content: bytes, place: int, layout: str, *values: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(layout, changed, place, *values)
    return bytes(changed)


def with_tags(changes: dict[int, tuple[int, int]]) -> bytes:
    """A TIFF with other tags and values in the place of some."""
    content = LOSSLESS["tiff"]
    (directory,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, directory)
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        (tag,) = struct.unpack_from("<H", content, entry)
        if tag in changes:
            number, value = changes[tag]
            content = replaced(content, entry, "<HHII", number, 4, 1, value)
    return content


_WEBP_BOX = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + (49_999).to_bytes(3, "little") * 2
_SOF = LOSSY["jpeg"].index(b"\xff\xc0") + 5
BOMBS = {
    "png": png_declaring(50_000, 50_000),
    "jpeg": replaced(LOSSY["jpeg"], _SOF, ">HH", 50_000, 50_000),
    "bmp": replaced(LOSSLESS["bmp"], 18, "<ii", 50_000, 50_000),
    "gif": replaced(LOSSY["gif"], 6, "<HH", 50_000, 50_000),
    "webp": b"RIFF" + struct.pack("<I", 22) + b"WEBP" + _WEBP_BOX,
    "tiff": with_tags({256: (256, 50_000), 257: (257, 50_000)}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_size_beyond_the_limit_is_refused_from_the_header_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    def decoded(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    assert refusal(BOMBS[name]) == "declares 50,000 x 50,000 pixels; at most 1,000,000 are accepted"
    with pytest.raises(UnreadableImage, match="at most 50,000,000 are accepted"):
        decode(BOMBS[name])


def test_a_gifs_first_picture_may_not_be_larger_than_the_limit_either() -> None:
    place = LOSSY["gif"].index(b"\x2c", 13 + 3 * 256) + 1
    bomb = replaced(LOSSY["gif"], place, "<HHHH", 10, 0, 40_000, 60_000)
    assert refusal(bomb).startswith("declares 40,010 x 60,000 pixels")


@pytest.mark.parametrize("name", ["vp8", "vp8l"])
def test_a_plain_webp_declares_its_size_too(name: str) -> None:
    content = LOSSY["webp"] if name == "vp8" else LOSSLESS["webp"]
    with pytest.raises(UnreadableImage, match=f"declares {WIDTH} x {HEIGHT} pixels; at most 100 are"):
        read_image(content, bundle_pb2.ImageSchema(width=4, height=4), max_pixels=100)


def test_a_tiffs_tiles_may_not_be_larger_than_the_limit_either() -> None:
    # Two entries that a reader can do without, PlanarConfiguration and RowsPerStrip, make room.
    bomb = with_tags({284: (322, 40_000), 278: (323, 60_000)})
    assert refusal(bomb).startswith("declares 40,000 x 60,000 pixels")


def test_a_jpeg_that_goes_over_its_picture_again_and_again_is_refused() -> None:
    content = LOSSY["jpeg-progressive"]
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    whole = content.count(b"\xff\xda")
    repeated = content[:-2] + scan * (MOST_SCANS - whole)
    assert read(repeated + b"\xff\xd9").size == (WIDTH, HEIGHT)
    assert refusal(repeated + scan + b"\xff\xd9") == "is a JPEG file that has more than 100 scans"


def test_a_large_jpeg_may_have_fewer_scans_than_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    content = LOSSY["jpeg-progressive"]
    work = content.count(b"\xff\xda") * WIDTH * HEIGHT
    monkeypatch.setattr(image_headers, "MOST_SCANNED_PIXELS", work)
    assert read(content).size == (WIDTH, HEIGHT)
    monkeypatch.setattr(image_headers, "MOST_SCANNED_PIXELS", work - 1)
    assert f"scans of {WIDTH} x {HEIGHT} pixels; at most {work - 1:,} in all" in refusal(content)


_DAMAGED = """
import sys
from explicate.v1 import bundle_pb2
from explicate_bundle.images import UnreadableImage, read_image

schema = bundle_pb2.ImageSchema(width=8, height=8, resampling="RESAMPLING_NEAREST")
content = sys.stdin.buffer.read()
seen = 0
for place in range(8, len(content)):
    try:
        read_image(content[:place] + b"\\xff" + content[place + 1 :], schema, max_pixels=1000)
    except UnreadableImage:
        seen += 1
print(seen)
"""


def test_damaged_files_write_nothing_into_the_log() -> None:
    tiff = saved(Image.fromarray(PIXELS[:4, :4]), "TIFF")
    done = subprocess.run([sys.executable, "-c", _DAMAGED], input=tiff, capture_output=True, check=True)
    assert int(done.stdout) > 10
    assert done.stderr == b""


def test_a_limit_is_reached_by_its_own_number() -> None:
    schema = bundle_pb2.ImageSchema(width=4, height=4, resampling="RESAMPLING_NEAREST")
    assert read_image(png(PIXELS), schema, max_pixels=WIDTH * HEIGHT).frames == 1
    with pytest.raises(UnreadableImage, match="at most 383 are accepted"):
        read_image(png(PIXELS), schema, max_pixels=WIDTH * HEIGHT - 1)


def test_a_thread_thin_image_is_refused_before_it_is_blown_up() -> None:
    thin = png(np.zeros((1, 40_000, 3), dtype=np.uint8))
    assert refusal(thin, shortest_edge=64) == "is too narrow: its 40,000 x 1 pixels would become 2,560,000 x 64"
    assert read(thin).size == (40_000, 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty; give the bytes of an image file"),
        (b"\0", "is no PNG, JPEG, WebP, GIF, BMP or TIFF file"),
        (b"a picture of a cat", "is no PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no PNG"),
        (b"%PDF-1.7", "is no PNG"),
        (saved(Image.fromarray(PIXELS), "PPM"), "is no PNG"),
        (saved(Image.fromarray(PIXELS), "ICO"), "is no PNG"),
        (b"RIFF\0\0\0\0WAVE", "is no PNG"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, problem: str) -> None:
    assert refusal(content).startswith(problem)


def outcome(content: bytes) -> ReadImage | str:
    """The image, or why it is refused; any other error fails the test."""
    try:
        return read(content)
    except UnreadableImage as error:
        return str(error)


@pytest.mark.parametrize("name", [*LOSSLESS, "jpeg", "gif", "jpeg-progressive"])
def test_a_file_that_breaks_off_is_refused_or_read_whole(name: str) -> None:
    content = LOSSLESS.get(name) or LOSSY[name]
    outcomes = {end: outcome(content[:end]) for end in range(0, len(content), max(1, len(content) // 60))}
    assert all(isinstance(found, str) for end, found in outcomes.items() if end < 0.9 * len(content))
    assert "damaged or breaks off" in refusal(content[: len(content) // 2])


@pytest.mark.parametrize("name", [*LOSSLESS, "jpeg", "gif"])
def test_damage_is_refused_or_read_and_nothing_else(name: str) -> None:
    content = bytearray(LOSSLESS.get(name) or LOSSY[name])
    stream = np.random.Generator(np.random.Philox(7))
    for _ in range(150):
        damaged = content.copy()
        for place in stream.integers(0, min(200, len(content)), 3):
            damaged[place] = stream.integers(256)
        found = outcome(bytes(damaged))
        assert len(found) < 200 if isinstance(found, str) else found.pixels.shape == (HEIGHT, WIDTH, 3)
