"""What rows weigh in the loss, so that groups of rows are treated more alike.

- reweighing (Kamiran, Calders 2012, "Data preprocessing techniques for classification without discrimination",
  Knowledge and Information Systems 33, section 5.3): W(s, c) = |s| · |c| / (n · |s ∧ c|) for a row of the group s with
  the class c, in which group and class are independent. Of several labels each has its own weights, by itself.
- group_weights: W(s) = n / (groups · |s|), by which all groups weigh alike.

Both weigh 1 on average over the training rows. Validation rows have the same weights, because their loss may choose the
checkpoint; metrics are of rows as they are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: targets of any number type, runs of any kind

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import FairnessTraining, GroupWeight
from explicate_training.fairness.group_options import GROUP_WEIGHTS, REWEIGHING, FairnessOptions
from explicate_training.tasks.task import Task

if TYPE_CHECKING:
    from explicate_training.loop.run import Run

NO_GROUP = "missing"
"""The group of rows of which the column says nothing."""
_MOST_GROUPS = 50
_ANY = -1  # in the place of a class, where all rows of a group weigh alike

Cell = tuple[str, int]
"""A group, and a class or 0 or 1."""


@dataclass(frozen=True)
class GroupWeights:
    """What rows weigh.

    Attributes:
        options: how they were weighed, over what.
        tables: what each group and class weighs and how many training rows it has; of several labels one for each.
        labels: the classes or labels by index.
    """

    options: FairnessOptions
    tables: Sequence[Mapping[Cell, tuple[int, float]]]
    labels: Sequence[str]

    def of(self, groups: Sequence[str], targets: NDArray[Any]) -> NDArray[np.float32]:
        """Of rows, float32 [rows], or of several labels [rows, labels]; 1 for what no training row was."""
        by_label = [self._of_table(table, groups, column) for table, column in self._columns(targets)]
        return np.stack(by_label, axis=1) if targets.ndim == 2 and len(self.tables) > 1 else by_label[0]

    def by_split(self, run: "Run[Any, Any]") -> dict[str, NDArray[np.float32]]:
        """The same of the rows of training and validation."""
        return {name: self.of(run.sides(name), run.targets[name]) for name in ("train", "validation")}

    def _columns(self, targets: NDArray[Any]) -> list[tuple[Mapping[Cell, tuple[int, float]], NDArray[Any] | None]]:
        if self.options.method == GROUP_WEIGHTS:
            return [(self.tables[0], None)]
        return list(zip(self.tables, targets.T if targets.ndim == 2 else [targets], strict=True))

    @staticmethod
    def _of_table(
        table: Mapping[Cell, tuple[int, float]], groups: Sequence[str], column: NDArray[Any] | None
    ) -> NDArray[np.float32]:
        classes = [_ANY] * len(groups) if column is None else column.tolist()
        return np.array([table.get(cell, (0, 1.0))[1] for cell in zip(groups, classes, strict=True)], np.float32)

    def as_message(self) -> FairnessTraining:
        """For run.json."""
        weights = [
            GroupWeight(group=group, label=self._named(place, which), rows=rows, weight=weight)
            for place, table in enumerate(self.tables)
            for (group, which), (rows, weight) in sorted(table.items())
        ]
        return FairnessTraining(over=self.options.over, method=self.options.method, weights=weights)

    def _named(self, place: int, which: int) -> str:
        if which == _ANY:
            return ""
        if len(self.tables) == 1 and len(self.labels) > 1:
            return self.labels[which]
        return self.labels[place] if which else f"not {self.labels[place]}"


def weights_of(run: "Run[Any, Any]") -> GroupWeights | None:
    """What the training rows of a run weigh; None where `[fairness]` is off. Raises UsageError as making them does."""
    options = run.config.fairness
    if not options.over:
        return None
    return group_weights(options, run.task, run.sides("train"), run.targets["train"], run.labels)


def side_groups(sides: NDArray[Any] | None, origin: str) -> list[str]:
    """The groups of rows by what a column beside the inputs says of them; raises UsageError where there is none."""
    if sides is None:
        raise UsageError(f"fairness.over: {origin} has no columns besides what is read: give a file that has")
    return [NO_GROUP if side is None else str(side) for side in sides]


def group_weights(
    options: FairnessOptions, task: Task, groups: Sequence[str], targets: NDArray[Any], labels: Sequence[str]
) -> GroupWeights:
    """What training rows weigh, by their groups and their targets as the objective gives them.

    Raises UsageError, naming the option, where that cannot be done.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise UsageError(f"fairness.over: all training rows have {next(iter(sizes))!r} in the column {options.over!r}")
    if len(sizes) > _MOST_GROUPS:
        raise UsageError(
            f"fairness.over: the column {options.over!r} makes {len(sizes):,} groups, above {_MOST_GROUPS}: name one "
            "with a few categories"
        )
    if not task.weighs_rows:
        raise UsageError(f"fairness: a {task.name} does not weigh rows: leave the section out")
    if options.method == GROUP_WEIGHTS:
        table = {(group, _ANY): (rows, len(groups) / (len(sizes) * rows)) for group, rows in sizes.items()}
        return GroupWeights(options, [table], labels)
    if not task.decides:
        raise UsageError(
            f'fairness.method = "{REWEIGHING}" is of classes and labels, and this is a {task.name}: set it to '
            f'"{GROUP_WEIGHTS}"'
        )
    columns = targets.T if targets.ndim == 2 else [targets]
    return GroupWeights(options, [reweighed(groups, column.tolist()) for column in columns], labels)


def reweighed(groups: Sequence[str], classes: Sequence[int]) -> dict[Cell, tuple[int, float]]:
    """How many rows each group has of each class, and what each of these rows weighs."""
    of_group, of_class, both = Counter(groups), Counter(classes), Counter(zip(groups, classes, strict=True))
    return {
        (group, each): (rows, of_group[group] * of_class[each] / (len(groups) * rows))
        for (group, each), rows in both.items()
    }
