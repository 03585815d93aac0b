"""Explained images as picture files: `explicate explain --out`."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from explicate.cli.asked import Asked
from explicate.errors import UsageError
from explicate.results import ExplainResult
from explicate.views import picture as pictures

_SUFFIX = ".png"
_NAME_CHARACTERS = 80  # of the image's own name, in the name of a file in a folder


def add_out_option(parser: argparse.ArgumentParser) -> None:
    """--out."""
    parser.add_argument(
        "--out",
        metavar="PICTURE",
        type=Path,
        help="draw the explanation over the image: to a .png file for one image, else to a folder",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for an --out that cannot take what is asked for, before anything is asked."""
    out: Path | None = arguments.out
    if out is None:
        return
    if not (arguments.images or arguments.jsonl):
        raise UsageError("--out draws images: give them with --image FILE or --jsonl FILE")
    pictures.pillow()  # before a model works for a picture that cannot be drawn
    if not _is_file(out):
        if out.suffix and not out.is_dir():
            raise UsageError(f"--out {out}: must end in {_SUFFIX}, or be a folder")
        return
    one = len(arguments.images or ()) == 1 and not Path(arguments.images[0]).is_dir()
    if not one or arguments.all_classes:
        raise UsageError(f"--out {out} is one file, but more than one picture may be drawn: give a folder")


def draw(out: Path, asked: Asked, result: ExplainResult) -> None:
    """Draw every output of the explanation; raises UsageError for what cannot be written."""
    for output in range(len(result.explanation.attributions)):
        path = out if _is_file(out) else out / _name(asked, result, output)
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


def _is_file(out: Path) -> bool:
    return out.suffix.lower() == _SUFFIX and not out.is_dir()


def _name(asked: Asked, result: ExplainResult, output: int) -> str:
    """A name that no two pictures share, such as "0003-cat.png", with the class when there are several."""
    stem = Path(result.image.name).stem if result.image else ""
    parts = [f"{asked.number:04d}", _plain(stem)]
    if len(result.explanation.attributions) > 1:
        attribution = result.explanation.attributions[output]
        parts += [f"{attribution.class_index}", _plain(attribution.class_label)]
    return "-".join(filter(None, parts)) + _SUFFIX


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:_NAME_CHARACTERS].strip("._")
