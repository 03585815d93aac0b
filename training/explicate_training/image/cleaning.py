"""Reads all images, takes out what would teach nonsense or flatter the test, and says what it took.

In order: images without a label, images that cannot be read or are tiny, pictures that carry two labels (all of them),
pictures that were seen before. Two images are the same picture when they have the same size and every upright RGB pixel
is equal, whatever their files look like. There is no option to keep them, as of tables: equal rows may be two cases,
equal pictures are one.
"""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.images import Pixels, Preparation, UnreadableImage, decode
from explicate_training.data.cleaning import HELD_OUT, CleaningReport, check_cleaned, conflicts, digest_of, twins
from explicate_training.data.labels import Split, numbered, objects
from explicate_training.image.config import ImageDataConfig
from explicate_training.image.data import ImageSet, ImageSource, read_content
from explicate_training.tasks.registry import task_named
from explicate_training.tasks.task import Task

NO_LABEL = "no label"
UNREADABLE = "cannot be read"
TINY = "smaller than data.minimum_edge"
CONFLICT = "same picture, two labels"
DUPLICATE = "same picture as another"
REASONS = (NO_LABEL, UNREADABLE, TINY, CONFLICT, DUPLICATE, HELD_OUT)

_SPARE_BYTES = 2**28  # of the disk, left free


@dataclass(frozen=True)
class CleanImages:
    """What is left, and what was done."""

    images: ImageSet
    report: CleaningReport
    sha256: str  # of all cleaned images and labels, in order


@dataclass(frozen=True)
class _Read:
    """An image that was read: the digest of its picture, or why it is left out."""

    digest: str = ""
    reason: str = ""
    why: str = ""


@dataclass(frozen=True)
class _Picture:
    place: int  # in the sources
    source: ImageSource
    digest: str


def clean_images(sources: Sequence[ImageSource], preparation: Preparation, config: ImageDataConfig) -> CleanImages:
    """Reads and cleans as the module says. Raises UsageError when what is left cannot be learnt from."""
    task = task_named(config.task)
    report = CleaningReport(Counter(source.split for source in sources))
    pixels = _mapped(len(sources), preparation)
    read = _read_all(sources, pixels, preparation, config.minimum_edge)
    for source, one in zip(sources, read, strict=True):
        if one.reason:
            report.drop(one.reason, f"{source.name}: {one.why}" if one.why else source.name)
    pictures = [
        _Picture(place, source, one.digest)
        for place, (source, one) in enumerate(zip(sources, read, strict=True))
        if not one.reason
    ]
    pictures = _without_duplicates(_without_conflicts(pictures, report, task), report)
    images = _image_set(sources, [picture.place for picture in pictures], pixels)
    check_cleaned(images.labels_by_split(), report, task, config)
    lines = (
        [source.split, picture.digest, source.label, source.group, *([source.side] if source.side else [])]
        for picture in pictures
        for source in [picture.source]
    )
    return CleanImages(images, report, digest_of(lines))


def _mapped(count: int, preparation: Preparation) -> Pixels:
    """Pixels of so many images, in a file without a name: more of them than memory holds are no harm."""
    shape = (count, preparation.height, preparation.width, 3)
    wanted, folder = int(np.prod(shape)), tempfile.gettempdir()
    if wanted + _SPARE_BYTES > shutil.disk_usage(folder).free:
        raise UsageError(
            f"{count:,} images of {preparation.width} x {preparation.height} pixels need {wanted / 2**30:.1f} GiB in "
            f"{folder}: free some, or set TMPDIR to a folder that has it"
        )
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def _read_all(
    sources: Sequence[ImageSource], pixels: Pixels, preparation: Preparation, minimum_edge: int
) -> list[_Read]:
    def read(place: int) -> _Read:
        source = sources[place]
        if source.label is None:
            return _Read(reason=NO_LABEL)
        try:
            image = decode(read_content(source.content))
            if min(image.size) < minimum_edge:
                return _Read(reason=TINY, why=f"{image.width} x {image.height} pixels")
            pixels[place] = preparation.pixels(image)
        except UnreadableImage as error:
            return _Read(reason=UNREADABLE, why=str(error))
        return _Read(digest=hashlib.sha256(b"%d %d " % image.size + image.tobytes()).hexdigest())

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes and resizes without the GIL
        return list(pool.map(read, range(len(sources))))


def _compared(pictures: Sequence[_Picture]) -> tuple[list[Split], list[str]]:
    return [one.source.split for one in pictures], [one.digest for one in pictures]


def _without_conflicts(pictures: list[_Picture], report: CleaningReport, task: Task) -> list[_Picture]:
    found = conflicts(*_compared(pictures), [one.source.label for one in pictures])
    for index in sorted(found):
        source = pictures[index].source
        report.drop(CONFLICT, f"{source.name}: {task.words(source.label)}")
    return [one for index, one in enumerate(pictures) if index not in found]


def _without_duplicates(pictures: list[_Picture], report: CleaningReport) -> list[_Picture]:
    kept = set(range(len(pictures)))
    for index, twin in twins(*_compared(pictures)).items():
        source, first = pictures[index].source, pictures[twin].source
        if source.split == "test":
            report.test_duplicates_kept += 1
            continue
        kept.remove(index)
        report.drop(DUPLICATE if first.split == source.split else HELD_OUT, f"{source.name}: as {first.name}")
    return [pictures[index] for index in sorted(kept)]


def _image_set(sources: Sequence[ImageSource], kept: Sequence[int], pixels: Pixels) -> ImageSet:
    chosen = [sources[place] for place in kept]
    grouped = any(source.group is not None for source in sources)
    numbers = numbered([source.split for source in sources])
    return ImageSet(
        numbers=np.array([numbers[place] for place in kept], dtype=np.intp),
        pixels=pixels,
        places=np.array(kept, dtype=np.intp),
        names=objects([source.name for source in chosen]),
        contents=objects([source.content for source in chosen]),
        labels=objects([source.label for source in chosen]),
        # An image without a group is one of its own.
        groups=objects([source.group or f"\0{source.name}" for source in chosen]) if grouped else None,
        sides=objects([source.side for source in chosen]) if any(source.side for source in sources) else None,
        splits=objects([source.split for source in chosen]),
    )
