"""Reads all images, takes out what would teach nonsense or flatter the test, and says what it took.

In order: images without a label, images that cannot be read or are tiny, pictures that carry two labels (all of them),
pictures that were seen before. Two images are the same picture when they have the same size and every upright RGB pixel
is equal, whatever their files look like. There is no option to keep them, as of tables: equal rows may be two cases,
equal pictures are one. A given test set is kept as it is but for images that cannot be scored, and pictures of the
other splits that stand in it are taken out of those.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any  # objects of an array

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.images import Pixels, Preparation, UnreadableImage, decode
from explicate_training.data.labels import (
    SPLITS,
    Label,
    Split,
    check_label_sets,
    check_split_label_sets,
    check_values,
    label_column_names,
    shown_label,
    strata_of,
)
from explicate_training.image.config import ImageDataConfig
from explicate_training.image.data import ImageSet, ImageSource, read_content
from explicate_training.table.splitting import three_parts


@dataclass(frozen=True)
class ImageSplits:
    """Three disjoint parts of the clean images, each in the order of the source."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def split_images(images: ImageSet, config: ImageDataConfig, *, seed: int) -> ImageSplits:
    """Takes the test and validation images out of the training images, where the source did not give them.

    Raises UsageError when a group stands in two given splits, or no training group has some class.
    """
    strata = np.array(strata_of(config.task, images.labels.tolist()), dtype=object)
    train, validation, test = three_parts(images.splits, images.groups, strata, config, seed=seed)
    splits = ImageSplits(images.take(train), images.take(validation), images.take(test))
    if min(map(len, vars(splits).values())) == 0:
        raise UsageError("data.images has too few images or groups for three splits after cleaning: add some")
    _check_groups(splits)
    if config.task == "multi-label":
        check_split_label_sets({name: part.labels.tolist() for name, part in vars(splits).items()}, counted="images")
    lacking = set(images.labels) - set(splits.train.labels) if config.task == "classification" else set()
    if lacking:
        raise UsageError(
            f"data.group_column: no training group has the class {min(lacking)!r}: add groups with it, or split "
            "without groups"
        )
    return splits


def _check_groups(splits: ImageSplits) -> None:
    groups = [set() if part.groups is None else set(part.groups) for part in vars(splits).values()]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        if both := groups[one] & groups[other]:  # only where the source gave the splits
            raise UsageError(
                f"data.group_column: the group {min(both)!r} stands in two of the given splits: separate them"
            )


NO_LABEL = "no label"
UNREADABLE = "cannot be read"
TINY = "smaller than data.minimum_edge"
CONFLICT = "same picture, two labels"
DUPLICATE = "same picture as another"
HELD_OUT = "stands in the given test or validation set"
REASONS = (NO_LABEL, UNREADABLE, TINY, CONFLICT, DUPLICATE, HELD_OUT)

_MAX_EXAMPLES = 10
_SPARE_BYTES = 2**28  # of the disk, left free


@dataclass
class ImageCleaningReport:
    """What cleaning did. Grows while it works."""

    read: Counter[Split]  # by split
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    test_duplicates_kept: int = 0  # pictures of a given test set that stand in it more than once
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def drop(self, reason: str, example: str) -> None:
        """Counts a dropped image, and keeps the first few as examples."""
        self.dropped[reason] += 1
        if len(self.examples[reason]) < _MAX_EXAMPLES:
            self.examples[reason].append(example)


@dataclass(frozen=True)
class CleanImages:
    """What is left, and what was done."""

    images: ImageSet
    report: ImageCleaningReport
    sha256: str  # of all cleaned images and labels, in order


@dataclass(frozen=True)
class _Read:
    """An image that was read: the digest of its picture, or why it is left out."""

    digest: str = ""
    reason: str = ""
    why: str = ""


def clean_images(sources: Sequence[ImageSource], preparation: Preparation, config: ImageDataConfig) -> CleanImages:
    """Reads and cleans as the module says. Raises UsageError when what is left cannot be learnt from."""
    report = ImageCleaningReport(read=Counter(source.split for source in sources))
    pixels = _mapped(len(sources), preparation)
    read = _read_all(sources, pixels, preparation, config.minimum_edge)
    for source, one in zip(sources, read, strict=True):
        if one.reason:
            report.drop(one.reason, f"{source.name}: {one.why}" if one.why else source.name)
    usable = [place for place, one in enumerate(read) if not one.reason]
    kept = _without_duplicates(_without_conflicts(usable, sources, read, report), sources, read, report)
    _check_labels(sources, kept, report, config)
    digest = hashlib.sha256()
    for place in kept:
        source = sources[place]
        line = [source.split, read[place].digest, source.label, source.group]
        digest.update(json.dumps(line).encode() + b"\n")
    return CleanImages(_image_set(sources, kept, pixels), report, digest.hexdigest())


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


