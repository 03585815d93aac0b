"""Divides a clean table into training, validation and test, the same for a seed.

Without groups each stratum (class, rarest label or tenth of the values; see `labels`) is in every split in its share.
With groups, whole groups are drawn, and of several draws the one whose splits look most like the whole is taken.
"""

from dataclasses import dataclass
from typing import Any, Protocol  # labels and groups: objects

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_training.data.labels import check_split_label_sets, strata_of
from explicate_training.data.splits import stratified_places
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import Rows, Table

_GROUP_DRAWS = 50


@dataclass(frozen=True)
class TableSplits:
    """Three disjoint parts of the clean table, each in the order of the source."""

    train: Table
    validation: Table
    test: Table


def split_table(table: Table, config: TableDataConfig, *, seed: int) -> TableSplits:
    """Takes the test and validation rows out of the training rows, where the source did not give them.

    Raises UsageError when there are too few rows or groups, or a class is in none of the training groups.
    """
    strata = np.array(strata_of(table.task, table.labels.tolist()), dtype=object)
    train, validation, test = three_parts(table.splits, table.groups, strata, config, seed=seed)
    if min(len(train), len(validation), len(test)) == 0:
        raise UsageError("data.table has too few rows for three splits after cleaning: add some")
    if table.groups is not None:
        _check_groups(table, train, validation, test)
    if table.task == "multi-label":
        parts = {"train": train, "validation": validation, "test": test}
        check_split_label_sets({name: table.labels[rows].tolist() for name, rows in parts.items()}, counted="rows")
    return TableSplits(table.take(train), table.take(validation), table.take(test))


class Fractions(Protocol):
    """What a config says of the splits; those of tables and of images do."""

    @property
    def test_fraction(self) -> float:
        """Of all rows."""

    @property
    def validation_fraction(self) -> float:
        """Of the rows that are left."""


def three_parts(
    given: NDArray[Any], groups: NDArray[Any] | None, strata: NDArray[Any], fractions: Fractions, *, seed: int
) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows: as given, the missing ones taken out of the training rows."""
    train, validation, test = (np.flatnonzero(given == split) for split in ("train", "validation", "test"))
    if not len(test):
        train, test = _divide(train, groups, strata, fractions.test_fraction, seed=seed)
    if not len(validation):
        train, validation = _divide(train, groups, strata, fractions.validation_fraction, seed=seed + 1)
    return train, validation, test


def _divide(
    rows: Rows, groups: NDArray[Any] | None, strata: NDArray[Any], fraction: float, *, seed: int
) -> tuple[Rows, Rows]:
    """(rest, taken): of the rows about the fraction, of each stratum its share; where there are groups, whole ones."""
    if groups is None:
        places = stratified_places(strata[rows].tolist(), fraction, seed=seed)
        taken = np.isin(np.arange(len(rows)), list(places))
    else:
        taken = _taken_groups(groups[rows], strata[rows], fraction, seed=seed)
    return rows[~taken], rows[taken]


def _taken_groups(groups: NDArray[Any], strata: NDArray[Any], fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """A mask of whole groups with about the fraction of the rows, and of each stratum as nearly as draws can."""
    stream = np.random.Generator(np.random.Philox(seed))
    _, group_of = np.unique(groups.astype(str), return_inverse=True)
    names, stratum_of = np.unique(strata.astype(str), return_inverse=True)
    counts = np.zeros((group_of.max() + 1, len(names)))  # [groups, strata]
    np.add.at(counts, (group_of, stratum_of), 1)
    wanted = fraction * counts.sum(axis=0)
    best_taken, best_distance = np.zeros(len(counts), dtype=bool), np.inf
    for _ in range(_GROUP_DRAWS):
        order = stream.permutation(len(counts))
        filled = counts[order].cumsum(axis=0)
        distances = np.abs(filled - wanted).sum(axis=1)[:-1]  # never all groups
        if len(distances) and distances.min() < best_distance:
            best_distance = distances.min()
            best_taken = np.isin(np.arange(len(counts)), order[: int(distances.argmin()) + 1])
    return best_taken[group_of]


def _check_groups(table: Table, *parts: Rows) -> None:
    assert table.groups is not None
    whole = [set(table.groups[rows]) for rows in parts]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = whole[one] & whole[other]
        if both:  # only where the source gave the splits
            raise UsageError(
                f"data.group_column: the group {min(both)!r} stands in two of the given splits: separate them"
            )
    if table.task == "classification":
        lacking = set(table.labels) - set(table.labels[parts[0]])
        if lacking:
            raise UsageError(
                f"data.group_column: no training group has the class {min(lacking)!r}: add groups with it, or split "
                "without groups"
            )
