"""Where labelled images come from: folders of classes, files with paths, and the named demo set.

Files are only named here; `image_cleaning` reads and judges them. Nothing outside the folder of the data is named.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # labels and groups: objects

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.images import Pixels, UnreadableImage, encode_png
from explicate_training.data.demos import DEMO_IMAGES
from explicate_training.data.files import SPLIT_NAMES, Columns, DataFile, data_files, read_file
from explicate_training.data.header import Tell, Wanted, quietly
from explicate_training.data.labels import Label, Split, class_name, settle_labels
from explicate_training.data.splits import LabelledSet
from explicate_training.image.config import ImageDataConfig
from explicate_training.tasks.registry import task_named

MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ImageSet(LabelledSet):
    """Images, one of each per entry."""

    shared = ("pixels",)

    pixels: Pixels  # [all images that were read, height, width, 3], mapped from a file
    places: NDArray[np.intp]  # of these images in pixels
    names: NDArray[Any]  # object: str, the path from the folder of the data
    contents: NDArray[Any]  # object: Path, or the encoded image as bytes

    def content(self, place: int) -> str:
        """The digest of an image's file."""
        return hashlib.sha256(read_content(self.contents[place])).hexdigest()

    def told(self, place: int) -> str:
        """Its name."""
        return str(self.names[place])


def read_content(content: Path | bytes) -> bytes:
    """The encoded image; raises UnreadableImage when its file is missing, too large or unreadable."""
    if isinstance(content, bytes):
        return content
    try:
        size = content.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UnreadableImage(f"has {size / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20}")
        return content.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror or error})") from None


@dataclass(frozen=True)
class ImageSource:
    """One image before it is read."""

    split: Split  # where the source put it; splitting takes parts of "train" for the others
    name: str  # for people: its path from the folder of the data
    content: Path | bytes  # where it is, or itself
    label: Label | None
    group: str | None = None
    side: str | None = None  # what the column of [fairness] says


def list_images(config: ImageDataConfig, tell: Tell = quietly, *, side: str = "") -> list[ImageSource]:
    """All images of the configured source, in its order: train, then validation and test if there are any.

    `side` names a column of the files that says what groups they are in, for [fairness]; empty: none.

    Raises UsageError when a folder or file is missing, has nothing usable, or names files outside its folder.
    """
    if config.demo:
        return [
            ImageSource("train", f"{config.demo}/{number}.png", encode_png(pixels), label)
            for number, (pixels, label) in enumerate(DEMO_IMAGES[config.demo]())
        ]
    files = data_files(config)
    given = {file.split for file in files}
    found = [
        image
        for file in files
        for image in _of_path(Path(file.path), file, config, side, tell)
        if image.split == file.split or image.split not in given
    ]
    if not any(image.split == "train" for image in found):
        raise UsageError(f"data.images: {config.images} has no images: give a folder with a folder for each class")
    settled = settle_labels([image.label for image in found], config, tell)
    return [replace(image, label=label) for image, label in zip(found, settled, strict=True)]


def _of_path(path: Path, file: DataFile, config: ImageDataConfig, side: str, tell: Tell) -> list[ImageSource]:
    if not path.is_dir():
        return [
            image
            for part in read_file(file, _wanted(config, side), tell)
            for image in _of_file(part, path.parent, config, side)
        ]
    for option, given in (("group_column", config.group_column), ("task", config.task != type(config).task)):
        if given:
            raise UsageError(
                f"data.{option} goes with a file of paths, and {file.option} is a folder of classes: leave it out"
            )
    splits = {SPLIT_NAMES[entry.name]: entry for entry in sorted(path.iterdir()) if entry.name in SPLIT_NAMES}
    if file.split == "train" and "train" in splits and all(entry.is_dir() for entry in splits.values()):
        return [image for split, folder in splits.items() for image in _of_folder(folder, split, root=path)]
    return list(_of_folder(path, file.split, root=path))


def _of_folder(folder: Path, split: Split, *, root: Path) -> Iterator[ImageSource]:
    """All files below a folder, whose folders are the classes: cleaning tells of those that are no images."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_dir() and not any(part.startswith(".") for part in parts):
            yield ImageSource(split, _inside(path, root), path, parts[0] if len(parts) > 1 else None)


def _wanted(config: ImageDataConfig, side: str) -> Wanted:
    required = {"data.image_column": config.image_column, **config.columns_with_labels()}
    if config.group_column:
        required["data.group_column"] = config.group_column
    if side:
        required["fairness.over"] = side
    return Wanted(required)


def _of_file(part: Columns, root: Path, config: ImageDataConfig, side: str) -> Iterator[ImageSource]:
    groups = part.values[config.group_column] if config.group_column else [None] * len(part.values[config.image_column])
    labels = task_named(config.task).read_labels(part.values, config, origin=part.origin)
    sides = map(class_name, part.values[side]) if side else [None] * len(labels)
    cells = zip(part.values[config.image_column], labels, groups, sides, strict=True)
    for number, (name, label, group, of_side) in enumerate(cells, start=1):
        place = f"{part.origin}, row {number}"
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"{place}: {config.image_column!r} is not the path of an image: set data.image_column")
        path = root / name
        try:
            inside = _inside(path, root)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        yield ImageSource(part.split, inside, path, label, None if group is None else str(group), of_side)


def _inside(path: Path, root: Path) -> str:
    """The path from the folder of the data; raises UsageError when it leads out of it, by "..", a link or a root."""
    try:
        resolved, folder = path.resolve(), root.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # loops of links; a zero byte
        raise UsageError(f"{str(path)!r} is no path ({error})") from None
    if not resolved.is_relative_to(folder):
        raise UsageError(f"the image {str(path)!r} is outside the folder of the data, {folder}: move it there")
    return str(resolved.relative_to(folder))
