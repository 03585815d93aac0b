"""Image files to the pixels that a model reads: the same steps in training, export and server.

And what is seen where segments of an image are absent, in explanations and in training alike.

The size that a file declares is held against the limit before a pixel is decoded, and only the first picture of a file
is. Decoding takes up to 12 bytes of memory for each pixel, of a WebP 17 (measured with 32 million pixels).
"""

import io
import logging
import math
import warnings
from dataclasses import dataclass
from typing import Any  # pixels of several types

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from explicate.v1 import bundle_pb2
from explicate_bundle.files import image_headers
from explicate_bundle.files.image_headers import FORMATS, HeaderError, canvas_of, image_format

# Pillow's own bound only warns at first, and is not the operator's. Every file goes through ours before it is decoded.
Image.MAX_IMAGE_PIXELS = None
# What Pillow says of damaged files would let a caller write into our log, and Python keeps every different warning.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# The largest image that a model may read; a row of it is 12 MB.
MAX_EDGE = 2048
MAX_SHORTEST_EDGE = 4096
MAX_PIXELS = 50_000_000
"""The most pixels of a file that a model is trained on; the operator of a server chooses another bound."""
RESAMPLINGS = ("nearest", "bilinear", "bicubic", "lanczos")
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_WHITE = (255, 255, 255, 255)
_STRIP_ROWS = 256
_FIGURES_EDGE = 256  # pixels, of the copy that is measured
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF 6.0, section 15


Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]


class UnreadableImage(Exception):
    """An image cannot be used; the message says why, in words that follow "the image" or the name of its field."""


@dataclass(frozen=True)
class ReadImage:
    """What the model sees of an image.

    Attributes:
        pixels: uint8[height, width, 3], RGB.
        size: width and height of the upright image.
        box: left, upper, right and lower edge of what ``pixels`` shows, in pixels of the upright image.
        frames: pictures in the file, up to MOST_FRAMES of GIF and TIFF; only the first one was read.
    """

    pixels: Pixels
    size: tuple[int, int]
    box: Box
    frames: int


def check_head(content: bytes) -> str:
    """The format of a file, by its first bytes.

    Raises:
        UnreadableImage: it is empty, or of no format that is read.
    """
    if not content:
        raise UnreadableImage("is empty; give the bytes of an image file")
    name = image_format(content)
    if name is None:
        raise UnreadableImage(f"is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file")
    return name


