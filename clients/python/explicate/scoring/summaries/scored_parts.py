"""The parts of a folder of scored rows, read a little at a time, in whichever layout their explanations have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from explicate.errors import UsageError
from explicate.scoring.output_columns import WIDE_PREFIX
from explicate.scoring.output_folder import FAILED, SUCCESS
from explicate.scoring.run_manifest import MANIFEST

_ROWS_AT_ONCE = 4096
_OUTCOMES = ("label", "labels", "value")
_FIGURES = ("stop_reason", "evaluations")
_LONG = "explanation"
ATTRIBUTED = pa.schema([("row", pa.int64()), ("class", pa.string()), ("feature", pa.string()), ("value", pa.float64())])
"""What a feature adds to the explained output of a row: the row's place in its batch, and the class."""


@dataclass(frozen=True)
class ScoredFolder:
    """A folder of parts.

    values: from a feature to the column that has its value, where one goes along. model: its name and version, if the
    manifest says it; is_text: whether features are words. strongest: how many features of a row were kept, 0 for all.
    missing_parts: of those that the run will have; None if that is not known.
    """

    path: Path
    parts: tuple[Path, ...]
    schema: pa.Schema
    values: dict[str, str]
    model: str
    is_text: bool
    strongest: int
    missing_parts: int | None

    @property
    def outcome(self) -> str:
        """The column that says what was predicted: "label", "labels" or "value"; empty if there is none."""
        return next((name for name in _OUTCOMES if name in self.schema.names), "")

    @property
    def is_explained(self) -> bool:
        """Whether the parts have explanations."""
        return _LONG in self.schema.names or bool(self._wide)

    @property
    def _wide(self) -> list[str]:
        return [name for name in self.schema.names if name.startswith(WIDE_PREFIX)]

    def batches(self) -> Iterator[pa.Table]:
        """The columns that a summary needs, of some rows at a time, in the order of the parts."""
        wanted = [self.outcome, *_FIGURES, _LONG, *self._wide, *self.values.values()]
        names = [name for name in dict.fromkeys(wanted) if name in self.schema.names]
        for part in self.parts:
            try:
                with pq.ParquetFile(part, pre_buffer=False, buffer_size=1 << 20) as file:
                    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
                        yield pa.Table.from_batches([batch])
            except (OSError, pa.ArrowException, KeyError) as error:
                raise UsageError(f"cannot read {part}: {str(error).splitlines()[0]}") from error

    def attributed(self, rows: pa.Table) -> pa.Table:
        """What each feature adds in each row, as `ATTRIBUTED` has it; the class is the predicted one if no other is."""
        classes = self._predicted(rows)
        if _LONG in rows.column_names:
            return _of_lists(rows[_LONG].combine_chunks(), classes)
        tables = [
            _attributed(pa.array(range(rows.num_rows)), classes, pa.array([feature] * rows.num_rows), rows[name])
            for name in self._wide
            for feature in [name.removeprefix(WIDE_PREFIX)]
        ]
        return pa.concat_tables(tables) if tables else ATTRIBUTED.empty_table()

    def _predicted(self, rows: pa.Table) -> pa.Array:
        if self.outcome != "label":
            return pa.array([""] * rows.num_rows)
        return pc.fill_null(rows["label"].combine_chunks(), "")

    def failures(self) -> Iterator[pa.Table]:
        """The reasons and fields of failed rows, of some at a time."""
        for part in sorted((self.path / FAILED).glob("part-*.parquet")):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(columns=["reason", "field"]):
                    yield pa.Table.from_batches([batch])


def scored_folder(path: Path) -> ScoredFolder:
    """The folder at a path; raises UsageError for one without parts, or parts of several layouts."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder: give the --output of explicate score")
    parts = tuple(sorted(path.glob("part-*.parquet")))
    if not parts:
        raise UsageError(f"there are no parts in {path}: give the --output of explicate score, once it has some")
    schemas = {part: _schema(part) for part in parts}
    schema = schemas[parts[0]]
    for part, own in schemas.items():
        if own.names != schema.names:
            raise UsageError(f"{part} has other columns than {parts[0]}: the folder holds the parts of two runs")
    manifest = _manifest(path)
    options = manifest.get("options", {})
    rows, part_rows = (manifest.get("plan", {}).get(name, 0) for name in ("rows", "part_rows"))
    return ScoredFolder(
        path,
        parts,
        schema,
        _value_columns(schema, dict(options.get("columns") or {})),
        model=_model(manifest.get("model", {})),
        is_text=str(manifest.get("model", {}).get("kind", "")).startswith("text"),
        strongest=int(options.get("top") or 0),
        missing_parts=-(-rows // part_rows) - len(parts) if rows and part_rows else _unknown_unless_done(path),
    )


def _unknown_unless_done(path: Path) -> int | None:
    return 0 if (path / SUCCESS).exists() else None


def _schema(part: Path) -> pa.Schema:
    try:
        return pq.read_schema(part)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"cannot read {part}: {str(error).splitlines()[0]}") from error


def _manifest(path: Path) -> dict[str, Any]:  # Any: whatever JSON holds
    """The manifest of the run, or nothing: parts that were moved are summed up, too."""
    try:
        held = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _model(told: dict[str, Any]) -> str:
    return f"{told['name']} version {told['version']}" if "name" in told and "version" in told else ""


def _value_columns(schema: pa.Schema, columns: dict[str, str]) -> dict[str, str]:
    """The column that has the value of each feature that may be one of the model's, by the feature's name."""
    features = {name: columns.get(name, name) for name in (*columns, *schema.names)}
    return {feature: column for feature, column in features.items() if column in schema.names}


def _of_lists(lists: pa.Array, predicted: pa.Array) -> pa.Table:
    rows = pc.list_parent_indices(lists)
    items = pc.list_flatten(lists)
    own = [items.type.field(place).name for place in range(items.type.num_fields)]
    classes = pc.struct_field(items, "class") if "class" in own else predicted.take(rows)
    return _attributed(rows, classes, pc.struct_field(items, "feature"), pc.struct_field(items, "value"))


def _attributed(rows: pa.Array, classes: pa.Array, features: pa.Array, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    table = pa.table([rows, classes, features, values], names=ATTRIBUTED.names).cast(ATTRIBUTED)
    return table.filter(pc.is_valid(table["value"]))
