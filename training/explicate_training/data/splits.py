"""Divides clean data into training, validation and test, the same for a seed.

Without groups each stratum (class, rarest label or tenth of the values; see the objectives) is in every split in its
share. With groups, whole groups are drawn, and of several draws the one whose splits look most like the whole is taken.
"""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Self, TypeVar  # Any: labels and groups are objects

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_training.config.sections import LabelledData
from explicate_training.data.labels import SPLITS
from explicate_training.tasks.task import Task

Rows = NDArray[np.intp]
Strata = Callable[[Rows], Sequence[str]]
_GROUP_DRAWS = 50
_FEWER = 1  # a stream of its own
_FEW_ROWS = 50


@dataclass(frozen=True, kw_only=True)
class LabelledSet(ABC):
    """Labelled rows; a kind of data adds what it reads, in arrays by row but for those that rows share."""

    shared: ClassVar[tuple[str, ...]] = ()
    # The strata of texts are those of the rows that are divided, those of others of all rows: rare labels and tenths
    # of the values can differ.
    strata_of_all: ClassVar[bool] = True

    labels: NDArray[Any]  # object: Label, or None where missing; of a regression on a table float64 with NaN
    splits: NDArray[Any]  # object: Split, where the source put each row; splitting takes parts of "train" for others
    groups: NDArray[Any] | None = None  # object; rows with the same value stay in one split
    numbers: NDArray[np.intp] | None = None  # of each row among those of its split as they were read, from 1
    sides: NDArray[Any] | None = None  # object: what the column of [fairness] says, str or None where missing

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def content(self, place: int) -> Any:
        """What a row holds besides its label, as JSON has it."""

    def told(self, place: int) -> str:
        """The same for people, in one line."""
        content = self.content(place)
        if not isinstance(content, dict):
            return " / ".join(content)
        return "; ".join(f"{name} = {'–' if cell is None else cell}" for name, cell in content.items())

    def take(self, rows: Rows | NDArray[np.bool_]) -> Self:
        """These rows, by number or by mask."""
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **{name: value[rows] for name, value in arrays.items() if name not in self.shared})

    def labels_by_split(self) -> dict[str, list[Any]]:
        """The labels by where the source put them."""
        return {split: self.labels[self.splits == split].tolist() for split in SPLITS}


Part = TypeVar("Part", bound=LabelledSet)


@dataclass(frozen=True)
class Splits(Generic[Part]):
    """Three disjoint parts of the clean data, each in the order of the source."""

    train: Part
    validation: Part
    test: Part

    def by_name(self) -> dict[str, Part]:
        """The three, "train" first."""
        return dict(vars(self))


def split_data(data: Part, task: Task, options: LabelledData, *, seed: int) -> Splits[Part]:
    """Takes the test and validation rows out of the training rows, where the source did not give them.

    Raises UsageError when there are too few rows or groups, a group is in two given splits, or the training rows lack a
    class.
    """
    of_all = np.array(task.strata(data.labels.tolist()), dtype=object)

    def strata(rows: Rows) -> Sequence[str]:
        return list(of_all[rows]) if data.strata_of_all else task.strata(data.labels[rows].tolist())

    parts = [data.take(rows) for rows in _three_parts(data, strata, options, seed=seed)]
    if min(map(len, parts)) == 0:
        what = options.counted if data.groups is None else f"{options.counted} or groups"
        raise UsageError(f"data.{options.source} has too few {what} for three splits after cleaning: add some")
    splits = Splits(*parts)
    _check_groups(parts)
    task.check_split({name: part.labels.tolist() for name, part in splits.by_name().items()}, counted=options.counted)
    return splits


def _three_parts(data: LabelledSet, strata: Strata, options: LabelledData, *, seed: int) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows: as given, the missing ones taken out of the training rows."""
    train, validation, test = (np.flatnonzero(data.splits == split) for split in SPLITS)
    if not len(test):
        train, test = _divide(train, data.groups, strata, options.test_fraction, seed=seed)
    train, validation = _fewer(train, validation, strata, options, seed=seed)
    if not len(validation):
        train, validation = _divide(train, data.groups, strata, options.validation_fraction, seed=seed + 1)
    return train, validation, test


def _fewer(train: Rows, validation: Rows, strata: Strata, options: LabelledData, *, seed: int) -> tuple[Rows, Rows]:
    """So many training rows of each stratum as data.labels_per_class says, and of a given validation its share."""
    if not (wanted := options.labels_per_class):
        return train, validation
    checked = max(1, round(options.validation_fraction * wanted)) if len(validation) else 0
    return (
        train[_drawn(strata(train), wanted - checked, seed=seed)],
        validation[_drawn(strata(validation), checked, seed=seed)] if checked else validation,
    )


def _drawn(strata: Sequence[str], count: int, *, seed: int) -> Rows:
    """Places of rows, in order, drawn at random: so many of each stratum, or all of it where it has fewer."""
    stream = np.random.Generator(np.random.Philox([seed, _FEWER]))
    names = np.array(strata, dtype=object)
    drawn = [stream.permutation(np.flatnonzero(names == name))[:count] for name in sorted(set(strata))]
    return np.sort(np.concatenate(drawn))


def _divide(
    rows: Rows, groups: NDArray[Any] | None, strata: Strata, fraction: float, *, seed: int
) -> tuple[Rows, Rows]:
    """(rest, taken): of the rows about the fraction, of each stratum its share; where there are groups, whole ones."""
    if groups is None:
        places = stratified_places(strata(rows), fraction, seed=seed)
        taken = np.isin(np.arange(len(rows)), list(places))
    else:
        taken = _taken_groups(groups[rows], np.array(strata(rows)), fraction, seed=seed)
    return rows[~taken], rows[taken]


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


def _check_groups(parts: Sequence[LabelledSet]) -> None:
    groups = [set() if part.groups is None else set(part.groups) for part in parts]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        if both := groups[one] & groups[other]:  # only where the source gave the splits
            raise UsageError(
                f"data.group_column: the group {min(both)!r} stands in two of the given splits: separate them"
            )


def few_rows(rows: Mapping[str, int], data: LabelledData) -> str:
    """A warning of splits that are too small to measure on, and the remedy; empty if there are none."""
    small = {name: rows[name] for name in ("validation", "test") if rows[name] < _FEW_ROWS}
    if not small:
        return ""
    listed = " and ".join(f"{count} {name} {data.counted}" for name, count in small.items())
    own = [f"data.{name}_fraction" for name in small if not getattr(data, name)]
    fewest = min(small.values())
    half = 1.96 * math.sqrt(0.25 / fewest)  # of the normal interval of a share of one half
    larger = f", or give larger parts with {' and '.join(own)}" if own else ""
    return (
        f"there are only {listed}: a share that is measured on {fewest} may be off by {min(half, 1):.2f}; add "
        f"{data.counted}{larger}"
    )