@dataclass(frozen=True)
class Preparation:
    """The size that a model reads, and how an image gets it.

    Attributes:
        width: in pixels.
        height: in pixels.
        shortest_edge: 0 if an image is stretched to width x height; else its shorter edge is resized to this, its
            shape kept, and the middle cut out.
        resampling: one of RESAMPLINGS.
        rounds_down: whether the longer edge is rounded down to whole pixels, not to the nearest.
        stretched: whether the image is stretched to shortest_edge x shortest_edge before the middle is cut out.
    """

    width: int
    height: int
    shortest_edge: int = 0
    resampling: str = "bilinear"
    rounds_down: bool = False
    stretched: bool = False

    @classmethod
    def of(cls, schema: bundle_pb2.ImageSchema) -> "Preparation":
        """What a manifest that passed its checks says."""
        resampling = bundle_pb2.Resampling.Name(schema.resampling).removeprefix("RESAMPLING_").lower()
        return cls(schema.width, schema.height, schema.shortest_edge, resampling, schema.rounds_down, schema.stretched)

    def schema(self, patch_size: int) -> bundle_pb2.ImageSchema:
        """What a manifest says of it, and of the patches that the model reads, 0 if it reads none."""
        return bundle_pb2.ImageSchema(
            width=self.width,
            height=self.height,
            shortest_edge=self.shortest_edge or None,
            resampling=bundle_pb2.Resampling.Value(f"RESAMPLING_{self.resampling.upper()}"),
            patch_size=patch_size or None,
            rounds_down=self.rounds_down,
            stretched=self.stretched,
        )

    @property
    def problem(self) -> str:
        """What is wrong with the size, in words that follow "a model that"; empty if nothing is."""
        if not (0 < self.width <= MAX_EDGE and 0 < self.height <= MAX_EDGE):
            return f"reads {self.width} x {self.height} pixels, and edges go from 1 to {MAX_EDGE}"
        if not 0 <= self.shortest_edge <= MAX_SHORTEST_EDGE:
            return f"resizes to {self.shortest_edge} pixels, and that goes up to {MAX_SHORTEST_EDGE}"
        return ""

    def pixels(self, image: Image.Image) -> Pixels:
        """uint8[height, width, 3] of an upright RGB image.

        Raises:
            UnreadableImage: it is too narrow to be resized.
        """
        return self.resized(image, max_pixels=MAX_PIXELS)[0]

    def resized(self, image: Image.Image, *, max_pixels: int) -> tuple[Pixels, Box]:
        """The pixels, and the box of the image that they show.

        Raises:
            UnreadableImage: it would have more pixels than ``max_pixels`` and than the model needs.
        """
        resampling, wanted = Image.Resampling[self.resampling.upper()], (self.width, self.height)
        if not self.shortest_edge:
            return np.asarray(image.resize(wanted, resampling)), (0.0, 0.0, float(image.width), float(image.height))
        width, height = self._sizes(image)
        if width * height > max(max_pixels, self.shortest_edge**2, self.width * self.height):
            problem = (
                f"is too narrow: its {image.width:,} x {image.height:,} pixels would become {width:,} x {height:,}"
            )
            raise UnreadableImage(problem)
        left, top = (width - self.width) // 2, (height - self.height) // 2
        cut = image.resize((width, height), resampling).crop((left, top, left + self.width, top + self.height))
        x, y = image.width / width, image.height / height
        return np.asarray(cut), (left * x, top * y, (left + self.width) * x, (top + self.height) * y)

    def _sizes(self, image: Image.Image) -> tuple[int, int]:
        """Width and height that the image gets before the middle is cut out."""
        if self.stretched:
            return self.shortest_edge, self.shortest_edge
        short, whole = min(image.size), int if self.rounds_down else round
        width, height = (
            max(least, self.shortest_edge if edge == short else whole(edge * self.shortest_edge / short))
            for edge, least in zip(image.size, (self.width, self.height), strict=True)
        )
        return width, height


def read_image(content: bytes, schema: bundle_pb2.ImageSchema, *, max_pixels: int) -> ReadImage:
    """Decode the first picture and give it the size that the model reads.

    Raises:
        UnreadableImage: it is not an image, is damaged, or larger than ``max_pixels`` as declared or once resized.
    """
    upright, frames = _decoded(content, max_pixels)
    pixels, box = Preparation.of(schema).resized(upright, max_pixels=max_pixels)
    return ReadImage(pixels, upright.size, box, frames)


def decode(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The first picture, upright, as RGB with 8 bits a channel, what is transparent on white.

    Raises:
        UnreadableImage: it is not an image, is damaged, or declares more than ``max_pixels``.
    """
    return _decoded(content, max_pixels)[0]


def picture_figures(image: Image.Image) -> dict[str, float]:
    """What slices may ask of an upright RGB picture: its size in pixels, and from 0 to 1 how bright, how sharp.

    brightness: the mean of its grey values; contrast: their standard deviation; sharpness: the mean difference between
    neighbours; saturation: the mean of the colours' (HSV). Large pictures are made smaller first.
    """
    small = image.copy()
    small.thumbnail((_FIGURES_EDGE, _FIGURES_EDGE))
    grey = np.asarray(small.convert("L"), dtype=np.float64) / 255
    steps = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1)]
    found = {
        "brightness": grey.mean(),
        "contrast": grey.std(),
        "sharpness": np.mean([step.mean() for step in steps if step.size] or [0.0]),
        "saturation": np.asarray(small.convert("HSV"), dtype=np.float64)[:, :, 1].mean() / 255,
    }
    return {"width": image.width, "height": image.height, **{name: round(float(one), 4) for name, one in found.items()}}


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of uint8[height, width, 3] RGB or uint8[height, width] grey pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _decoded(content: bytes, max_pixels: int) -> tuple[Image.Image, int]:
    """The first picture, and how many there are."""
    name = check_head(content)
    try:
        canvas = canvas_of(content, name)
        if canvas.size is not None:
            _check_size(canvas.size, max_pixels)
        image = Image.open(io.BytesIO(content), formats=(name.upper(),))
        _check_size(image.size, max_pixels)
        _check_tiles(image, max_pixels)
        _check_scans(image.size, canvas.scans)
        frames = int(getattr(image, "n_frames", 1)) if canvas.frames is None else canvas.frames
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image), frames
    except UnreadableImage:
        raise
    except HeaderError as error:
        raise UnreadableImage(f"is a {name} file that {error}") from None
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error and others
        raise UnreadableImage(f"is a {name} file that cannot be decoded; it is damaged or breaks off") from error


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UnreadableImage(f"declares {width:,} x {height:,} pixels; at most {max_pixels:,} are accepted")


def _check_scans(size: tuple[int, int], scans: int) -> None:
    width, height = size
    most = image_headers.MOST_SCANNED_PIXELS
    if scans * width * height > most:
        raise UnreadableImage(f"has {scans} scans of {width:,} x {height:,} pixels; at most {most:,} in all are read")


def _check_tiles(image: Image.Image, max_pixels: int) -> None:
    """A small TIFF may declare a huge tile, which would be decoded whole."""
    tags = getattr(image, "tag_v2", {})
    _check_size((tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)), max_pixels)


def _rgb(image: Image.Image) -> Image.Image:
    """With 8 bits a channel, what is transparent on white."""
    if image.mode in _SIXTEEN_BIT_MODES:
        return _from_grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _from_grey(_eight_bit(np.asarray(image)))
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Strip by strip, for a whole image more would take four times its memory."""
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height))).convert("RGBA")
        result.paste(Image.alpha_composite(Image.new("RGBA", strip.size, _WHITE), strip).convert("RGB"), (0, top))
    return result


