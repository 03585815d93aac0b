"""Groups of training rows that explanations may be set against, summarised as the background is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any  # TOML values, labels and cells

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate.reading.nearest import did_you_mean
from explicate.v1.bundle_pb2 import BaselineGroup
from explicate_bundle.columns import TableRows
from explicate_bundle.table_arrays import Background
from explicate_training.table.background import FEWEST_ROWS, summarise
from explicate_training.table.config import COMPARISONS, RowCondition, TableDataConfig, conditions_of
from explicate_training.table.data import Table

Members = NDArray[np.bool_]
_TOLD = 10  # values of a column in a message


def rows_of_groups(baselines: Mapping[str, Any], train: Table, data: TableDataConfig) -> dict[str, Members]:
    """Which of the training rows are in each group, bool[rows] by its name.

    Raises:
        UsageError: it names the option: a column or a value that there is not, or a group of too few rows.
    """
    return {name: _rows_of(name, condition, train, data) for name, condition in conditions_of(baselines).items()}


def summaries(groups: Mapping[str, Members], train: TableRows, rows: int, **how: Any) -> dict[str, Background]:
    """A background of at most so many rows for each group; how: see `summarise`."""
    return {name: summarise(train[np.flatnonzero(members)], rows, **how) for name, members in groups.items()}


def described(
    baselines: Mapping[str, Any], groups: Mapping[str, Members], made: Mapping[str, Background]
) -> Iterator[BaselineGroup]:
    """What the manifest says of the groups."""
    for name, members in groups.items():
        of, count = str(baselines[name]), int(members.sum())
        yield BaselineGroup(name=name, of=of, summarised_rows=count, rows=len(made[name]))


def _rows_of(name: str, condition: RowCondition, train: Table, data: TableDataConfig) -> Members:
    path = f"export.baselines.{name}"
    if condition.column in data.columns_with_labels().values():
        members = _by_label(path, condition, [train.task.plain(label) for label in train.labels])
    else:
        members = _by_column(path, condition, train)
    if (count := int(members.sum())) < FEWEST_ROWS:
        raise UsageError(
            f"{path}: {count} of the {len(train):,} training rows are {str(condition)!r}; a group needs {FEWEST_ROWS}, "
            "so that its summary holds nobody's row"
        )
    return members


def _by_label(path: str, condition: RowCondition, labels: Sequence[Any]) -> Members:
    if labels and isinstance(labels[0], float):
        return _compared(path, condition, np.array(labels))
    held = [label if isinstance(label, list) else [label] for label in labels]  # one of a set of labels will do
    return _equal(path, condition, held)


def _by_column(path: str, condition: RowCondition, train: Table) -> Members:
    columns = {column.name: column for column in train.columns}
    column = columns.get(condition.column)
    if column is None:
        advice = did_you_mean(condition.column, columns, most=1) or f"; there are {', '.join(columns)}"
        raise UsageError(f"{path}: there is no column {condition.column!r}{advice}")
    if column.type == "date":
        raise UsageError(f"{path}: {condition.column!r} holds dates: name a column of categories or numbers")
    if column.type == "number":
        return _compared(path, condition, column.values.astype(np.float64))
    return _equal(path, condition, [[value] for value in column.values])


def _compared(path: str, condition: RowCondition, values: NDArray[np.float64]) -> Members:
    try:
        bound = float(condition.value)
    except ValueError:
        raise UsageError(
            f"{path}: {condition.column!r} holds numbers, and {condition.value!r} is not a number"
        ) from None
    with np.errstate(invalid="ignore"):  # a missing number is in no group
        return np.asarray(COMPARISONS[condition.comparison](values, bound), dtype=np.bool_)


def _equal(path: str, condition: RowCondition, held: Sequence[Sequence[Any]]) -> Members:
    if condition.comparison != "=":
        raise UsageError(f"{path}: {condition.column!r} holds categories: write {condition.column}=VALUE")
    known = sorted({str(value) for values in held for value in values if value is not None})
    if condition.value not in known:
        few = f"; there are {', '.join(known[:_TOLD])}{' and more' if len(known) > _TOLD else ''}"
        advice = did_you_mean(condition.value, known, most=1) or few
        raise UsageError(f"{path}: {condition.column!r} is never {condition.value!r} in the training rows{advice}")
    return np.array([condition.value in map(str, values) for values in held], dtype=np.bool_)
