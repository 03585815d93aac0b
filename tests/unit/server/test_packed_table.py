"""Tables in packed form mean what their rows mean one by one; what is wrong is named with its column."""

from typing import Any

import numpy as np
import pytest

from explicate_bundle.model_inputs import TabularInput
from explicate_server.modalities.rows.packed_table import CategoryValues, NumberValues, PackedTable
from explicate_server.modalities.table import TabularModality
from support.tiny_table_bundle import TinyTable, tiny_table

TABLE = tiny_table()


@pytest.fixture
def modality() -> TabularModality:
    return TabularModality(TABLE.schema(), TABLE.background)


def packed(table: TinyTable, numbers: Any, codes: Any) -> PackedTable:
    """The table with its columns in reverse, and names of categories in an order of its own."""
    columns: list[tuple[str, NumberValues | CategoryValues | None]] = [
        (name, NumberValues(numbers[:, place])) for place, name in enumerate(table.numbers)
    ]
    for place, column in enumerate(table.others):
        names = (*reversed(column.categories), "never seen")
        places = {0: len(names) - 1, 1: -1} | {2 + k: names.index(name) for k, name in enumerate(column.categories)}
        columns.append((column.name, CategoryValues(names, np.array([places[code] for code in codes[:, place]]))))
    return PackedTable(len(numbers), columns[::-1])


def test_packed_rows_are_the_rows_one_by_one(modality: TabularModality) -> None:
    numbers, codes = TABLE.rows(300, seed=1)
    table = packed(TABLE, numbers, codes)
    assert modality.packed_violations(table) == []
    encoded = modality.encode_packed(table)
    assert sum(row.count for row in encoded.rows) == 300
    together = modality.collate(encoded.rows)
    rows = [modality.encode(TabularInput(TABLE.cells(n, c))).row for n, c in zip(numbers, codes, strict=True)]
    alone = modality.collate(rows)
    for name in ("numbers", "codes"):
        np.testing.assert_array_equal(together[name], alone[name])
    assert encoded.unknown_category_columns == ["purpose", "owner", "rating"]


def test_a_category_that_is_named_but_not_used_is_not_unknown(modality: TabularModality) -> None:
    numbers, codes = TABLE.rows(4, missing=0.0)
    assert modality.encode_packed(packed(TABLE, numbers, codes)).unknown_category_columns == []


def test_a_column_without_any_value_may_come_in_either_form(modality: TabularModality) -> None:
    numbers, codes = TABLE.rows(3, missing=0.0)
    numbers[:, 0], codes[:, 0] = np.nan, 1
    table = packed(TABLE, numbers, codes)
    nothing = {False: NumberValues(np.full(3, np.nan)), True: CategoryValues((), np.full(3, -1))}
    empty = {TABLE.numbers[0], TABLE.others[0].name}
    swapped = PackedTable(
        3,
        [
            (name, nothing[isinstance(values, NumberValues)] if name in empty else values)
            for name, values in table.columns
        ],
    )
    assert modality.packed_violations(swapped) == []
    for name, expected in modality.collate(modality.encode_packed(table).rows).items():
        np.testing.assert_array_equal(modality.collate(modality.encode_packed(swapped).rows)[name], expected)


ZEROS = np.zeros(3)


@pytest.mark.parametrize(
    ("column", "values", "path", "problem"),
    [
        ("income", NumberValues(np.array([0, np.inf, 0])), ".numbers.values[1]", "is inf"),
        ("income", NumberValues(np.array([0, 0, -1e308])), ".numbers.values[2]", "is -1e+308"),
        ("income", NumberValues(np.zeros(2)), ".numbers.values", "has 2 values; the table has 3 rows"),
        (
            "income",
            CategoryValues(("1", "a"), np.array([0, 1, -1])),
            ".categories.names[1]",
            "is 'a'; this column takes",
        ),
        ("income", None, "", "has no values"),
        ("rating", NumberValues(ZEROS), ".numbers.values[0]", "is a number; this column takes categories"),
        (
            "owner",
            NumberValues(np.array([1, np.nan, 2])),
            ".numbers.values[2]",
            "is 2; this column takes true and false",
        ),
        ("rating", CategoryValues(("low",), np.array([0, 1, 0])), ".categories.codes[1]", "is 1; there are 1 names"),
        ("rating", CategoryValues(("low",), np.array([0, -2, 0])), ".categories.codes[1]", "is -2"),
        ("rating", CategoryValues(("low",), np.zeros(4, int)), ".categories.codes", "has 4 values"),
        ("shoe_size", NumberValues(ZEROS), "", "is not a column of this model"),
    ],
)
def test_bad_columns_are_named_with_their_path(
    modality: TabularModality, column: str, values: Any, path: str, problem: str
) -> None:
    good = packed(TABLE, *TABLE.rows(3, missing=0.0))
    table = PackedTable(3, list({**dict(good.columns), column: values}.items()))
    (violation,) = modality.packed_violations(table)
    assert violation.field == f"table.columns[{column}]{path}"
    assert problem in violation.description


def test_columns_that_are_left_out_or_come_twice_are_named(modality: TabularModality) -> None:
    good = packed(TABLE, *TABLE.rows(3, missing=0.0))
    (left_out,) = modality.packed_violations(PackedTable(3, good.columns[1:]))
    assert left_out.field == f"table.columns[{good.columns[0][0]}]"
    assert "is left out" in left_out.description
    (twice,) = modality.packed_violations(PackedTable(3, [*good.columns, good.columns[0]]))
    assert "comes twice" in twice.description
