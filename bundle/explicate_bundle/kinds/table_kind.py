"""Bundles of models that read rows of a table.

``golden.npz`` holds ``numbers`` float32[rows, number and date columns] and ``codes`` int64[rows, other columns] in the
graph's form (see `TabularSchema`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import TreeSums
from explicate_bundle.cells.date_notation import DateNotation
from explicate_bundle.cells.number_notation import NumberNotation
from explicate_bundle.columns import NUMERIC_TYPES, TableColumns, TableRows
from explicate_bundle.errors import BundleError
from explicate_bundle.files.baseline_rows import MOST_BASELINES, baseline_name_problem, read_baselines
from explicate_bundle.files.tree_arrays import TreeArrays, read_trees
from explicate_bundle.kinds.kind import Arrays, Check, InputTalk
from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_bundle.objective import OBJECTIVES
from explicate_bundle.table_arrays import Background, read_background, read_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, BASELINES_NAME, LIME_NAME, TREES_NAME

_MAX_COLUMNS = 10_000
_MAX_BACKGROUND_ROWS = 1024
_BOOLEAN = ["false", "true"]
_DATE = bundle_pb2.COLUMN_TYPE_DATE


class TableKind:
    """See :class:`explicate_bundle.kinds.kind.InputKind`."""

    name = "table"
    number: int = bundle_pb2.INPUT_KIND_TABULAR
    field = "tabular"
    talk = InputTalk(
        "row", "rows", "reads a row of a table", "columns", "from another source, of other people or things, or later"
    )
    plural = "rows"
    outputs_array = "outputs"
    attributed_array = "attribution_rows"
    has_segments = False

    def files(self, manifest: bundle_pb2.Bundle) -> Sequence[str]:
        """The background, and what lime draws rows from, the trees and the baselines if the bundle has them."""
        tabular = manifest.tabular
        more = {
            LIME_NAME: tabular.lime_statistics,
            TREES_NAME: tells_trees(tabular),
            BASELINES_NAME: bool(tabular.baselines),
        }
        return [BACKGROUND_NAME, *(name for name, there in more.items() if there)]

    def checks(self, manifest: bundle_pb2.Bundle) -> Iterator[Check]:
        """What must hold of the columns."""
        columns, rows = manifest.tabular.columns, manifest.tabular.background_rows
        yield 1 <= len(columns) <= _MAX_COLUMNS, f"{len(columns)} tabular.columns"
        yield len({column.name for column in columns}) == len(columns), "names in tabular.columns repeat"
        yield 1 <= rows <= _MAX_BACKGROUND_ROWS, f"tabular.background_rows is {rows}"
        for column in columns:
            yield from _column_checks(column, f"tabular.columns[{column.name}]")
        names = {column.name for column in columns}
        for left_out in manifest.tabular.left_out:
            apart = not left_out.forbidden or left_out.name not in names
            yield apart, f"tabular.left_out forbids {left_out.name!r}, which the model reads"
        yield from _baseline_checks(manifest.tabular)
        yield from _form_checks(manifest)

    def check_contents(self, folder: Path, manifest: bundle_pb2.Bundle) -> None:
        """Background and statistics are of the manifest's columns."""
        read_background(folder / BACKGROUND_NAME, manifest.tabular)
        if manifest.tabular.lime_statistics:
            read_lime_statistics(folder / LIME_NAME, manifest.tabular)
        read_baselines_of(folder, manifest.tabular)
        read_trees_of(folder, manifest)

    def pack(self, inputs: Sequence[ModelInput], manifest: bundle_pb2.Bundle) -> dict[str, NDArray[Any]]:
        """Numbers and codes; both are exact, for the values of golden rows were numbers and codes."""
        columns = TableColumns(manifest.tabular)
        rows = np.stack([columns.row_of(value.cells) for value in inputs if isinstance(value, TabularInput)])
        return {
            "numbers": rows[:, : columns.numbers].astype(np.float32),
            "codes": rows[:, columns.numbers :].astype(np.int64),
        }

    def unpack(self, arrays: Arrays, manifest: bundle_pb2.Bundle) -> tuple[ModelInput, ...]:
        """Rows whose cells make these numbers and codes."""
        columns = TableColumns(manifest.tabular)
        rows = TableRows(arrays["numbers"].astype(np.float32), arrays["codes"].astype(np.int64))
        if not columns.fits(rows.numbers, rows.codes):
            raise BundleError("golden.npz has rows that are not of the manifest's columns")
        return columns.inputs_of(rows)


def tells_trees(schema: bundle_pb2.TabularSchema) -> bool:
    """Whether the outputs are a sum of trees, which trees.npz holds."""
    return schema.HasField("trees") and not schema.trees.missing


