"""Turns typed columns into the network's inputs: numbers with NaN where missing, and category codes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import MISSING_CODE, UNKNOWN_CODE, TableRows, category_codes
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import Column, ColumnType, Table

_LARGEST_NUMBER = 1e30  # as the network bends larger ones


@dataclass(frozen=True)
class ColumnSchema:
    """A column as the model knows it, by the training rows."""

    name: str
    type: ColumnType
    categories: tuple[str, ...]  # empty for numbers
    group: str  # columns with the same group are explained as one; empty: on its own
    may_be_missing: bool

    def as_message(self) -> bundle_pb2.ColumnSchema:
        """As run.json and the bundle list it."""
        column_type = bundle_pb2.ColumnType.Value(f"COLUMN_TYPE_{self.type.upper()}")
        return bundle_pb2.ColumnSchema(**{**vars(self), "type": column_type, "group": self.group or None})


def learn_schema(train: Table, config: TableDataConfig) -> list[ColumnSchema]:
    """What the training rows say of each column."""
    group_of = {name: group for group, names in config.groups.items() for name in names}
    return [
        ColumnSchema(
            column.name,
            column.type,
            _categories(column, config.maximum_categories),
            group_of.get(column.name, ""),
            bool(column.missing().any()),
        )
        for column in train.columns
    ]


def encode(table: Table, schema: Sequence[ColumnSchema]) -> TableRows:
    """A table in the network's form; categories that the schema does not know have code 0."""
    numbers = [column.values for column in table.columns if column.type == "number"]
    codes = [_codes(column, one) for column, one in zip(table.columns, schema, strict=True) if one.type != "number"]
    stacked = np.stack(numbers, axis=1) if numbers else np.empty((len(table), 0))
    return TableRows(
        np.clip(stacked, -_LARGEST_NUMBER, _LARGEST_NUMBER).astype(np.float32),
        np.stack(codes, axis=1) if codes else np.empty((len(table), 0), dtype=np.int64),
    )


def _categories(column: Column, maximum: int) -> tuple[str, ...]:
    """The declared ones, or those found, sorted; the most frequent when there are too many."""
    if column.type == "number" or column.order:
        return column.order
    counts = Counter(value for value in column.values if value is not None)
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:maximum]
    return tuple(sorted(frequent))


def _codes(column: Column, schema: ColumnSchema) -> NDArray[np.int64]:
    code_of: dict[str | None, int] = {None: MISSING_CODE}
    code_of.update(category_codes(schema.categories).items())
    return np.array([code_of.get(value, UNKNOWN_CODE) for value in column.values], dtype=np.int64)
