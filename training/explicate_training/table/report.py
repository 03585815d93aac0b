"""What became of a table: data.json, and the lines for the terminal.

Suspects columns that alone predict the label: they often hold what is known only after the label is.

Each column by itself is given to a small decision tree and judged in cross-validation. Suspects are named, not dropped.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.cells.cell_readers import shown
from explicate_bundle.cells.date_notation import date_text
from explicate_bundle.columns import TableRows
from explicate_training.table.data import Column, Table
from explicate_training.table.encoding import ColumnSchema
from explicate_training.tasks.task import Task

_MOST_ROWS = 4000  # of the table, evenly chosen: enough to tell .98 from .9


@dataclass(frozen=True)
class Suspect:
    """A column that alone predicts the label this well."""

    column: str
    metric: str  # "AUROC" or "R²"
    score: float


def leakage_suspects(
    encoded: TableRows, targets: NDArray[Any], schema: Sequence[ColumnSchema], task: Task, *, threshold: float
) -> list[Suspect]:
    """Columns whose cross-validated score (AUROC, of numbers R²) reaches the threshold, the best first.

    `targets` are as the task gives them. A threshold of 1 finds nothing, quickly.
    """
    if threshold >= 1:
        return []
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _MOST_ROWS)).astype(int)
    suspects = []
    numbers, codes = iter(encoded.numbers.T), iter(encoded.codes.T)
    for column in schema:
        values = next(numbers) if column.is_numeric else next(codes).astype(np.float32)
        score = task.leakage(values[rows, np.newaxis], targets[rows])
        if score is not None and score >= threshold:
            suspects.append(Suspect(column.name, task.score[1], round(score, 4)))
    return sorted(suspects, key=lambda suspect: -suspect.score)


_SHOWN_VALUES = 8


def column_report(table: Table, schema: Sequence[ColumnSchema]) -> list[dict[str, Any]]:
    """What a clean table's columns hold."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "why": column.why,
            "missing": int(column.missing().sum()),
            "example": column.example or _first(column),
            "values": _values(column, known),
        }
        for column, known in zip(table.columns, schema, strict=True)
    ]


def column_lines(report: Mapping[str, Any], unread: Mapping[str, str], rows: int) -> list[str]:
    """The same for the terminal, a line for each column of the table; `unread`: why the model does not read some."""
    columns = report["columns"]
    types = Counter(column["type"] for column in columns)
    lines = [f"columns: {', '.join(f'{count} {kind}' for kind, count in types.items())}"]
    width = max(map(len, [*unread, *(column["name"] for column in columns)]))
    for column in columns:
        missing = f"{column['missing'] / rows:.1%} missing, " if column["missing"] else ""
        example = shown(column["example"])
        lines.append(f"  {column['name']:<{width}}  {column['type']:<8}  {missing}such as {example}; {column['why']}")
    lines += [f"  {name:<{width}}  not read  {reason}" for name, reason in unread.items()]
    return lines + [f"note: {warning}" for warning in report["warnings"]]


def _first(column: Column) -> str:
    """The first value that is not missing, as text."""
    known = column.values[~column.missing()]
    if not len(known):
        return ""
    return f"{known[0]:.10g}" if column.type == "number" else str(known[0])


def suspicion(suspect: Suspect) -> str:
    """A warning of a column."""
    return (
        f"{suspect.column} alone predicts the label ({suspect.metric} {suspect.score:.3f}): if it is known only after "
        f'the label is, leave it out with data.columns.{suspect.column} = "ignore"'
    )


def _values(column: Column, schema: ColumnSchema) -> str:
    if column.type == "date":
        days = column.values[~np.isnan(column.values)]
        return f"{date_text(days.min())} to {date_text(days.max())}" if len(days) else ""
    if column.type == "number":
        known = column.values[~np.isnan(column.values)]
        return f"{known.min():.4g} to {known.max():.4g}, median {np.median(known):.4g}" if len(known) else ""
    counts = Counter(value for value in column.values if value is not None).most_common()
    shown = ", ".join(f"{name} {count:,}" for name, count in counts[:_SHOWN_VALUES])
    more = f" and {len(counts) - _SHOWN_VALUES} more" if len(counts) > _SHOWN_VALUES else ""
    unknown = len({name for name, _ in counts} - set(schema.categories))
    return shown + more + (f"; {unknown} of them unknown to the model" if unknown else "")
