"""Divides clean texts into training, validation and test, each with its share of every stratum, the same for a seed.

Strata are classes, rarest labels or tenths of the values; see `labels`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explicate.errors import UsageError
from explicate_training.data.labels import SPLITS, LabelledText, Split, Task, check_split_label_sets, strata_of
from explicate_training.text.cleaning import CleanData
from explicate_training.text.config import DataConfig


@dataclass(frozen=True)
class Splits:
    """Three disjoint parts of the clean data, each in the order of the source."""

    train: list[LabelledText]
    validation: list[LabelledText]
    test: list[LabelledText]


def split_data(data: CleanData, config: DataConfig, *, seed: int) -> Splits:
    """Takes the test and validation parts out of the training texts, where the source did not give them.

    No text stands in two parts, not even a near-identical one, because cleaning left none. Raises UsageError when a
    given test or validation set has nothing left.
    """
    train, validation, test = (data.by_split[split] for split in SPLITS)
    given: tuple[tuple[Split, list[LabelledText]], ...] = (("validation", validation), ("test", test))
    for split, rows in given:
        if data.report.rows_read[split] and not rows:
            raise UsageError(f"nothing is left of the given {split} set after cleaning: check its columns and labels")
    if not test:
        train, test = take_stratified(train, config.test_fraction, seed=seed, task=config.task)
    if not validation:
        train, validation = take_stratified(train, config.validation_fraction, seed=seed + 1, task=config.task)
    parts = {"train": train, "validation": validation, "test": test}
    if not all(parts.values()):
        raise UsageError("data.train has too few texts for three splits after cleaning: add some")
    if config.task == "multi-label":
        check_split_label_sets({name: [row.label for row in rows] for name, rows in parts.items()}, counted="texts")
    return Splits(train, validation, test)


def take_stratified(
    rows: Sequence[LabelledText], fraction: float, *, seed: int, task: Task = "classification"
) -> tuple[list[LabelledText], list[LabelledText]]:
    """(rest, taken): of each stratum the fraction, at least one row and never the last one, drawn at random."""
    taken = stratified_places(strata_of(task, [row.label for row in rows]), fraction, seed=seed)
    rest = [row for place, row in enumerate(rows) if place not in taken]
    return rest, [rows[place] for place in sorted(taken)]


def stratified_places(strata: Sequence[str], fraction: float, *, seed: int) -> set[int]:
    """Places of rows, drawn at random: of each stratum the fraction, at least one and never the last one."""
    stream = np.random.Generator(np.random.Philox(seed))
    places = defaultdict(list)
    for place, stratum in enumerate(strata):
        places[stratum].append(place)
    taken: set[int] = set()
    for stratum in sorted(places):
        count = min(max(1, round(fraction * len(places[stratum]))), len(places[stratum]) - 1)
        taken.update(stream.permutation(places[stratum])[:count].tolist())
    return taken
