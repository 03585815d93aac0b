"""Rows of a table as the graph's inputs, by the bundle's schema only.

Export makes its comparisons through this path and not through the training code, so that what is compared is what a
server can do with a bundle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2

UNKNOWN_CODE = 0
MISSING_CODE = 1
FIRST_CATEGORY_CODE = 2
NUMBERS_NAME, CODES_NAME = "numbers", "codes"

_LARGEST_NUMBER = float(np.finfo(np.float32).max)


class CellError(ValueError):
    """A row does not fit the schema; the message names the column."""


@dataclass(frozen=True)
class TableRows:
    """Rows in the graph's form."""

    numbers: NDArray[np.float32]  # [rows, number columns], NaN where missing
    codes: NDArray[np.int64]  # [rows, other columns], 0 unknown, 1 missing, 2 + k the k-th category

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: "Sequence[int] | NDArray[np.intp]") -> "TableRows":
        return TableRows(self.numbers[rows], self.codes[rows])

    @staticmethod
    def concatenated(parts: "Sequence[TableRows]") -> "TableRows":
        """One after the other."""
        return TableRows(
            np.concatenate([part.numbers for part in parts]), np.concatenate([part.codes for part in parts])
        )

    def feeds(self) -> dict[str, NDArray[Any]]:
        """The graph's inputs; one without columns does not exist."""
        inputs: dict[str, NDArray[Any]] = {NUMBERS_NAME: self.numbers, CODES_NAME: self.codes}
        return {name: values for name, values in inputs.items() if values.shape[1]}


class TooLargeError(CellError):
    """A number is beyond what the graph's 32-bit inputs hold; a server refuses such rows."""


def number_columns(schema: bundle_pb2.TabularSchema) -> list[bundle_pb2.ColumnSchema]:
    """The columns of "numbers", in order."""
    return [column for column in schema.columns if column.type == bundle_pb2.COLUMN_TYPE_NUMBER]


def code_columns(schema: bundle_pb2.TabularSchema) -> list[bundle_pb2.ColumnSchema]:
    """The columns of "codes", in order."""
    return [column for column in schema.columns if column.type != bundle_pb2.COLUMN_TYPE_NUMBER]


def encode(rows: Sequence[Mapping[str, Any]], schema: bundle_pb2.TabularSchema) -> TableRows:
    """Rows of cells by column name: a number, the name of a category, true or false, or None where missing.

    Raises CellError when a row lacks a column or has another one, or a cell is not of its column's type, and
    TooLargeError when a number is too large.
    """
    names = {column.name for column in schema.columns}
    for row in rows:
        if wrong := sorted(names ^ row.keys()):
            raise CellError(f"the column {wrong[0]!r} is {'missing' if wrong[0] in names else 'not in the schema'}")
    numbers, codes = number_columns(schema), code_columns(schema)
    places = [{name: FIRST_CATEGORY_CODE + k for k, name in enumerate(column.categories)} for column in codes]
    return TableRows(
        np.array([[_number(row, column) for column in numbers] for row in rows], dtype=np.float32).reshape(
            len(rows), len(numbers)
        ),
        np.array(
            [[_code(row, *column) for column in zip(codes, places, strict=True)] for row in rows], dtype=np.int64
        ).reshape(len(rows), len(codes)),
    )


def _number(row: Mapping[str, Any], column: bundle_pb2.ColumnSchema) -> float:
    value = row[column.name]
    if value is None:
        return nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CellError(f"{column.name!r} is a number column and holds {value!r}")
    if not isfinite(value) or abs(value) > _LARGEST_NUMBER:
        raise TooLargeError(f"{column.name!r} holds {value!r}, which the model's 32-bit numbers cannot")
    return float(value)


def _code(row: Mapping[str, Any], column: bundle_pb2.ColumnSchema, codes: Mapping[str, int]) -> int:
    value = row[column.name]
    if value is None:
        return MISSING_CODE
    if column.type == bundle_pb2.COLUMN_TYPE_BOOLEAN and isinstance(value, bool):
        return codes["true" if value else "false"]
    if not isinstance(value, str):
        raise CellError(f"{column.name!r} is a column of categories and holds {value!r}")
    return codes.get(value, UNKNOWN_CODE)
