"""Divides clean images into training, validation and test, each stratum of `labels` in its share, or whole groups."""

from dataclasses import dataclass

import numpy as np

from explicate.errors import UsageError
from explicate_training.data.labels import check_split_label_sets, strata_of
from explicate_training.image.config import ImageDataConfig
from explicate_training.image.image_set import ImageSet
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
