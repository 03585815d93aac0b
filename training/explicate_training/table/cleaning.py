"""Takes out of a table what would teach nonsense or make the test look better than it is, and says what it took.

Rows without a label go, then rows that were seen before, then columns that never change.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas

from explicate.errors import UsageError
from explicate_training.data.cleaning import HELD_OUT, CleaningReport, check_cleaned, digest_of, twins
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import Table

NO_LABEL = "no label"
DUPLICATE = "exact duplicate"
REASONS = (NO_LABEL, DUPLICATE, HELD_OUT)
CONSTANT = "is the same in every row"

_MANY_DUPLICATES = 0.1


@dataclass
class TableCleaningReport(CleaningReport):
    """What cleaning did. Grows while it works."""

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
    report = TableCleaningReport(Counter(table.splits))
    _check_columns(table, report)
    table = _with_labels(table, config, report)
    table = _without_duplicates(table, config, report)
    table = _without_constant_columns(table, report)
    _check_columns(table, report)
    check_cleaned(table.labels_by_split(), report, table.task, config)
    return CleanTable(table, report, digest_of(_lines(table)))


def _with_labels(table: Table, config: TableDataConfig, report: TableCleaningReport) -> Table:
    labelled = ~pandas.isna(table.labels)
    report.dropped[NO_LABEL] = int((~labelled).sum())
    if not labelled.any():
        raise UsageError(f"data.label_column: no row has a value in {config.label_column!r}: choose another column")
    return table.take(labelled)


def _without_duplicates(table: Table, config: TableDataConfig, report: TableCleaningReport) -> Table:
    splits = table.splits.tolist()
    frame = pandas.DataFrame({place: column.values for place, column in enumerate(table.columns)})
    if table.groups is not None:
        frame["group"] = table.groups
    frame["left out"] = table.left_out_cells
    alike = twins(splits, pandas.util.hash_pandas_object(frame, index=False).tolist())
    frame["label"] = list(map(str, table.labels))
    same = twins(splits, pandas.util.hash_pandas_object(frame, index=False).tolist())
    report.other_label = len(alike.keys() - same.keys())
    keep = np.ones(len(table), dtype=bool)
    for place, twin in same.items():
        reason = DUPLICATE if splits[place] == splits[twin] else HELD_OUT
        if splits[place] != "test" and (reason == HELD_OUT or config.duplicates == "drop"):
            report.drop(reason)
            keep[place] = False
    if report.dropped[DUPLICATE] > _MANY_DUPLICATES * len(table):
        report.warnings.append(
            f"{report.dropped[DUPLICATE] / len(table):.0%} of the rows are duplicates of others: if they are "
            'different cases that look alike, set data.duplicates = "keep"'
        )
    return table.take(keep)


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


def _lines(table: Table) -> Iterable[list[object]]:
    """The columns with their types, then each row."""
    yield [[column.name, column.type] for column in table.columns]
    for number, (split, label) in enumerate(zip(table.splits, table.labels, strict=True)):
        yield [split, list(table.row(number).values()), table.task.plain(label)]