def told_by(schema: bundle_pb2.TabularSchema) -> set[str]:
    """What a model tells of itself, so that explanations need not ask for coalitions."""
    return {
        name for name, there in {"contributions": schema.contributions, "trees": tells_trees(schema)}.items() if there
    }


def read_trees_of(folder: Path, manifest: bundle_pb2.Bundle) -> TreeArrays | None:
    """The trees that the outputs are a sum of; None of a model that has none, or cannot tell them.

    Raises:
        BundleError: they are not in the format.
    """
    schema = manifest.tabular
    if not tells_trees(schema):
        return None
    outputs, players = len(manifest.class_labels) or 1, len(TableColumns(schema).players)
    return read_trees(folder / TREES_NAME, schema.trees, players=players, outputs=outputs)


def read_baselines_of(folder: Path, schema: bundle_pb2.TabularSchema) -> Mapping[str, Background]:
    """The groups of rows that explanations may be set against, by name; empty of a model that has none.

    Raises:
        BundleError: they are not in the format.
    """
    return read_baselines(folder / BASELINES_NAME, schema) if schema.baselines else {}


def _baseline_checks(tabular: bundle_pb2.TabularSchema) -> Iterator[Check]:
    names = [group.name for group in tabular.baselines]
    yield len(names) <= MOST_BASELINES, f"{len(names)} tabular.baselines; at most {MOST_BASELINES} are possible"
    yield len(set(names)) == len(names), "names in tabular.baselines repeat"
    for group in tabular.baselines:
        yield not baseline_name_problem(group.name), f"tabular.baselines: {baseline_name_problem(group.name)}"
        yield 1 <= group.rows <= _MAX_BACKGROUND_ROWS, f"tabular.baselines[{group.name}].rows is {group.rows}"


def _form_checks(manifest: bundle_pb2.Bundle) -> Iterator[Check]:
    tabular = manifest.tabular
    yield tabular.form in bundle_pb2.TabularForm.values(), f"tabular.form {tabular.form} is not known"
    additive = tabular.form == bundle_pb2.TABULAR_FORM_ADDITIVE
    yield additive or not tabular.contributions, "tabular.contributions without tabular.form TABULAR_FORM_ADDITIVE"
    alone = not (tabular.contributions and tells_trees(tabular))
    yield alone, "tabular.contributions and tabular.trees, of which only one can be"
    untold = TreeSums(missing=tabular.trees.missing)
    yield not tabular.trees.missing or tabular.trees == untold, "tabular.trees says what is missing and what is there"
    regression = not any(one.number == manifest.objective and one.least_labels for one in OBJECTIVES.values())
    yield not (tabular.trees.probabilities and regression), "tabular.trees has probabilities of a regression"
    for column in tabular.columns:
        if not column.HasField("monotone"):
            continue
        path, label = f"tabular.columns[{column.name}].monotone", column.monotone.label
        yield column.type == bundle_pb2.COLUMN_TYPE_NUMBER, f"{path} is set, but the column is not of numbers"
        classes = any(one.answer == "class" and one.number == manifest.objective for one in OBJECTIVES.values())
        yield column.monotone.HasField("label") == classes, f"{path}.label is for classes, and needed there"
        yield not classes or label in manifest.class_labels, f"{path}.label {label!r} is not a class"


def _column_checks(column: bundle_pb2.ColumnSchema, path: str) -> Iterator[Check]:
    categories = list(column.categories)
    yield bool(column.name), "a name in tabular.columns is empty"
    yield len(set(categories)) == len(categories), f"categories of {path} repeat"
    yield from _notation_checks(column, path)
    if column.type in NUMERIC_TYPES:
        yield not categories, f"{path} has numbers and categories"
    elif column.type == bundle_pb2.COLUMN_TYPE_BOOLEAN:
        yield categories == _BOOLEAN, f"categories of {path} are {categories}, not {_BOOLEAN}"
    else:
        known = column.type in (bundle_pb2.COLUMN_TYPE_CATEGORY, bundle_pb2.COLUMN_TYPE_ORDINAL)
        yield known, f"type {column.type} of {path} is not known"
        yield bool(categories), f"{path} has no categories"


def _notation_checks(column: bundle_pb2.ColumnSchema, path: str) -> Iterator[Check]:
    is_date, is_number = (column.type == wanted for wanted in (_DATE, bundle_pb2.COLUMN_TYPE_NUMBER))
    yield column.HasField("date_notation") == is_date, f"{path} is a date, or has date_notation, without the other"
    yield is_number or not column.HasField("number_notation"), f"{path} has number_notation and is not a number"
    if column.HasField("number_notation"):
        for fault in NumberNotation.of(column.number_notation).faults():
            yield False, f"number_notation.{fault} in {path}"
    if is_date:
        for fault in DateNotation.of(column.date_notation).faults():
            yield False, f"date_notation.{fault} in {path}"


TABLE = TableKind()
