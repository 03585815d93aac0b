"""A typical value of each column is the weighted median or the most frequent category of the background rows."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import ColumnSchema, TabularSchema
from explicate_bundle.cells.date_notation import days_of
from explicate_bundle.columns import FIRST_CATEGORY_CODE, MISSING_CODE, UNKNOWN_CODE, TableColumns
from explicate_server.modalities.rows.typical_cells import typical_cells, weighted_median

NAN = float("nan")


def typical(column: ColumnSchema, values: list[float], weights: list[float] | None = None) -> Any:
    """Of a background with this column alone."""
    schema = TabularSchema(columns=[column])
    shares = np.array(weights or [1.0] * len(values))
    cells = typical_cells(schema, TableColumns(schema), np.array(values)[:, np.newaxis], shares / shares.sum())
    return cells[column.name]


def number() -> ColumnSchema:
    return ColumnSchema(name="age", type=bundle_pb2.COLUMN_TYPE_NUMBER)


def category(*names: str) -> ColumnSchema:
    return ColumnSchema(name="job", type=bundle_pb2.COLUMN_TYPE_CATEGORY, categories=names)


def day(order: Any = bundle_pb2.DATE_ORDER_DAY_FIRST, *, time: bool = False) -> ColumnSchema:
    notation = bundle_pb2.DateNotation(order=order, time=time)
    return ColumnSchema(name="since", type=bundle_pb2.COLUMN_TYPE_DATE, date_notation=notation)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_weighted_median_is_that_of_rows_repeated_by_their_weights(size: int) -> None:
    generator = np.random.default_rng(size)
    values, counts = generator.normal(size=size), generator.integers(1, 9, size)
    repeated = np.repeat(values, counts)
    wanted = np.percentile(repeated, 50, method="inverted_cdf")
    assert weighted_median(values, counts / counts.sum()) == wanted


def test_a_heavy_row_is_the_median_alone() -> None:
    assert typical(number(), [1.0, 2.0, 3.0], [0.1, 0.1, 0.8]) == 3.0


def test_of_two_in_the_middle_the_lower_one_is_typical_so_that_whole_numbers_stay_whole() -> None:
    assert typical(number(), [4.0, 1.0, 3.0, 2.0]) == 2.0


def test_a_number_is_told_to_a_hundredth_of_the_deviation_of_the_rows() -> None:
    values = [10.0, 34.77182, 60.0]  # their deviation is 20.4: hundredths of it are tenths
    assert typical(number(), values) == 34.8
    assert typical(number(), [1000 * value for value in values]) == 34_800
    assert typical(number(), [34.5, 34.5]) == 34.5


def test_a_number_without_a_spread_has_the_digits_of_its_32_bits() -> None:
    assert typical(number(), [float(np.float32(0.1))] * 3) == 0.1


def test_missing_is_typical_where_it_is_most_of_the_weight() -> None:
    assert typical(number(), [5.0, NAN, NAN]) is None
    assert typical(number(), [5.0, NAN, NAN], [0.8, 0.1, 0.1]) == 5.0
    assert typical(number(), [NAN]) is None


def test_rows_without_weight_say_nothing() -> None:
    assert typical(number(), [7.0, 9.0], [0.0, 1.0]) == 9.0
    assert typical(category("clerk", "driver"), [FIRST_CATEGORY_CODE, FIRST_CATEGORY_CODE + 1], [0.0, 1.0]) == "driver"


def test_the_category_with_the_largest_weight_is_typical() -> None:
    codes = [FIRST_CATEGORY_CODE, FIRST_CATEGORY_CODE, FIRST_CATEGORY_CODE + 1]
    assert typical(category("clerk", "driver"), codes) == "clerk"
    assert typical(category("clerk", "driver"), codes, [0.2, 0.2, 0.6]) == "driver"
    assert typical(category("clerk", "driver"), codes, [0.25, 0.25, 0.5]) == "clerk", "of equal ones the first"


def test_a_category_is_missing_where_most_rows_have_none() -> None:
    codes = [FIRST_CATEGORY_CODE + 1, FIRST_CATEGORY_CODE, MISSING_CODE]
    assert typical(category("clerk", "driver"), codes, [0.2, 0.1, 0.7]) is None
    assert typical(category("clerk", "driver"), codes, [0.3, 0.3, 0.4]) == "clerk", "known ones together are more"


def test_a_category_that_is_not_known_is_never_typical() -> None:
    codes = [UNKNOWN_CODE, UNKNOWN_CODE, FIRST_CATEGORY_CODE]
    assert typical(category("clerk"), codes) == "clerk"
    assert typical(category("clerk"), [UNKNOWN_CODE]) is None


def test_a_date_is_a_text_that_every_notation_reads() -> None:
    evening = days_of(datetime(2021, 3, 4, 18, 30, 20))
    assert typical(day(), [evening - 900, evening, evening + 900]) == "2021-03-04"
    assert typical(day(time=True), [evening]) == "2021-03-04T18:30:00"
    for order in (bundle_pb2.DATE_ORDER_DAY_FIRST, bundle_pb2.DATE_ORDER_MONTH_FIRST):
        (column,) = TableColumns(TabularSchema(columns=[day(order)])).all
        assert column.number_of(typical(day(order), [evening])) == np.floor(evening)
