"""A person's review of labels, applied to the rows of a run after they were split, so that no row changes its split.

Labels decide how rows are drawn for the splits: applied before, a hundred corrections would deal all rows anew, and a
model with them could not be compared with one without.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic  # Any: JSON values

import numpy as np

from explicate.errors import UsageError
from explicate.reading.nearest import nearest
from explicate_training.config.sections import LabelledData
from explicate_training.data.cleaning import digest_of
from explicate_training.data.labels import class_name, parse_number, sorted_labels
from explicate_training.data.splits import LabelledSet, Part, Splits
from explicate_training.label_review.review_file import Decision, key_of, read_review
from explicate_training.tasks.task import LabelRules, Task

NAME = "reviewed_labels"
"""Of the option of `[data]`, and of what data.json says of it."""


@dataclass
class Applied:
    """What a review did. Grows while it is applied."""

    path: str
    sha256: str  # of the file
    reviewed: int = 0
    confirmed: int = 0
    changed: Counter[str] = field(default_factory=Counter)  # labels by part
    dropped: Counter[str] = field(default_factory=Counter)  # rows by part
    reviewers: Counter[str] = field(default_factory=Counter)
    moves: Counter[str] = field(default_factory=Counter)  # "from → to"
    lines: list[list[Any]] = field(default_factory=list)  # of the digest of the data
    known: set[tuple[str, int]] = field(default_factory=set)  # file and number of each reviewed row

    def as_json(self) -> dict[str, Any]:
        """What data.json says of it."""
        return {
            "file": Path(self.path).name,
            "file_sha256": self.sha256,
            "rows_reviewed": self.reviewed,
            "labels_confirmed": self.confirmed,
            "labels_changed": dict(self.changed),
            "rows_dropped": dict(self.dropped),
            "changes": dict(self.moves.most_common()),
            "reviewers": {name or "without a name": count for name, count in self.reviewers.most_common()},
        }

    def told(self) -> str:
        """The same for people."""
        did = [
            f"{sum(counts.values()):,} {word} ({', '.join(f'{part} {count:,}' for part, count in counts.items())})"
            for word, counts in (("labels changed", self.changed), ("rows dropped", self.dropped))
            if counts
        ]
        by = f" by {', '.join(filter(None, self.reviewers))}" if any(self.reviewers) else ""
        return f"{self.reviewed:,} labels were reviewed{by}: {', '.join([*did, f'{self.confirmed:,} confirmed'])}"

    def warnings(self) -> list[str]:
        """What must be known to read the figures."""
        touched = self.changed["test"] + self.dropped["test"]
        about = (
            f"{touched:,} corrected labels are in the test part, which makes it another test set: figures on it do not "
            "compare with those from before, and flatter models like the one that found them"
        )
        return [about] if touched else []


@dataclass(frozen=True)
class Reviewed(Generic[Part]):
    """The parts with a review applied, and the digest of the data with it."""

    splits: Splits[Part]
    applied: Applied
    sha256: str


def apply_review(splits: Splits[Part], task: Task, options: LabelledData, *, sha256: str, path: str) -> Reviewed[Part]:
    """Applies a reviewed file to the rows of a run whose clean data have a digest.

    Raises:
        UsageError: the file is wrong (with line and column), is about other rows, or leaves what cannot be learnt from.
    """
    if not task.one_of_classes:
        raise UsageError(f"data.{NAME} is of classes, and this is a {task.name}: leave it out")
    decisions = read_review(Path(path))
    applied = Applied(path, hashlib.sha256(Path(path).read_bytes()).hexdigest())
    names = sorted_labels({str(label) for part in splits.by_name().values() for label in part.labels})
    places = {
        (str(part.splits[place]), int(number)): (name, place)
        for name, part in splits.by_name().items()
        for place, number in enumerate([] if part.numbers is None else part.numbers.tolist())
    }
    by_part: dict[str, list[tuple[int, Decision]]] = defaultdict(list)
    for decision in decisions:
        name, place = _found(decision, places)
        by_part[name].append((place, decision))
    parts = {name: _applied(name, part, by_part[name], names, applied) for name, part in splits.by_name().items()}
    changed = Splits(**parts)
    _check(changed, task, options)
    digest = digest_of([sha256, *sorted(applied.lines)]) if applied.lines else sha256
    return Reviewed(changed, applied, digest)


def _found(decision: Decision, places: Mapping[tuple[str, int], tuple[str, int]]) -> tuple[str, int]:
    found = places.get((decision.file, decision.row))
    if found is None:
        raise UsageError(
            f"{decision.place}, column row: row {decision.row} of the {decision.file} file is not among the rows that "
            "cleaning kept: review a list of this data, with this config"
        )
    return found


def _applied(
    name: str, part: Part, decisions: Sequence[tuple[int, Decision]], names: Sequence[str], applied: Applied
) -> Part:
    labels, keep = part.labels.copy(), np.ones(len(part), dtype=bool)
    for place, decision in decisions:
        _check_row(part, place, decision)
        label = _label(decision, names) if decision.label else None
        applied.reviewed += 1
        applied.known.add((decision.file, decision.row))
        applied.reviewers[decision.reviewer] += 1
        if label == labels[place]:
            applied.confirmed += 1
            continue
        applied.lines.append([name, decision.file, decision.row, label])
        if label is None:
            keep[place] = False
            applied.dropped[name] += 1
            continue
        applied.changed[name] += 1
        applied.moves[f"{labels[place]} → {label}"] += 1
        labels[place] = label
    return replace(part, labels=labels).take(keep) if decisions else part


def _check_row(part: LabelledSet, place: int, decision: Decision) -> None:
    """Raises UsageError when a row is another one than the reviewed one, or has another label than it had."""
    if key_of(part.content(place)) != decision.key:
        raise UsageError(
            f"{decision.place}, column key: row {decision.row} of the {decision.file} file is another one than was "
            "reviewed: its content has changed, or rows were added or moved before it; list the suspects anew"
        )
    if not _same(decision.given, str(part.labels[place])):
        raise UsageError(
            f"{decision.place}, column given_label: the row was reviewed with the label {decision.given!r}, and the "
            f"data say {str(part.labels[place])!r} now: was the correction made in the data already?"
        )


def _label(decision: Decision, names: Sequence[str]) -> str:
    """The class that a reviewer means; raises UsageError when there is none like it."""
    alike = [name for name in names if name == class_name(decision.label)]
    alike = alike or [name for name in names if _same(decision.label, name)]
    if len(alike) == 1:
        return alike[0]
    close = nearest(decision.label, names, most=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, names[:10]))}"
    raise UsageError(f"{decision.place}, column reviewed_label: no class is called {decision.label!r}; {hint}")


def _same(written: str, name: str) -> bool:
    """Whether a spreadsheet's spelling means a class: 7 is what Excel makes of 007."""
    number = parse_number(written)
    if number is not None:
        other = parse_number(name.lstrip("0") or "0")
        return number == other
    return (class_name(written) or "").casefold() == name.casefold()


def _check(splits: Splits[Any], task: Task, options: LabelledData) -> None:
    labels = {name: part.labels.tolist() for name, part in splits.by_name().items()}
    empty = next((name for name, found in labels.items() if not found), None)
    if empty is not None:
        raise UsageError(f"data.{NAME}: the review drops every row of the {empty} part")
    try:
        task.check_labels(labels, LabelRules(options.counted, 1))
    except UsageError as error:
        raise UsageError(f"data.{NAME}: with the review applied {error}") from None
