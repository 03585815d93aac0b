"""What the first bytes of an image file say: its format, and of some formats what Pillow would not tell for little.

Pillow sets memory aside for a GIF's first picture and a WebP's canvas as it opens them, so their sizes are read here
before; and it counts the pictures of GIF and TIFF files by going through all of them, however many a file claims.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# Pictures are counted up to the first, and blocks of a GIF up to the second: milliseconds, whatever the file.
MOST_FRAMES = 1000
_MOST_BLOCKS = 200_000
# Each scan of a progressive JPEG goes over the whole picture, and nothing can stop a decoder; encoders write about ten.
# 31 million pixels took 2.3 s in 10 scans and 6.8 s in 30, a file of 10 MB.
MOST_SCANS = 100
MOST_SCANNED_PIXELS = 600_000_000

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
FORMATS = ("PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF")
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B


class HeaderError(Exception):
    """The file breaks off, or would take too long; the message says what it does, in words that follow "file that"."""


@dataclass(frozen=True)
class Canvas:
    """The size in pixels that a file declares, and how many pictures it has; None where Pillow tells.

    Attributes:
        scans: how often its decoder goes over the picture.
    """

    size: tuple[int, int] | None = None
    frames: int | None = None
    scans: int = 1


def image_format(content: bytes) -> str | None:
    """The name of the format, one of FORMATS; None when the file is of no such format."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    return next((name for signature, name in _SIGNATURES if content.startswith(signature)), None)


def canvas_of(content: bytes, name: str) -> Canvas:
    """What a file of the format ``name`` declares.

    Raises:
        HeaderError: it breaks off, or would take too long to decode.
    """
    # A marker cannot occur within a scan: there 0xff is followed by 0.
    scans = content.count(b"\xff\xda") if name == "JPEG" else 1
    if scans > MOST_SCANS:
        raise HeaderError(f"has more than {MOST_SCANS} scans")
    try:
        if name == "GIF":
            return _gif_canvas(content)
        if name == "WebP":
            return Canvas(size=_webp_size(content))
        return Canvas(frames=_tiff_frames(content)) if name == "TIFF" else Canvas(scans=scans)
    except (struct.error, IndexError) as error:
        raise HeaderError("breaks off in its header") from error


def _webp_size(content: bytes) -> tuple[int, int]:
    """The canvas: RFC 9649, sections 2.5 to 2.7."""
    chunk = content[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(content[first : first + 3], "little") + 1 for first in (24, 27))
        return width, height
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)
    return width & 0x3FFF, height & 0x3FFF


def _gif_canvas(content: bytes) -> Canvas:
    """The screen, or the first picture where that is larger, as Pillow takes it; GIF89a, sections 18 to 20."""
    boxes = [box for _, box in zip(range(MOST_FRAMES), _gif_boxes(content), strict=False)]
    left, top, width, height = boxes[0] if boxes else (0, 0, 0, 0)
    screen_width, screen_height = struct.unpack_from("<HH", content, 6)
    return Canvas((max(screen_width, left + width), max(screen_height, top + height)), max(1, len(boxes)))


def _gif_boxes(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Left edge, upper edge, width and height of each picture, until the file ends or has taken too many blocks."""
    place = 13 + _colour_table_bytes(content[10])
    for _ in range(_MOST_BLOCKS):
        if place >= len(content) or content[place] == _GIF_END:
            return
        if content[place] == _GIF_IMAGE:
            if place + 10 > len(content):
                return
            yield struct.unpack_from("<HHHH", content, place + 1)
            place += 11 + _colour_table_bytes(content[place + 9])
        elif content[place] == _GIF_EXTENSION:
            place += 2
        else:  # Pillow passes over what it does not know, byte by byte
            place += 1
            continue
        place = _after_blocks(content, place)


def _after_blocks(content: bytes, place: int) -> int:
    """The place after a row of data blocks, each with its length before it; the end of the file if it breaks off."""
    while place < len(content) and content[place]:
        place += content[place] + 1
    return place + 1


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff_frames(content: bytes) -> int:
    """How many directories are chained: TIFF 6.0, section 2, and BigTIFF."""
    order = "<" if content[:1] == b"I" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    count_format, offset_format, entry_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    (place,) = struct.unpack_from(order + offset_format, content, 8 if big else 4)
    for frames in range(MOST_FRAMES):
        if not place or place >= len(content):
            return max(1, frames)
        try:
            (entries,) = struct.unpack_from(order + count_format, content, place)
            after = place + struct.calcsize(count_format) + entries * entry_bytes
            (place,) = struct.unpack_from(order + offset_format, content, after)
        except struct.error:
            return frames + 1
    return MOST_FRAMES
