"""The images a command is given: as files, as folders of files, or as JSON lines that name files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from explicate.cli import files
from explicate.cli.asked import Asked
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.inputs import Image

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_EXAMPLE = '{"image": "pictures/cat.png"}'


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """--image."""
    group = parser.add_argument_group("images", "PNG, JPEG, WebP, GIF, BMP or TIFF; an animated file's first picture.")
    group.add_argument(
        "--image",
        metavar="FILE",
        dest="images",
        nargs="+",
        action="extend",
        help="image files, or folders: every image file in them, by name, not in folders below",
    )


def images(names: list[str], max_bytes: int) -> Iterator[Asked]:
    """The images, read one after the other; one that cannot be read or is too large has its refusal.

    Raises UsageError for a folder without image files, before anything is read.
    """
    paths = [path for name in names for path in _files(Path(name))]
    for number, path in enumerate(paths, start=1):
        yield _asked(number, path, max_bytes)


def json_images(name: str, max_bytes: int) -> Iterator[Asked]:
    """The images of JSON lines {"image": FILE}, beside which other keys are left alone.

    A FILE is found from the folder that the lines' own file is in.
    """
    folder = Path() if name == files.STDIN else Path(name).parent
    for number, line, given in files.json_lines(name, _EXAMPLE):
        if isinstance(given, InvalidArgument):
            yield Asked(number, Image(b"", line), given)
        elif not isinstance(given.get("image"), str):
            yield Asked(number, Image(b"", line), invalid_argument("line", f"has no image, as in {_EXAMPLE}"))
        else:
            yield _asked(number, folder / given["image"], max_bytes)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not found:
        raise UsageError(f"there is no image file in {path}")
    return found


def _asked(number: int, path: Path, max_bytes: int) -> Asked:
    try:
        return Asked(number, Image.open(path, max_bytes=max_bytes))
    except UsageError as error:
        return Asked(number, Image(b"", str(path)), invalid_argument("image", str(error)))
    except ValueError as error:  # a NUL character, which no path can have
        return Asked(number, Image(b"", str(path)), invalid_argument("image", f"cannot be read: {error}"))
