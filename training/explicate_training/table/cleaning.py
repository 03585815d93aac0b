"""Takes out of a table what would teach nonsense or make the test look better than it is, and says what it took.

Rows without a label go, then rows that were seen before, then columns that never change. A given test set is kept as
it is but for rows that cannot be scored; rows of the other splits that stand in it are taken out of those.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any  # cells

import numpy as np
import pandas
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_training.data.labels import SPLITS, Label, check_label_sets, label_column_names, plain_label
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import Table

NO_LABEL = "no label"
DUPLICATE = "exact duplicate"
HELD_OUT = "stands in the given test or validation set"
ROW_REASONS = (NO_LABEL, DUPLICATE, HELD_OUT)
CONSTANT = "is the same in every row"

_MANY_DUPLICATES = 0.1


@dataclass
class TableCleaningReport:
    """What cleaning did. Grows while it works."""

    rows_read: Counter[str]  # by split
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    other_label: int = 0  # rows alike in every column but with another label than one before them; they are kept
    left_out: dict[str, str] = field(default_factory=dict)  # reason by column
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CleanTable:
    """What is left, and what was done."""

    table: Table
    report: TableCleaningReport
    sha256: str  # of all cleaned rows, in order


def clean_table(table: Table, config: TableDataConfig) -> CleanTable:
    """Cleans a typed table as the module says. Raises UsageError when what is left cannot be learnt from."""
    report = TableCleaningReport(rows_read=Counter(table.splits))
    _check_columns(table, report)
    table = _with_labels(table, config, report)
    table = _without_duplicates(table, config, report)
    table = _without_constant_columns(table, report)
    _check_columns(table, report)
    if table.task == "classification":
        _check_classes(table, config)
    elif table.task == "multi-label":
        labels: dict[str, list[Label]] = {split: table.labels[table.splits == split].tolist() for split in SPLITS}
        check_label_sets(labels, config.minimum_class_count, counted="rows", named=label_column_names(config))
    else:
        _check_target(table)
    return CleanTable(table, report, _sha256(table))


def _with_labels(table: Table, config: TableDataConfig, report: TableCleaningReport) -> Table:
    labelled = ~pandas.isna(table.labels)
    report.dropped[NO_LABEL] = int((~labelled).sum())
    if not labelled.any():
        raise UsageError(f"data.label_column: no row has a value in {config.label_column!r}: choose another column")
    return table.take(labelled)


def _without_duplicates(table: Table, config: TableDataConfig, report: TableCleaningReport) -> Table:
    """Held-out rows come first, as for texts: what the model is tested on stays, what it learns from makes room."""
    order = np.argsort([-SPLITS.index(split) for split in table.splits], kind="stable")
    frame = pandas.DataFrame({place: column.values[order] for place, column in enumerate(table.columns)})
    if table.groups is not None:
        frame["group"] = table.groups[order]
    first_alike = _first_of_its_like(frame)
    frame["label"] = (
        [str(label) for label in table.labels[order]] if table.task == "multi-label" else table.labels[order]
    )
    first = _first_of_its_like(frame)  # in `order`, so a held-out row if there is one
    places = np.arange(len(frame))
    report.other_label = int(((first_alike < places) & (first == places)).sum())
    splits = table.splits[order]
    across = splits != splits[first]
    within = ~across & (first < places) & (config.duplicates == "drop")
    drop = (across | within) & (splits != "test")
    report.dropped[DUPLICATE] = int((drop & within).sum())
    report.dropped[HELD_OUT] = int((drop & across).sum())
    if report.dropped[DUPLICATE] > _MANY_DUPLICATES * len(table):
        report.warnings.append(
            f"{report.dropped[DUPLICATE] / len(table):.0%} of the rows are duplicates of others: if they are "
            'different cases that look alike, set data.duplicates = "keep"'
        )
    keep = np.ones(len(table), dtype=bool)
    keep[order[drop]] = False
    return table.take(keep)


def _first_of_its_like(frame: pandas.DataFrame) -> NDArray[np.intp]:
    """For each row the place of the first row that is equal to it."""
    _, first, inverse = np.unique(
        pandas.util.hash_pandas_object(frame, index=False), return_index=True, return_inverse=True
    )
    return first[inverse]


def _without_constant_columns(table: Table, report: TableCleaningReport) -> Table:
    learnt = table.take(table.splits == "train")
    for column in learnt.columns:
        if len(pandas.unique(pandas.Series(column.values))) < 2:
            report.left_out[column.name] = CONSTANT
    return replace(table, columns=tuple(column for column in table.columns if column.name not in report.left_out))


def _check_columns(table: Table, report: TableCleaningReport) -> None:
    if not table.columns:
        reasons = ", ".join(f"{name!r} {reason}" for name, reason in list(report.left_out.items())[:5])
        raise UsageError(f"no column is left to learn from ({reasons or 'the table has none'}): add some to data.table")


def _check_classes(table: Table, config: TableDataConfig) -> None:
    counts = Counter(table.labels[table.splits == "train"])
    if len(counts) < 2:
        raise UsageError(
            f"data.label_column: {config.label_column!r} has {len(counts)} class(es) after cleaning, and a classifier "
            "needs two: choose another column"
        )
    rare = {label: count for label, count in sorted(counts.items()) if count < config.minimum_class_count}
    if rare:
        listed = ", ".join(f"{label!r} ({count})" for label, count in list(rare.items())[:10])
        more = f" and {len(rare) - 10} more" if len(rare) > 10 else ""
        raise UsageError(
            f"too few rows of class {listed}{more} after cleaning: each class needs {config.minimum_class_count}; add "
            "rows, merge or leave out the class, lower data.minimum_class_count, or set data.task to regression"
        )
    for split in ("validation", "test"):
        unknown = set(table.labels[table.splits == split]) - set(counts)
        if unknown:
            raise UsageError(
                f"data.{split} has classes that the training data lacks: {', '.join(sorted(unknown)[:10])}"
            )


def _check_target(table: Table) -> None:
    targets = table.labels[table.splits == "train"]
    if len(targets) < 10:
        raise UsageError(f"data.table has {len(targets)} rows after cleaning, and a regression needs ten: add some")
    if np.ptp(targets) == 0:
        raise UsageError(f"data.label_column is {targets[0]:g} in every row: choose another column")


def _sha256(table: Table) -> str:
    digest = hashlib.sha256()
    names: list[Any] = [[column.name, column.type] for column in table.columns]
    digest.update(json.dumps(names).encode() + b"\n")
    for number in range(len(table)):
        cells = list(table.row(number).values())
        label = table.labels[number]
        digest.update(json.dumps([table.splits[number], cells, plain_label(label)]).encode() + b"\n")
    return digest.hexdigest()
