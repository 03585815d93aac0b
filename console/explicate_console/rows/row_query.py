"""Which rows a filter and a search choose, and in which order."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from explicate.errors import UsageError
from explicate.reading.nearest import nearest
from explicate.scoring.conditions.condition import BadCondition, ClassProbability, ExplainIf, Named
from explicate.scoring.conditions.grammar import condition_of
from explicate_console.rows.row_columns import Columns
from explicate_console.rows.row_errors import RowsRefused, Stop, invalid
from explicate_console.rows.row_folders import RowFiles, Snapshot, Unit

MOST_ORDERED = 5_000_000
_MOST_FILTER, _MOST_SEARCH = 4000, 200
_TEXT_KEY = 64  # code units of a text by which rows are ordered


@dataclass(frozen=True)
class Query:
    """The rows a request is about: a condition of the grammar and a text that some column contains, both perhaps empty.

    failed: rows without an answer, instead of those with one.
    """

    filter: str = ""
    search: str = ""
    failed: bool = False

    def files(self, snapshot: Snapshot) -> RowFiles:
        """The files that have them."""
        return snapshot.failures if self.failed else snapshot.answered


@dataclass(frozen=True)
class Selection:
    """The chosen rows of each row group by their places in it; None for all of them."""

    units: tuple[Unit, ...]
    places: tuple[pa.Array | None, ...]

    @property
    def counts(self) -> list[int]:
        """How many are chosen of each row group."""
        return [unit.rows if own is None else len(own) for unit, own in zip(self.units, self.places, strict=True)]

    @property
    def total(self) -> int:
        """How many are chosen."""
        return sum(self.counts)

    def at(self, ordinals: Sequence[int]) -> list[tuple[int, int]]:
        """For the n-th chosen rows the number of their row group and their place in it."""
        ends = list(accumulate(self.counts))
        found = []
        for ordinal in ordinals:
            unit = bisect_right(ends, ordinal)
            place = ordinal - (ends[unit - 1] if unit else 0)
            own = self.places[unit]
            found.append((unit, place if own is None else own[place].as_py()))
        return found

    def batches(self, files: RowFiles, columns: Sequence[str], stop: Stop) -> Iterator[pa.RecordBatch]:
        """The chosen rows, a row group at a time."""
        for unit, own in zip(self.units, self.places, strict=True):
            stop.check()
            if own is None or len(own):
                batch = files.read(unit, columns)
                yield batch if own is None else batch.take(own)


def choose(snapshot: Snapshot, query: Query, stop: Stop) -> Selection:
    """The rows of a query; raises RowsRefused for a filter that cannot be read, with the place."""
    files = query.files(snapshot)
    columns = Columns(snapshot, files)
    condition = _condition(query.filter, snapshot, columns)
    searched = _searched(query.search, files)
    if condition is None and not searched:
        return Selection(files.units, (None,) * len(files.units))
    named = _named(condition.part) if condition else []
    needed = [*columns.needed(named), *searched]
    chosen = []
    for unit in files.units:
        stop.check()
        batch = files.read(unit, needed)
        found = pa.scalar(value=True)
        if condition is not None:
            found = condition.part.values(columns.batch(batch, named))
        if searched:
            found = pc.and_kleene(found, _contains(batch, searched, query.search))
        chosen.append(_places(found, unit.rows))
    return Selection(files.units, tuple(chosen))


def order(snapshot: Snapshot, query: Query, selection: Selection, by: str, *, descending: bool, stop: Stop) -> pa.Array:
    """The numbers of the chosen rows in the order of a column, rows without a value last; raises RowsRefused."""
    if selection.total > MOST_ORDERED:
        raise RowsRefused(
            "failed_precondition", f"more than {MOST_ORDERED:,} rows are to be sorted: choose fewer by a filter"
        )
    files = query.files(snapshot)
    columns = Columns(snapshot, files)
    check_name(by, columns, "sort")
    kind = columns.known([by]).field(by).type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise invalid("sort", f"rows are not in an order by {by}, which holds {kind}")
    keys = [_key(columns.values(batch, by)) for batch in selection.batches(files, columns.needed([by]), stop)]
    if not keys:
        return pa.array([], pa.uint64())
    table = pa.table({"key": pa.chunked_array(keys)})
    return pc.sort_indices(table, sort_keys=[("key", "descending" if descending else "ascending")])


def check_name(name: str, columns: Columns, field: str) -> None:
    """Raise RowsRefused for a name that is not there, with the one that was perhaps meant."""
    known = columns.known([name])
    if known.names.count(name) == 1:
        return
    close = nearest(name, known.names, most=1)
    raise invalid(field, f"there is no column {name}" + (f" (did you mean {close[0]}?)" if close else ""))


def _condition(text: str, snapshot: Snapshot, columns: Columns) -> ExplainIf | None:
    if not text.strip():
        return None
    if len(text) > _MOST_FILTER:
        raise invalid("filter", f"a filter has at most {_MOST_FILTER:,} characters")
    try:
        condition = condition_of(text, snapshot.manifest.model.class_labels, option="filter")
        condition.check(columns.known(_named(condition.part)))
    except UsageError as error:
        bad = error.__context__
        if isinstance(bad, BadCondition):
            raise invalid("filter", str(bad), bad.at) from None
        raise invalid("filter", str(error)) from None
    if "probabilities" in _named(condition.part) and "probabilities" not in columns.schema.names:
        raise invalid("filter", "these rows do not have probabilities")
    return condition


def _named(part: object) -> list[str]:
    """The columns that a part of a condition reads."""
    if isinstance(part, Named):
        return [part.name]
    if isinstance(part, ClassProbability):
        return ["probabilities"]
    if isinstance(part, tuple):
        return list(dict.fromkeys(name for each in part for name in _named(each)))
    if dataclasses.is_dataclass(part):
        return _named(tuple(getattr(part, field.name) for field in dataclasses.fields(part)))
    return []


def _searched(search: str, files: RowFiles) -> list[str]:
    if not search:
        return []
    if len(search) > _MOST_SEARCH:
        raise invalid("search", f"a text to search for has at most {_MOST_SEARCH} characters")
    own = ("bundle_digest", "runtime", "precision")
    names = [field.name for field in files.schema if _is_text(field.type) and field.name not in own]
    if not names:
        raise invalid("search", "these rows do not have a column of texts to search in")
    return names


def _contains(batch: pa.RecordBatch, names: Sequence[str], search: str) -> pa.Array:
    found = pa.scalar(value=False)
    for name in names:
        own = pc.match_substring(batch.column(name), search, ignore_case=True)
        found = pc.or_(found, pc.fill_null(own, fill_value=False))
    return found


def _places(found: pa.Array | pa.Scalar, rows: int) -> pa.Array | None:
    if isinstance(found, pa.Scalar):
        return None if found.as_py() is True else pa.array([], pa.int32())
    mask = pc.fill_null(found, fill_value=False)
    chosen = pc.indices_nonzero(mask)
    return None if len(chosen) == rows else chosen.cast(pa.int32())


def _key(values: pa.Array) -> pa.Array:
    kind = values.type
    if _is_text(kind):
        return pc.utf8_slice_codeunits(values, 0, _TEXT_KEY)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
    return values.cast(pa.int8()) if pa.types.is_boolean(kind) else values


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
