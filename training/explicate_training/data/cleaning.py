"""What cleaning does alike to texts, tables and images: it tells what it drops, and finds rows that are the same.

A given test set is kept as it is but for rows that cannot be scored, and rows of the other splits that are in it are
taken out of those.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol  # Any: examples; labels

from explicate.errors import UsageError
from explicate_training.config.sections import LabelledData
from explicate_training.data.labels import SPLITS, Split
from explicate_training.tasks.task import LabelRules, Task

HELD_OUT = "stands in the given test or validation set"


@dataclass
class CleaningReport:
    """What cleaning did. Grows while it works."""

    most_examples: ClassVar[int] = 10

    read: Counter[Split]  # rows by split
    dropped: Counter[str] = field(default_factory=Counter)  # rows by reason
    test_duplicates_kept: int = 0  # rows of a given test set that are in it more than once
    examples: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def drop(self, reason: str, example: Any = None) -> None:
        """Counts a dropped row, and keeps the first few as examples."""
        self.dropped[reason] += 1
        if example and len(self.examples[reason]) < self.most_examples:
            self.examples[reason].append(example)


class Near(Protocol):
    """Finds rows that are nearly the same as one that was added."""

    def find(self, *key: Any) -> int | None:
        """The index of an added row like this one."""

    def add(self, *key: Any) -> int:
        """Adds a row and gives its index, counted from 0."""


def held_out_first(splits: Sequence[Split]) -> list[int]:
    """Places of rows: what the model is tested on comes first and stays, what it learns from makes room."""
    return sorted(range(len(splits)), key=lambda place: -SPLITS.index(splits[place]))


def conflicts(splits: Sequence[Split], keys: Sequence[Hashable], labels: Sequence[Hashable]) -> set[int]:
    """Places of rows that have another label than a row with the same key, outside of a given test set."""
    labels_of = defaultdict(set)
    learnt = [place for place, split in enumerate(splits) if split != "test"]
    for place in learnt:
        labels_of[keys[place]].add(labels[place])
    return {place for place in learnt if len(labels_of[keys[place]]) > 1}


def twins(splits: Sequence[Split], keys: Sequence[Any], near: Near | None = None) -> dict[int, int]:
    """Of each row that was seen before, the place of the one that was seen first: with the same key, or one near it.

    No two of the others are near each other, and no chains of near ones are made. Held-out rows are seen first; those
    of a given test set have twins of the same key only.
    """
    first: dict[Any, int] = {}
    added: list[int] = []
    found: dict[int, int] = {}
    for place in held_out_first(splits):
        key = keys[place]
        twin = first.get(key)
        if twin is None and near is not None and splits[place] != "test":
            index = near.find(*key)
            twin = None if index is None else added[index]
        if twin is not None:
            found[place] = twin
            continue
        first[key] = place
        if near is not None:
            near.add(*key)
            added.append(place)
    return found


def check_cleaned(
    labels: Mapping[str, Sequence[Any]], report: CleaningReport, task: Task, options: LabelledData
) -> None:
    """Raises UsageError when what is left, its labels by split, cannot be learnt from."""
    for split in SPLITS[1:]:
        if report.read[split] and not labels[split]:
            raise UsageError(f"nothing is left of the given {split} set after cleaning: check its columns and labels")
    named = options.label_names()
    task.check_labels(labels, LabelRules(options.counted, options.minimum_class_count, named, report.dropped))


def digest_of(lines: Iterable[Any]) -> str:
    """The SHA-256 of JSON values, one a line."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()
