"""The images a command is given, as files, folders of files, or JSON lines that name files; and those it draws."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.cli.inputs import asked as line_files
from explicate.cli.inputs.asked import Asked, InputKind
from explicate.errors import InvalidArgument, UsageError, invalid_argument
from explicate.inputs import MAX_IMAGE_BYTES, Image, Input
from explicate.reading.text_files import STDIN
from explicate.views.canvas import pillow

if TYPE_CHECKING:
    from explicate.model_info import ModelDescription, ServingLimits
    from explicate.results import ExplainResult

_READ_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_EXAMPLE = '{"image": "pictures/cat.png"}'
_DRAWN_SUFFIX = ".png"
_NAME_CHARACTERS = 80  # of the image's own name, in the name of a file in a folder


class ImageInputs(InputKind):
    """Images."""

    plural = "images"
    inputs = "images"
    players = (
        "in an image segments of similar colour and size (slic, default) or of any size (quickshift), a grid, or the"
        " model's own patches"
    )
    absence = "a segment of an image: mean (its own mean colour), blur or grey"
    parts = "for an image segment:ID, box:LEFT:TOP:RIGHT:BOTTOM or polygon:X:Y:X:Y:X:Y in its pixels"
    predict_examples = (
        "explicate predict --model animals --image cat.jpg pictures/              a file, and every image in a folder",
    )
    explain_examples = (
        "explicate explain --model animals --image cat.jpg --out why-cat.png     which parts speak for the answer",
        "explicate explain --model animals --image pictures/ --out drawn/ --segments 100 --masking blur",
    )
    places = ("images",)
    choices = "--image FILE or --jsonl FILE"
    json_lines = 'an image {"image": "FILE"}, found from the folder of the lines'
    baselines = "for an image another image's FILE, or a colour '#ff8800'"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """--image."""
        group = parser.add_argument_group(
            "images", "PNG, JPEG, WebP, GIF, BMP or TIFF; an animated file's first picture."
        )
        group.add_argument(
            "--image",
            metavar="FILE",
            dest="images",
            nargs="+",
            action="extend",
            help="image files, or folders: every image file in them, by name, but not in folders below",
        )

    def add_player_options(self, group: argparse._ArgumentGroup) -> None:
        """--segments."""
        group.add_argument("--segments", metavar="N", type=int, help="cut an image into about N (default: 49)")

    def add_drawing_options(self, parser: argparse.ArgumentParser) -> None:
        """--out."""
        parser.add_argument(
            "--out",
            metavar="PICTURE",
            type=Path,
            help="draw the explanation over the image: to a .png file for one image, else to a folder",
        )

    def check(self, arguments: argparse.Namespace) -> None:
        """Raise UsageError for an --out that cannot take what is asked for, before anything is asked."""
        out: Path | None = getattr(arguments, "out", None)  # `predict` draws nothing
        if out is None:
            return
        if not (arguments.images or arguments.jsonl or arguments.file):
            raise UsageError("--out draws images: give them with --image FILE or --jsonl FILE")
        pillow()  # before a model works for a picture that cannot be drawn
        if not _is_file(out):
            if out.suffix and not out.is_dir():
                raise UsageError(f"--out {out}: must end in {_DRAWN_SUFFIX}, or be a folder")
            return
        one = len(arguments.images or ()) == 1 and not Path(arguments.images[0]).is_dir()
        if not one or arguments.all_classes:
            raise UsageError(f"--out {out} is one file, but more than one picture may be drawn: give a folder")

    def draw(self, arguments: argparse.Namespace, number: int, result: ExplainResult) -> None:
        """Draw every output to --out, if it was given; raises UsageError for what cannot be written."""
        if arguments.out is None:
            return
        out: Path = arguments.out
        for output in range(len(result.explanation.attributions)):
            path = out if _is_file(out) else out / _name(number, result, output)
            picture = result.to_image(output)
            part = path.with_name(f".{path.name}.{os.getpid()}.part")  # a reader must not see half a picture
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    picture.save(part, format="PNG")
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error.strerror or error}") from error

    def read(self, arguments: argparse.Namespace, model: ModelDescription | None) -> Iterator[Asked]:
        """The images, read one after the other; one that cannot be read or is too large has its refusal.

        Raises UsageError for a folder without image files, before anything is read.
        """
        max_bytes = (model.limits.max_image_bytes if model else 0) or MAX_IMAGE_BYTES
        if arguments.jsonl:
            yield from _json_images(arguments.jsonl, max_bytes)
            return
        paths = [path for name in arguments.images for path in _files(Path(name))]
        for number, path in enumerate(paths, start=1):
            yield _opened(number, path, max_bytes)

    def asked(self, number: int, value: Input | None, refusal: InvalidArgument | None) -> Asked:
        return _image(number, value if isinstance(value, Image) else Image(b""), refusal)

    def baseline(self, written: str, model: ModelDescription | None) -> Input:
        if written.startswith("#"):
            return written
        return Image.open(written, max_bytes=(model.limits.max_image_bytes if model else 0) or MAX_IMAGE_BYTES)

    def columns(self, model: ModelDescription) -> tuple[str, ...]:  # noqa: ARG002
        return ("image",)

    def told(self, model: ModelDescription) -> list[tuple[str, str]]:
        patches = f", in patches of {model.patch_size}" if model.patch_size else ""
        return [("reads", f"images, as {model.image_width} x {model.image_height} pixels{patches}")]

    def limits(self, limits: ServingLimits) -> list[tuple[str, str]]:
        return [("bytes per image", f"{limits.max_image_bytes:,}")]


def _json_images(name: str, max_bytes: int) -> Iterator[Asked]:
    """The images of JSON lines {"image": FILE}, beside which other keys are left alone.

    A FILE is found from the folder that the lines' own file is in.
    """
    folder = Path() if name == STDIN else Path(name).parent
    for number, line, given in line_files.json_lines(name, _EXAMPLE):
        if isinstance(given, InvalidArgument):
            yield _image(number, Image(b"", line), given)
        elif not isinstance(given.get("image"), str):
            yield _image(number, Image(b"", line), invalid_argument("line", f"has no image, as in {_EXAMPLE}"))
        else:
            yield _opened(number, folder / given["image"], max_bytes)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _READ_SUFFIXES)
    if not found:
        raise UsageError(f"there is no image file in {path}")
    return found


def _opened(number: int, path: Path, max_bytes: int) -> Asked:
    try:
        return _image(number, Image.open(path, max_bytes=max_bytes))
    except UsageError as error:
        return _image(number, Image(b"", str(path)), invalid_argument("image", str(error)))
    except ValueError as error:  # a NUL character, which no path can have
        return _image(number, Image(b"", str(path)), invalid_argument("image", f"cannot be read: {error}"))


def _image(number: int, image: Image, refusal: InvalidArgument | None = None) -> Asked:
    given = {"image": image.name}  # the file itself is at hand
    return Asked(number, image, "image", given, refusal, file=image.name, file_bytes=len(image.content))


def _is_file(out: Path) -> bool:
    return out.suffix.lower() == _DRAWN_SUFFIX and not out.is_dir()


def _name(number: int, result: ExplainResult, output: int) -> str:
    """A name that no two pictures share, such as "0003-cat.png", with the class when there are several."""
    stem = Path(result.image.name).stem if result.image else ""
    parts = [f"{number:04d}", _plain(stem)]
    if len(result.explanation.attributions) > 1:
        attribution = result.explanation.attributions[output]
        parts += [f"{attribution.class_index}", _plain(attribution.class_label)]
    return "-".join(filter(None, parts)) + _DRAWN_SUFFIX


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:_NAME_CHARACTERS].strip("._")
