"""What a filter, an order or a slice may name: the columns of the rows, and what each feature adds.

`added.NAME` is what the feature adds to the explained output of a row, `width.NAME` half of its interval, `widest` the
largest half interval of the row. Where every class is explained, they are of the predicted one. A column of the rows
goes before one of these names.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from explicate.scoring.output_columns import WIDE_PREFIX
from explicate_console.rows.row_folders import RowFiles, Snapshot

ADDED, WIDTH, WIDEST = "added.", "width.", "widest"
LONG = "explanation"
_FIELDS = ("feature", "value", "lower", "upper")


class Columns:
    """The names of a folder's answered or failed rows."""

    def __init__(self, snapshot: Snapshot, files: RowFiles) -> None:
        self._names = frozenset(files.schema.names)
        self._long = LONG in self._names and not files.failed
        self._own = files.schema
        self._by_class = self._long and "class" in [field.name for field in files.schema.field(LONG).type.value_type]
        self._label = "label" if self._by_class and "label" in self._names else ""
        self.features = () if files.failed else snapshot.features

    @property
    def schema(self) -> pa.Schema:
        """Every name that is known beforehand, with its type."""
        extra = [name for feature in self.features for name in (f"{ADDED}{feature}", f"{WIDTH}{feature}")]
        extra = [name for name in (*extra, WIDEST) if self.is_added(name)]
        return pa.schema([*self._own, *(pa.field(name, pa.float64()) for name in extra)])

    def known(self, names: Sequence[str]) -> pa.Schema:
        """The same with those of `names` that are there beside, such as what a word adds."""
        known = self.schema
        extra = [name for name in dict.fromkeys(names) if name not in known.names and self.is_added(name)]
        return pa.schema([*known, *(pa.field(name, pa.float64()) for name in extra)])

    def is_added(self, name: str) -> bool:
        """Whether it is what a feature adds, or half of its interval."""
        if name in self._names:
            return False
        if name.startswith(ADDED):
            return self._long or f"{WIDE_PREFIX}{name.removeprefix(ADDED)}" in self._names
        return self._long and (name.startswith(WIDTH) or name == WIDEST)

    def needed(self, names: Sequence[str]) -> list[str]:
        """The columns of the files from which these come."""
        found: list[str] = []
        for name in names:
            if not self.is_added(name):
                found.append(name)
            elif self._long:
                found += [LONG, *([self._label] if self._label else [])]
            else:
                found.append(f"{WIDE_PREFIX}{name.removeprefix(ADDED)}")
        return [name for name in dict.fromkeys(found) if name in self._names]

    def values(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """One value a row, null where there is none."""
        if not self.is_added(name):
            return batch.column(name)
        if not self._long:
            return batch.column(f"{WIDE_PREFIX}{name.removeprefix(ADDED)}")
        items = long_items(batch.column(LONG))
        if self._label:
            items = items.filter(pc.equal(items["class"], batch.column(self._label).take(items["row"])))
        if name == WIDEST:
            return _widest(items, batch.num_rows)
        feature = name.partition(".")[2]
        own = items.filter(pc.equal(items["feature"], feature))
        values = own["value"] if name.startswith(ADDED) else half_widths(own)
        return values.take(pc.index_in(_places(batch.num_rows), own["row"])).combine_chunks()

    def batch(self, batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        """The columns of these names, as a condition reads them."""
        arrays = [self.values(batch, name) for name in names]
        return pa.RecordBatch.from_arrays([_array(each) for each in arrays], names=list(names))


def long_items(lists: pa.Array) -> pa.Table:
    """Each feature of each row: "row", its place in the batch, "class" if there is one, and the other `_FIELDS`."""
    items = pc.list_flatten(lists)
    names = [field.name for field in items.type if field.name in ("class", *_FIELDS)]
    arrays = [pc.struct_field(items, name) for name in names]
    return pa.table([pc.list_parent_indices(lists), *arrays], names=["row", *names])


def half_widths(items: pa.Table) -> pa.ChunkedArray:
    """Half of each interval."""
    return pc.multiply(pc.subtract(items["upper"], items["lower"]), 0.5)


def _widest(items: pa.Table, rows: int) -> pa.Array:
    table = pa.table({"row": items["row"], "width": half_widths(items)})
    widest = table.group_by("row", use_threads=False).aggregate([("width", "max")])
    return _array(widest["width_max"].take(pc.index_in(_places(rows), widest["row"])))


def _places(rows: int) -> pa.Array:
    return pa.array(range(rows), pa.int64())


def _array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
