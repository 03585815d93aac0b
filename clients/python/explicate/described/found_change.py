"""What would change an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from explicate.inputs import ONLY_SOME_KINDS, CellValue


@dataclass(frozen=True)
class ColumnChange:
    """Another value of a column.

    before, after: what it is, and what it would be. distance: how far that is, of numbers and dates in standard
    deviations of the bundle's background rows; 1 for another category.
    """

    column: str
    before: CellValue
    after: CellValue
    distance: float


@dataclass(frozen=True)
class ChangedAnswer:
    """What the model decides about an input.

    class_index, class_label: the class that is answered; of several labels the one that the change is about; of a
    regression 0 and the name of its target. score: its probability, or the value. given: whether the label is answered.
    """

    class_index: int
    class_label: str
    score: float
    given: bool


@dataclass(frozen=True)
class Change:
    """The smallest change found that changes the answer; the model was asked about it and decides so.

    found: whether there is one; if not, `absent` and `columns` are empty and `after` is None. A change of nothing says
        that the answer is already what it is to become.
    absent: the features that are left out, by their places in `Explanation.features`.
    columns: of a row of a table the columns with other values. distance: the sum of theirs.
    before, after: the answer to the input as it is, and to the changed one.
    evaluations: changes that were tried, beside the evaluations of the explanation. reused_evaluations: those of them
        whose answer was known already.
    sizes_tried: every change of up to so many features or columns was tried.
    none_smaller: every smaller change was tried; if nothing was found, every change there is. Otherwise none smaller
        was found, and there may be one.
    none_nearer: every change of as many columns that is nearer was tried.
    end: "complete" if nothing is left to try that could be smaller or nearer, "budget" or "deadline".
    """

    found: bool
    before: ChangedAnswer
    after: ChangedAnswer | None
    evaluations: int
    reused_evaluations: int
    sizes_tried: int
    none_smaller: bool
    none_nearer: bool
    end: str
    distance: float = 0.0
    absent: tuple[int, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    columns: tuple[ColumnChange, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
