"""Turns typed columns into the network's inputs: numbers with NaN where missing, and category codes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.date_notation import DateNotation
from explicate_bundle.cells.number_notation import NumberNotation
from explicate_bundle.columns import MISSING_CODE, UNKNOWN_CODE, TableRows, category_codes
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import NUMERIC_TYPES, Column, ColumnType, Table
from explicate_training.table.date_parts import DatePlaces

_LARGEST_NUMBER = 1e30  # as the network bends larger ones


@dataclass(frozen=True)
class ColumnSchema:
    """A column as the model knows it, by the training rows."""

    name: str
    type: ColumnType
    categories: tuple[str, ...]  # empty for numbers
    group: str  # columns with the same group are explained as one; empty: on its own
    may_be_missing: bool
    notation: NumberNotation | DateNotation | None = None
    missing_words: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers of the network's input, and not codes."""
        return self.type in NUMERIC_TYPES

    def as_message(self) -> bundle_pb2.ColumnSchema:
        """As run.json and the bundle list it."""
        message = bundle_pb2.ColumnSchema(
            name=self.name,
            type=bundle_pb2.ColumnType.Value(f"COLUMN_TYPE_{self.type.upper()}"),
            categories=self.categories,
            group=self.group or None,
            may_be_missing=self.may_be_missing,
            missing_words=self.missing_words,
        )
        if isinstance(self.notation, NumberNotation):
            message.number_notation.CopyFrom(self.notation.as_message())
        elif self.notation is not None:
            message.date_notation.CopyFrom(self.notation.as_message())
        return message


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
            column.notation,
            column.missing_words,
        )
        for column in train.columns
    ]


def encode(table: Table, schema: Sequence[ColumnSchema]) -> TableRows:
    """A table in the network's form; categories that the schema does not know have code 0."""
    numbers = [column.values for column in table.columns if column.type in NUMERIC_TYPES]
    codes = [_codes(column, one) for column, one in zip(table.columns, schema, strict=True) if not one.is_numeric]
    stacked = np.stack(numbers, axis=1) if numbers else np.empty((len(table), 0))
    return TableRows(
        np.clip(stacked, -_LARGEST_NUMBER, _LARGEST_NUMBER).astype(np.float32),
        np.stack(codes, axis=1) if codes else np.empty((len(table), 0), dtype=np.int64),
    )


def date_places(schema: Sequence[ColumnSchema]) -> DatePlaces:
    """Which of the network's numbers are dates."""
    numeric = [one for one in schema if one.is_numeric]
    times = [isinstance(one.notation, DateNotation) and one.notation.time for one in numeric]
    return DatePlaces.of([one.type for one in numeric], times)


def _categories(column: Column, maximum: int) -> tuple[str, ...]:
    """The declared ones, or those found, sorted; the most frequent when there are too many."""
    if column.type in NUMERIC_TYPES or column.order:
        return column.order
    counts = Counter(value for value in column.values if value is not None)
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:maximum]
    return tuple(sorted(frequent))


def _codes(column: Column, schema: ColumnSchema) -> NDArray[np.int64]:
    code_of: dict[str | None, int] = {None: MISSING_CODE}
    code_of.update(category_codes(schema.categories).items())
    return np.array([code_of.get(value, UNKNOWN_CODE) for value in column.values], dtype=np.int64)
