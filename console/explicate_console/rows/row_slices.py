"""Chosen rows cut into slices by a column: the mean prediction of each, and the mean of what a feature adds."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Any  # JSON

import pyarrow as pa
import pyarrow.compute as pc

from explicate_console.rows.row_columns import Columns
from explicate_console.rows.row_errors import RowsRefused, Stop, invalid
from explicate_console.rows.row_folders import Snapshot
from explicate_console.rows.row_pages import json_value
from explicate_console.rows.row_query import MOST_ORDERED, Selection, check_name

_QUANTILES = 6
_MOST_SLICES = 12
_TEXT_KEY = 64
_Z = NormalDist().inv_cdf(0.975)


def slices(snapshot: Snapshot, selection: Selection, column: str, label: str, added: str, stop: Stop) -> dict[str, Any]:
    """Slices by a column: its values, or for a number ranges that hold about the same rows each.

    label: the class whose probability is averaged, unless the model predicts a value. added: a column such as
    "added.age" that is averaged, too; empty for none. Intervals of 95 % say how far means would move with other rows of
    the same kind.
    """
    columns = Columns(snapshot, snapshot.answered)
    check_name(column, columns, "column")
    if added:
        check_name(added, columns, "added")
        if not columns.is_added(added):
            raise invalid("added", "it is the name of what a feature adds, such as added.age")
    if selection.total > MOST_ORDERED:
        raise RowsRefused("failed_precondition", f"more than {MOST_ORDERED:,} rows: choose fewer by a filter")
    names = [column, *([added] if added else [])]
    outcome = "value" if "value" in snapshot.answered.schema.names else "probabilities"
    index = _class_index(snapshot, label) if outcome == "probabilities" else 0
    gathered = []
    needed = [*columns.needed(names), outcome]
    for batch in selection.batches(snapshot.answered, needed, stop):
        own = {"key": _key(columns.values(batch, column), column)}
        held = batch.column(outcome)
        own["prediction"] = held if outcome == "value" else pc.list_element(held, index)
        if added:
            own["added"] = columns.values(batch, added)
        gathered.append(pa.table(own))
    if not gathered:
        return {"column": column, "slices": [], "others": 0}
    return {"column": column, "of": outcome, **_sliced(pa.concat_tables(gathered))}


def _class_index(snapshot: Snapshot, label: str) -> int:
    labels = snapshot.manifest.model.class_labels
    if "probabilities" not in snapshot.answered.schema.names or not labels:
        raise invalid("column", "these rows do not have a prediction")
    if label and label not in labels:
        raise invalid("label", f"the model does not have a class {label}")
    return labels.index(label) if label else 0


def _key(values: pa.Array, name: str) -> pa.Array:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pc.cast(values, pa.float64(), safe=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.utf8_slice_codeunits(values, 0, _TEXT_KEY)
    if pa.types.is_boolean(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return values.cast(pa.string())
    raise invalid("column", f"rows cannot be cut by {name}, which holds {kind}")


def _sliced(table: pa.Table) -> dict[str, Any]:
    if not pa.types.is_floating(table.schema.field("key").type):
        return _by_value(table)
    keys = table["key"]
    table = table.set_column(0, "key", pc.if_else(pc.is_nan(keys), pa.scalar(None, pa.float64()), keys))
    if pc.count_distinct(table["key"]).as_py() <= _MOST_SLICES:
        return _by_value(table)
    shares = [n / _QUANTILES for n in range(_QUANTILES + 1)]
    ends = sorted(set(pc.quantile(table["key"], q=shares, interpolation="lower").to_pylist()))
    found = []
    for place, (low, high) in enumerate(pairwise(ends)):
        last = place == len(ends) - 2
        below = pc.less_equal(table["key"], high) if last else pc.less(table["key"], high)
        own = table.filter(pc.and_(pc.greater_equal(table["key"], low), below))
        found.append({"low": json_value(low), "high": json_value(high), "last": last, **_means(own)})
    if table["key"].null_count:
        found.append({"missing": True, **_means(table.filter(pc.is_null(table["key"])))})
    return {"slices": found, "others": 0}


def _by_value(table: pa.Table) -> dict[str, Any]:
    counted = sorted(table["key"].value_counts().to_pylist(), key=lambda e: (-e["counts"], str(e["values"])))
    shown = [each["values"] for each in counted[:_MOST_SLICES]]
    if pa.types.is_floating(table.schema.field("key").type):
        shown.sort(key=lambda value: (value is None, value or 0.0))
    found = []
    for value in shown:
        chosen = pc.is_null(table["key"]) if value is None else pc.equal(table["key"], value)
        named = {"missing": True} if value is None else {"value": json_value(value)}
        found.append({**named, **_means(table.filter(chosen))})
    return {"slices": found, "others": len(counted) - len(shown)}


def _means(rows: pa.Table) -> dict[str, Any]:
    names = [name for name in ("prediction", "added") if name in rows.column_names]
    return {"rows": rows.num_rows, **{name: _mean(rows[name]) for name in names}}


def _mean(values: pa.ChunkedArray) -> dict[str, Any]:
    known = len(values) - values.null_count
    mean, deviation = pc.mean(values).as_py(), pc.stddev(values, ddof=1).as_py()
    half = None if known < 2 or deviation is None else _Z * deviation / math.sqrt(known)
    ends = None if half is None or mean is None else [json_value(mean - half), json_value(mean + half)]
    return {"mean": json_value(mean), "interval": ends, "rows": known}