def _eight_bit(values: NDArray[Any]) -> Pixels:
    """Of 32-bit integers the upper 8 of 16 bits; of floats in [0, 1] or [0, 255] the nearest."""
    strips = [values[top : top + _STRIP_ROWS] for top in range(0, len(values), _STRIP_ROWS)]
    if values.dtype.kind == "i":
        return np.concatenate([(np.clip(strip, 0, 65535) >> 8).astype(np.uint8) for strip in strips])
    scale = 255.0 if max(_finite(strip).max() for strip in strips) <= 1.0 else 1.0
    scaled = (np.rint(_finite(strip) * scale) for strip in strips)
    return np.concatenate([np.clip(strip, 0, 255).astype(np.uint8) for strip in scaled])


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)


def _from_grey(values: Pixels) -> Image.Image:
    return Image.fromarray(values).convert("RGB")


MASKINGS = ("mean", "blur", "grey")
"""What an absent segment shows, the default first: its mean colour, the image blurred, or grey."""
# More players than this make the fit, not the model, the cost; see MAX_PLAYERS of the server's options.
MAX_SEGMENTS = 1024
DEFAULT_SEGMENTS = 49
"""How many a caller gets who says nothing."""
_GREY = 128
# Standard deviation of the blur, as a part of the shorter edge: what a segment showed cannot be made out any more.
_BLUR = 0.1
SegmentMap = NDArray[np.intp]  # [height, width], the segment of each pixel


def grid(height: int, width: int, *, rows: int, columns: int) -> SegmentMap:
    """Rectangles, row after row; those of a row differ by one pixel at most."""
    row_of, column_of = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.asarray(row_of[:, np.newaxis] * columns + column_of, dtype=np.intp)


def even_grid(height: int, width: int, segments: int) -> SegmentMap:
    """About this many cells, as square as possible."""
    rows = min(height, segments, max(1, round(math.sqrt(segments * height / width))))
    columns = min(width, max(1, round(segments / rows)), MAX_SEGMENTS // rows)
    return grid(height, width, rows=rows, columns=columns)


def hidden_pixels(pixels: Pixels, segment_map: NDArray[np.intp], masking: str) -> Pixels:
    """uint8[height, width, 3], what is seen where players are absent."""
    if masking == "grey":
        return np.full_like(pixels, _GREY)
    if masking == "blur":
        radius = _BLUR * min(pixels.shape[:2])
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
    # Cut to whole numbers, not rounded, as lime's own array of uint8 does.
    segments = segment_map.ravel()
    sums = [np.bincount(segments, weights=channel.ravel()) for channel in np.moveaxis(pixels, 2, 0)]
    means = np.stack(sums, axis=1) / np.bincount(segments)[:, np.newaxis]
    return means.astype(np.uint8)[segment_map]
