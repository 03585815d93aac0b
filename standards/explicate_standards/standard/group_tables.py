"""Groups of test rows side by side, for each class and column that a standard compares them by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.standard.verdicts import Bounds
from explicate_standards.outcomes.fairness import GAPS, answers_of
from explicate_standards.standard.bounds import wilson
from explicate_standards.standard.requirement import Evidence, Requirement
from explicate_standards.standard.requirements import FairnessRequirement, gap_bounds

_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class GroupRates:
    """How often a class is answered to a group: to all of its rows, where it is right, and where it is not.

    `counted` says whether the group has enough rows for the gaps.
    """

    name: str
    rows: int
    counted: bool
    selected: Bounds
    true_positive: Bounds
    false_positive: Bounds


@dataclass(frozen=True)
class GroupTable:
    """The groups that a column makes, and the gaps between those that are counted, by name; none of fewer than two."""

    column: str
    label: str
    minimum_rows: int
    groups: tuple[GroupRates, ...]
    gaps: Mapping[str, Bounds]


def group_tables(requirements: Sequence[Requirement], evidence: Evidence) -> tuple[GroupTable, ...]:
    """One table for each column and class that the requirements are about, once however many gaps they name."""
    asked = dict.fromkeys((one.over, one.label) for one in requirements if isinstance(one, FairnessRequirement))
    return tuple(_table(column, label, evidence) for column, label in asked)


def _table(column: str, label: str, evidence: Evidence) -> GroupTable:
    outcomes = evidence.outcomes
    answered, true = answers_of(outcomes, outcomes.labels.index(label))
    masks = evidence.groups[column]
    groups = tuple(_rates(masks, answered, true, evidence))
    kept = [masks[one.name] for one in groups if one.counted]
    gaps = {
        name: gap_bounds(name, answered, true, np.stack(kept), evidence.confidence)
        for name in (GAPS if len(kept) >= 2 else ())
    }
    return GroupTable(column, label, evidence.minimum_rows, groups, gaps)


def _rates(masks: Mapping[str, _Flags], answered: _Flags, true: _Flags, evidence: Evidence) -> Iterator[GroupRates]:
    for name, rows in masks.items():
        yield GroupRates(
            name,
            int(rows.sum()),
            bool(rows.sum() >= evidence.minimum_rows),
            *(_share(answered, rows & of, evidence.confidence) for of in (np.ones_like(rows), true, ~true)),
        )


def _share(answered: _Flags, rows: _Flags, confidence: float) -> Bounds:
    return wilson(int((answered & rows).sum()), int(rows.sum()), confidence)
