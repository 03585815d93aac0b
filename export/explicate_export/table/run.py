"""The run directory of a model of tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any  # JSON values

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import CellError, TableColumns, TableRows, TooLargeError
from explicate_bundle.errors import BundleError
from explicate_bundle.table_arrays import Background, read_background, read_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, LIME_NAME
from explicate_export.errors import UsageError
from explicate_export.training_run import (
    HELD_OUT_NAME,
    UNFINISHED,
    TrainingRun,
    check_files,
    field,
    read_labels,
    read_lines,
    read_run,
)

KINDS = {
    "tabular-classification": bundle_pb2.MODEL_KIND_TABULAR_CLASSIFICATION,
    "tabular-multi-label": bundle_pb2.MODEL_KIND_TABULAR_MULTI_LABEL,
    "tabular-regression": bundle_pb2.MODEL_KIND_TABULAR_REGRESSION,
}
_TYPES = {
    "number": bundle_pb2.COLUMN_TYPE_NUMBER,
    "category": bundle_pb2.COLUMN_TYPE_CATEGORY,
    "boolean": bundle_pb2.COLUMN_TYPE_BOOLEAN,
    "ordinal": bundle_pb2.COLUMN_TYPE_ORDINAL,
}


@dataclass(frozen=True)
class TabularRun:
    """A finished run that trained a network on a table."""

    training: TrainingRun
    kind: int  # a bundle_pb2.ModelKind
    labels: tuple[str, ...]  # by output; empty for regression
    target_name: str  # the column that is predicted
    schema: bundle_pb2.TabularSchema
    background: Background
    held_out: TableRows  # of the test split, in file order
    held_out_targets: tuple[float, ...]  # of regression, one per row; empty for classification

    @property
    def regression(self) -> bool:
        """Whether a number is predicted, not a class."""
        return self.kind == bundle_pb2.MODEL_KIND_TABULAR_REGRESSION


def read_tabular_run(directory: Path) -> TabularRun:
    """Raises UsageError, naming the file and what it lacks, when it is not a finished run."""
    run = read_run(directory)
    check_files(run.model_directory, ("config.json", "model.safetensors"))
    kind = KINDS[field(run.settings, "kind", str, run.file)]
    labels = read_labels(run)
    schema = bundle_pb2.TabularSchema(columns=_columns(run))
    try:
        background = read_background(directory / BACKGROUND_NAME, schema)
        schema.background_rows = len(background)
        # A run from before there were statistics has none, and its model no lime.
        schema.lime_statistics = (directory / LIME_NAME).exists()
        if schema.lime_statistics:
            read_lime_statistics(directory / LIME_NAME, schema)
    except BundleError as error:
        raise UsageError(f"{directory}: {error}, so train again") from None
    held_out, targets = _held_out(directory / HELD_OUT_NAME, schema, regression=not labels)
    return TabularRun(
        training=run,
        kind=kind,
        labels=labels,
        target_name=field(run.settings, "target_name", str, run.file),
        schema=schema,
        background=background,
        held_out=held_out,
        held_out_targets=targets,
    )


def _columns(run: TrainingRun) -> list[bundle_pb2.ColumnSchema]:
    listed = field(run.settings, "columns", list, run.file)
    columns = [_column(value, f"columns[{index}]", run.file) for index, value in enumerate(listed)]
    names = [column.name for column in columns]
    if not columns or len(set(names)) < len(names):
        raise UsageError(f"{run.file}: 'columns' must be columns of different names: train again")
    return columns


def _column(value: Any, place: str, path: Path) -> bundle_pb2.ColumnSchema:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {place} is not an object: {UNFINISHED}")
    kind = value.get("type")
    if kind not in _TYPES:
        raise UsageError(f"{path}: {place}.type is {kind!r}, not one of {', '.join(_TYPES)}: train again")
    categories = field(value, "categories", list, path)
    if not all(isinstance(name, str) for name in categories) or len(set(categories)) < len(categories):
        raise UsageError(f"{path}: {place}.categories must be different names: train again")
    _check_categories(kind, categories, f"{path}: {place}.categories")
    name: str = field(value, "name", str, path)
    if not name:
        raise UsageError(f"{path}: {place}.name is empty: train again")
    return bundle_pb2.ColumnSchema(
        name=name,
        type=_TYPES[kind],
        categories=categories,
        group=field(value, "group", str, path) or None,
        may_be_missing=field(value, "may_be_missing", bool, path),
    )


def _check_categories(kind: str, categories: Sequence[str], place: str) -> None:
    if kind == "number" and categories:
        raise UsageError(f"{place} must be [] for a number column: train again")
    if kind == "boolean" and categories != ["false", "true"]:
        raise UsageError(f'{place} must be ["false", "true"] for a boolean column: train again')
    if kind != "number" and not categories:
        raise UsageError(f"{place} must name at least one category: train again")


def _held_out(path: Path, schema: bundle_pb2.TabularSchema, *, regression: bool) -> tuple[TableRows, tuple[float, ...]]:
    """The rows of the test split, and their targets when those are numbers."""
    columns = TableColumns(schema)
    rows, targets = [], []
    for place, value in read_lines(path):
        if not isinstance(value, dict) or not isinstance(value.get("row"), dict):
            raise UsageError(f'{place}: not an object with a "row": {UNFINISHED}')
        try:
            rows.append(columns.encoded([value["row"]]))
        except TooLargeError:
            continue  # there is nothing to compare
        except CellError as error:
            raise UsageError(f"{place}: {error}, so train again") from None
        if regression:
            targets.append(_target(value, place))
    if not rows:
        raise UsageError(f"{path} has no rows, and the export must be compared on some: {UNFINISHED}")
    return TableRows.concatenated(rows), tuple(targets)


def _target(value: Mapping[str, Any], place: str) -> float:
    target = value.get("label")
    if not isinstance(target, int | float) or isinstance(target, bool) or not isfinite(target):
        raise UsageError(f'{place}: "label" is not a finite number: {UNFINISHED}')
    return float(target)
