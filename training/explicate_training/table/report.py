"""What became of a table: data.json and report.html of a run on a table, and the lines for the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any  # JSON values

import numpy as np

from explicate_training.data.labels import SPLITS, Task, label_summary, summary_words
from explicate_training.table.cleaning import ROW_REASONS, CleanTable
from explicate_training.table.column_typing import TypingReport
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import Column
from explicate_training.table.encoding import ColumnSchema
from explicate_training.table.leakage import Suspect
from explicate_training.table.splitting import TableSplits

_SHOWN_VALUES = 8
TABLE_CURVES: Mapping[Task, Mapping[str, str]] = {"classification": {"accuracy": "accuracy", "auroc": "AUROC"}}


def table_data_report(
    clean: CleanTable,
    typing: TypingReport,
    splits: TableSplits,
    schema: Sequence[ColumnSchema],
    suspects: Sequence[Suspect],
    config: TableDataConfig,
) -> dict[str, Any]:
    """The content of data.json."""
    report = clean.report
    return {
        "source": config.demo or config.table,
        "sha256": clean.sha256,
        "rows_read": {split: report.rows_read[split] for split in SPLITS if report.rows_read[split]},
        "rows_dropped": {reason: report.dropped[reason] for reason in ROW_REASONS},
        "same_values_other_label": report.other_label,
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "missing": int(column.missing().sum()),
                "values": _values(column, one),
            }
            for column, one in zip(clean.table.columns, schema, strict=True)
        ],
        "columns_left_out": {**typing.left_out, **report.left_out},
        "leakage_suspects": [vars(suspect) for suspect in suspects],
        "warnings": [*typing.warnings, *report.warnings, *map(_suspicion, suspects)],
        "splits": {
            name: {"rows": len(table), **label_summary(table.task, table.labels.tolist())}
            for name, table in vars(splits).items()
        },
    }


def table_report_lines(report: Mapping[str, Any]) -> list[str]:
    """The same for the terminal."""
    read = report["rows_read"]
    parts = ", ".join(f"{count:,} {split}" for split, count in read.items())
    lines = [f"read {sum(read.values()):,} rows of {report['source']} ({parts})"]
    dropped = {reason: count for reason, count in report["rows_dropped"].items() if count}
    lines.append(f"cleaning dropped {sum(dropped.values()):,} rows:" if dropped else "cleaning dropped nothing")
    lines += [f"  {count:>6,} {reason}" for reason, count in dropped.items()]
    types = Counter(column["type"] for column in report["columns"])
    lines.append(f"columns: {', '.join(f'{count} {kind}' for kind, count in types.items())}")
    lines += [f"  left out: {name}, which {reason}" for name, reason in report["columns_left_out"].items()]
    missing = {column["name"]: column["missing"] for column in report["columns"] if column["missing"]}
    most = sorted(missing.items(), key=lambda one: -one[1])
    if most:
        more = f" and {len(most) - _SHOWN_VALUES} columns more" if len(most) > _SHOWN_VALUES else ""
        lines.append(f"missing: {', '.join(f'{name} {count:,}' for name, count in most[:_SHOWN_VALUES])}{more}")
    lines += [f"note: {warning}" for warning in report["warnings"]]
    lines.append("splits:")
    lines += [
        f"  {name:<11}{split['rows']:>6,} rows: {summary_words(split)}" for name, split in report["splits"].items()
    ]
    return lines


def _values(column: Column, schema: ColumnSchema) -> str:
    if column.type == "number":
        known = column.values[~np.isnan(column.values)]
        return f"{known.min():.4g} to {known.max():.4g}, median {np.median(known):.4g}" if len(known) else ""
    counts = Counter(value for value in column.values if value is not None).most_common()
    shown = ", ".join(f"{name} {count:,}" for name, count in counts[:_SHOWN_VALUES])
    more = f" and {len(counts) - _SHOWN_VALUES} more" if len(counts) > _SHOWN_VALUES else ""
    unknown = len({name for name, _ in counts} - set(schema.categories))
    return shown + more + (f"; {unknown} of them unknown to the model" if unknown else "")


def _suspicion(suspect: Suspect) -> str:
    return (
        f"{suspect.column} alone predicts the label ({suspect.metric} {suspect.score:.3f}): if it is known only after "
        f'the label is, leave it out with data.columns.{suspect.column} = "ignore"'
    )
