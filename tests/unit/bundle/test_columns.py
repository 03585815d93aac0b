"""The cells of a table's files become numbers and codes, and what does not fit a column is named."""

import math
from typing import Any

import numpy as np
import pytest

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.cell_readers import CellError
from explicate_bundle.columns import TableColumns, TableRows
from support.tiny_table_run import COLUMNS, category, number

ROW = {"city": "Köln", "age": 30, "member": True, "income": 1.5, "size": "large", "distance": -2}


def _schema(*columns: dict[str, Any]) -> bundle_pb2.TabularSchema:
    types = bundle_pb2.ColumnType
    return bundle_pb2.TabularSchema(
        columns=[
            bundle_pb2.ColumnSchema(
                name=column["name"],
                type=types.Value(f"COLUMN_TYPE_{column['type'].upper()}"),
                categories=column["categories"],
            )
            for column in columns
        ]
    )


def encoded_rows(rows: list[dict[str, Any]], *columns: dict[str, Any]) -> TableRows:
    return TableColumns(_schema(*columns)).encoded(rows)


def test_cells_become_numbers_and_codes_in_the_schemas_order() -> None:
    rows = [ROW, {**ROW, "city": "Rome", "member": None, "age": None, "size": None}, {**ROW, "member": "false"}]
    encoded = encoded_rows(rows, *COLUMNS)
    np.testing.assert_array_equal(encoded.numbers, np.float32([[30, 1.5, -2], [math.nan, 1.5, -2], [30, 1.5, -2]]))
    np.testing.assert_array_equal(encoded.codes, [[3, 3, 4], [0, 1, 1], [3, 2, 4]])
    assert (encoded.numbers.dtype, encoded.codes.dtype) == (np.float32, np.int64)
    assert list(encoded.feeds()) == ["numbers", "codes"]


@pytest.mark.parametrize(
    ("column", "cell", "name", "shape"),
    [(number("x"), 1.0, "codes", (2, 0)), (category("x", "a"), "a", "numbers", (2, 0))],
)
def test_input_without_columns_is_empty_and_not_fed(
    column: dict[str, Any], cell: Any, name: str, shape: tuple[int, int]
) -> None:
    encoded = encoded_rows([{"x": cell}, {"x": None}], column)
    assert getattr(encoded, name).shape == shape
    assert name not in encoded.feeds()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"age": "thirty"}, "'age' is 'thirty'; this column takes numbers, such as 1234.5"),
        ({"age": True}, "'age' is 'true'; this column takes numbers"),
        ({"age": 1e308}, "'age' is 1e\\+308; the model reads numbers from"),
        ({"age": 10**400}, "'age' is inf; the model reads numbers from"),
        ({"age": math.inf}, "'age' is inf"),
        ({"age": math.nan}, "'age' is NaN"),
        ({"city": 3}, "'city' is a number; this column takes categories, 'Ghent', 'Köln'"),
        ({"wage": 3}, "'wage' is not in the schema"),
    ],
)
def test_cell_that_does_not_fit_is_named(cells: dict[str, Any], message: str) -> None:
    with pytest.raises(CellError, match=message):
        encoded_rows([{**ROW, **cells}], *COLUMNS)


def test_row_without_a_column_is_refused() -> None:
    with pytest.raises(CellError, match="'size' is missing"):
        encoded_rows([{name: cell for name, cell in ROW.items() if name != "size"}], *COLUMNS)


def test_rows_become_inputs_that_become_the_same_rows() -> None:
    rows = encoded_rows([ROW, {**ROW, "city": "Rome", "member": None, "age": None, "distance": -0.0}], *COLUMNS)
    columns = TableColumns(_schema(*COLUMNS))
    again = np.stack([columns.row_of(value.cells) for value in columns.inputs_of(rows)])
    np.testing.assert_array_equal(again[:, :3].astype(np.float32).view(np.int32), rows.numbers.view(np.int32))
    np.testing.assert_array_equal(again[:, 3:], rows.codes)
