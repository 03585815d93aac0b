"""What became of a table: data.json, and the lines for the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any  # JSON values

import numpy as np

from explicate_training.table.data import Column, Table
from explicate_training.table.encoding import ColumnSchema
from explicate_training.table.leakage import Suspect

_SHOWN_VALUES = 8


def column_report(table: Table, schema: Sequence[ColumnSchema]) -> list[dict[str, Any]]:
    """What a clean table's columns hold."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "missing": int(column.missing().sum()),
            "values": _values(column, known),
        }
        for column, known in zip(table.columns, schema, strict=True)
    ]


def column_lines(report: Mapping[str, Any]) -> list[str]:
    """The same for the terminal, with what was left out and what is doubted."""
    types = Counter(column["type"] for column in report["columns"])
    lines = [f"columns: {', '.join(f'{count} {kind}' for kind, count in types.items())}"]
    lines += [f"  left out: {name}, which {reason}" for name, reason in report["columns_left_out"].items()]
    missing = {column["name"]: column["missing"] for column in report["columns"] if column["missing"]}
    most = sorted(missing.items(), key=lambda one: -one[1])
    if most:
        more = f" and {len(most) - _SHOWN_VALUES} columns more" if len(most) > _SHOWN_VALUES else ""
        lines.append(f"missing: {', '.join(f'{name} {count:,}' for name, count in most[:_SHOWN_VALUES])}{more}")
    return lines + [f"note: {warning}" for warning in report["warnings"]]


def suspicion(suspect: Suspect) -> str:
    """A warning of a column."""
    return (
        f"{suspect.column} alone predicts the label ({suspect.metric} {suspect.score:.3f}): if it is known only after "
        f'the label is, leave it out with data.columns.{suspect.column} = "ignore"'
    )


def _values(column: Column, schema: ColumnSchema) -> str:
    if column.type == "number":
        known = column.values[~np.isnan(column.values)]
        return f"{known.min():.4g} to {known.max():.4g}, median {np.median(known):.4g}" if len(known) else ""
    counts = Counter(value for value in column.values if value is not None).most_common()
    shown = ", ".join(f"{name} {count:,}" for name, count in counts[:_SHOWN_VALUES])
    more = f" and {len(counts) - _SHOWN_VALUES} more" if len(counts) > _SHOWN_VALUES else ""
    unknown = len({name for name, _ in counts} - set(schema.categories))
    return shown + more + (f"; {unknown} of them unknown to the model" if unknown else "")