def _without_conflicts(
    places: Sequence[int], sources: Sequence[ImageSource], read: Sequence[_Read], report: ImageCleaningReport
) -> list[int]:
    labels = defaultdict(set)
    for place in places:
        if sources[place].split != "test":
            labels[read[place].digest].add(sources[place].label)
    kept = []
    for place in places:
        source = sources[place]
        if source.split != "test" and len(labels[read[place].digest]) > 1:
            report.drop(CONFLICT, f"{source.name}: {shown_label(_known(source.label))}")
        else:
            kept.append(place)
    return kept


def _without_duplicates(
    places: Sequence[int], sources: Sequence[ImageSource], read: Sequence[_Read], report: ImageCleaningReport
) -> list[int]:
    """Held-out images come first: what the model is tested on stays, what it learns from makes room."""
    first: dict[str, int] = {}
    kept = []
    for place in sorted(places, key=lambda place: (-SPLITS.index(sources[place].split), place)):
        source = sources[place]
        twin = first.setdefault(read[place].digest, place)
        if twin == place or source.split == "test":
            report.test_duplicates_kept += twin != place
            kept.append(place)
            continue
        reason = DUPLICATE if sources[twin].split == source.split else HELD_OUT
        report.drop(reason, f"{source.name}: as {sources[twin].name}")
    return sorted(kept)


def _check_labels(
    sources: Sequence[ImageSource], kept: Sequence[int], report: ImageCleaningReport, config: ImageDataConfig
) -> None:
    labels: dict[Split, list[Label]] = {split: [] for split in SPLITS}
    for place in kept:
        labels[sources[place].split].append(_known(sources[place].label))
    given: tuple[Split, ...] = ("validation", "test")
    for split in given:
        if report.read[split] and not labels[split]:
            raise UsageError(f"data.{split}: nothing is left of it after cleaning: check its images and labels")
    if config.task == "regression":
        check_values(labels["train"], counted="images")
    elif config.task == "multi-label":
        sets = {str(split): found for split, found in labels.items()}
        check_label_sets(sets, config.minimum_class_count, counted="images", named=label_column_names(config))
    else:
        _check_classes({split: Counter(map(str, found)) for split, found in labels.items()}, report, config)


def _check_classes(counts: Mapping[Split, Counter[str]], report: ImageCleaningReport, config: ImageDataConfig) -> None:
    train = counts["train"]
    if len(train) < 2:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.items()) or "none was dropped"
        raise UsageError(
            f"the training images have {len(train)} class(es) after cleaning ({reasons}), and a classifier needs two: "
            "check data.images and data.label_column"
        )
    rare = {label: count for label, count in sorted(train.items()) if count < config.minimum_class_count}
    if rare:
        listed = ", ".join(f"{label!r} ({count})" for label, count in list(rare.items())[:10])
        more = f" and {len(rare) - 10} more" if len(rare) > 10 else ""
        raise UsageError(
            f"too few images of class {listed}{more} after cleaning: each class needs {config.minimum_class_count}; "
            "add images, merge or leave out the class, or lower data.minimum_class_count"
        )
    given: tuple[Split, ...] = ("validation", "test")
    for split in given:
        if unknown := set(counts[split]) - set(train):
            raise UsageError(f"data.{split} has classes that the training lacks: {', '.join(sorted(unknown)[:10])}")


def _image_set(sources: Sequence[ImageSource], kept: Sequence[int], pixels: Pixels) -> ImageSet:
    chosen = [sources[place] for place in kept]
    grouped = any(source.group is not None for source in sources)
    return ImageSet(
        pixels=pixels,
        places=np.array(kept, dtype=np.intp),
        names=_objects([source.name for source in chosen]),
        contents=_objects([source.content for source in chosen]),
        labels=_objects([source.label for source in chosen]),
        # An image without a group is one of its own.
        groups=_objects([source.group or f"\0{source.name}" for source in chosen]) if grouped else None,
        splits=_objects([source.split for source in chosen]),
    )


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # at once, labels of one length would become a second axis
        array[place] = value
    return array


def _known(label: Label | None) -> Label:
    """The label of an image that is kept: those without one were dropped first."""
    assert label is not None
    return label
