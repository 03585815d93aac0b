"""What chosen rows say as a whole: counts, what each feature adds on average, and some rows drawn as dots."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any  # JSON

import pyarrow as pa
import pyarrow.compute as pc

from explicate.scoring.output_columns import WIDE_PREFIX
from explicate.scoring.summaries.attribution_sums import AttributionSums, FeatureFigures, word
from explicate_console.rows.row_columns import LONG, long_items
from explicate_console.rows.row_detail import explained_class
from explicate_console.rows.row_errors import Stop
from explicate_console.rows.row_folders import Snapshot
from explicate_console.rows.row_pages import json_value, row_id, row_numbers
from explicate_console.rows.row_query import Selection

DOTS = 400
_MOST_FEATURES = 40
_BINS = 20
_MOST_LABELS = 200


class Attributions:
    """What features add, whichever layout the parts have."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        names = snapshot.answered.schema.names
        self.wide = [name for name in names if name.startswith(WIDE_PREFIX)]
        self.columns = [name for name in (LONG, *self.wide, "label", "stop_reason") if name in names]
        self.is_explained = LONG in names or bool(self.wide)

    def table(self, rows: pa.RecordBatch) -> pa.Table:
        """Each feature of each row: row, class, feature, value, lower, upper; those without a value are left out."""
        if LONG in rows.schema.names:
            items = long_items(rows.column(LONG))
        else:
            items = pa.concat_tables([self._wide_items(rows, name) for name in self.wide])
        if "class" not in items.column_names:
            items = items.append_column("class", self._classes(rows).take(items["row"]))
        return items.filter(pc.is_valid(items["value"]))

    def _classes(self, rows: pa.RecordBatch) -> pa.Array:
        if own := explained_class(self._snapshot, ""):
            return pa.array([own] * rows.num_rows, pa.string())
        if "label" in rows.schema.names:
            return pc.fill_null(rows.column("label"), "")
        return pa.array([""] * rows.num_rows, pa.string())

    @staticmethod
    def _wide_items(rows: pa.RecordBatch, name: str) -> pa.Table:
        count, nothing = rows.num_rows, pa.nulls(rows.num_rows, pa.float64())
        feature = pa.array([name.removeprefix(WIDE_PREFIX)] * count, pa.string())
        arrays = [pa.array(range(count), pa.int64()), feature, rows.column(name), nothing, nothing]
        return pa.table(arrays, names=["row", "feature", "value", "lower", "upper"])


def summary(snapshot: Snapshot, selection: Selection, stop: Stop) -> dict[str, Any]:
    """The figures of chosen rows."""
    attributions = Attributions(snapshot)
    names = snapshot.answered.schema.names
    scored = next((name for name in ("probability", "value") if name in names), "")
    histogram = _Histogram(snapshot, scored)
    sums = AttributionSums(is_text=snapshot.is_text)
    labels, reasons = Counter[str](), Counter[str]()
    predicted = [name for name in ("label", "labels") if name in names]
    columns = [*attributions.columns, scored, *predicted]
    for rows in selection.batches(snapshot.answered, [name for name in columns if name], stop):
        for name in predicted:
            labels.update(_counted(pc.list_flatten(rows.column(name)) if name == "labels" else rows.column(name)))
        if "stop_reason" in rows.schema.names:
            reasons.update(_counted(pc.fill_null(rows.column("stop_reason"), "not explained")))
        histogram.add(rows)
        if attributions.is_explained:
            sums.add(attributions.table(rows))
    return {
        "rows": selection.total,
        "labels": _ranked(labels),
        "stopReasons": _ranked(reasons),
        "histogram": histogram.told(),
        "classes": [
            {"label": label, "features": [_figures(one) for one in figures[:_MOST_FEATURES]], "of": len(figures)}
            for label, figures in sums.by_class().items()
        ],
        "strongestOnly": int(snapshot.manifest.options.get("top") or 0),
        "forgotten": sums.forgotten,
    }


def swarm(snapshot: Snapshot, selection: Selection, label: str, features: Sequence[str], stop: Stop) -> dict[str, Any]:
    """Chosen rows drawn at random, the same each time, with what these features add to a class."""
    total = selection.total
    drawn = random.Random(0).sample(range(total), min(DOTS, total))  # noqa: S311 - a picture, not a secret
    places = selection.at(sorted(drawn))
    attributions, named = Attributions(snapshot), word if snapshot.is_text else str
    values = {feature: column for feature, column in snapshot.value_columns.items() if feature in features}
    wanted, dots = set(features), []
    for number in sorted({unit for unit, _ in places}):
        stop.check()
        unit = selection.units[number]
        own = [place for each, place in places if each == number]
        rows = snapshot.answered.read(unit, [*attributions.columns, *values.values()]).take(pa.array(own, pa.int32()))
        numbers = row_numbers(snapshot, unit, own)
        held = {feature: rows.column(column).to_pylist() for feature, column in values.items()}
        table = attributions.table(rows)
        for item in table.filter(pc.equal(table["class"], label)).to_pylist():
            feature = named(item["feature"])
            if feature in wanted:
                place = item["row"]
                has = feature in held
                dots.append({
                    "id": row_id(unit, own[place]),
                    "row": numbers[own[place]],
                    "feature": feature,
                    **{name: json_value(item[name]) for name in ("value", "lower", "upper")},
                    **({"holds": json_value(held[feature][place], 80)} if has else {}),
                })  # fmt: skip
    return {"label": label, "drawn": len(drawn), "of": total, "dots": dots}


class _Histogram:
    """How many rows have a probability, or a value, in each of `_BINS` bins of the same width."""

    def __init__(self, snapshot: Snapshot, column: str) -> None:
        self._column = column
        ends = [unit.part.ends for unit in snapshot.answered.units if unit.part.ends]
        known = column == "value" and ends
        self._least, self._most = (min(e[0] for e in ends), max(e[1] for e in ends)) if known else (0.0, 1.0)
        self._counts = [0] * _BINS

    def add(self, rows: pa.RecordBatch) -> None:
        if not self._column:
            return
        values = rows.column(self._column)
        width = (self._most - self._least) or 1.0
        place = pc.floor(pc.multiply(pc.subtract(values, self._least), _BINS / width))
        bins = pc.min_element_wise(pc.max_element_wise(place, 0.0, skip_nulls=False), _BINS - 1.0, skip_nulls=False)
        for value, count in _counted(bins).items():
            if value == value:  # not NaN
                self._counts[int(value)] += count

    def told(self) -> dict[str, Any] | None:
        if not self._column:
            return None
        return {"of": self._column, "least": self._least, "most": self._most, "counts": self._counts}


def _figures(one: FeatureFigures) -> dict[str, Any]:
    return {
        "feature": json_value(one.feature, 500),
        "rows": one.rows,
        "meanSize": one.mean_size,
        "meanSizeInterval": one.mean_size_interval,
        "meanValue": one.mean_value,
        "meanValueInterval": one.mean_value_interval,
    }


def _counted(values: pa.Array) -> dict[Any, int]:
    return {one["values"]: one["counts"] for one in values.value_counts().to_pylist() if one["values"] is not None}


def _ranked(counts: Counter[str]) -> list[dict[str, Any]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": json_value(name, 500), "rows": count} for name, count in ranked[:_MOST_LABELS]]
