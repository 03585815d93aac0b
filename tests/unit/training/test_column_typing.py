"""Types of columns: what values say, what the config says, and what the user hears when the two disagree."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.data.labels import parse_number
from explicate_training.table.column_types.column_typing import type_table
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import RawTable
from explicate_training.table.encoding import encode, learn_schema

CONFIG = TableDataConfig(table="a.csv", label_column="label")


def raw(labels: list[Any] | None = None, **columns: list[Any]) -> RawTable:
    rows = len(next(iter(columns.values())))
    return RawTable("a.csv", {**columns, "label": labels or ["yes", "no"] * (rows // 2)}, ["train"] * rows)


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([1, 2.5, None, 4], "number"),
        (["1", "-2.5", "", "4e3"], "number"),
        (["1", "NA", "?", "2"], "number"),
        ([True, False, None, True], "boolean"),
        (["TRUE", "false", None, "true"], "boolean"),
        (["yes", "no", "no", "yes"], "category"),
        (["007", "008", "007", "012"], "category"),
        (["1", "2", "x", "3"], "category"),
        (["inf", "1", "2", "3"], "category"),
        ([0, 1, 1, 0], "number"),
    ],
)
def test_type_is_found_from_the_values(cells: list[Any], found: str) -> None:
    table, report = type_table(raw(a=cells), CONFIG)
    assert [column.type for column in table.columns] == [found]
    assert not report.left_out


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), ("+.5", 0.5), ("1.", 1.0), (" 2 ", 2.0), ("1e-3", 0.001), ("0", 0.0), ("0.5", 0.5), (True, None),
     ("01", None), ("1,5", None), ("1_000", None), ("nan", None), ("", None), (".", None), ("1e", None)],
)  # fmt: skip
def test_numbers_are_what_people_write_as_numbers(text: Any, number: float | None) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([None] * 40, "has no values"),
        (list(range(7, 47)), "counts the rows"),
        ([f"customer {index}" for index in range(40)], "nearly every row has a value of its own"),
        ([["a"]] * 40, "holds neither numbers nor words"),
    ],
)
def test_columns_that_teach_nothing_are_left_out_with_the_reason(cells: list[Any], reason: str) -> None:
    table, report = type_table(raw(a=cells, b=[0, 1] * 20), CONFIG)
    assert [column.name for column in table.columns] == ["b"]
    assert report.left_out == {"a": reason}


def test_declared_types_replace_those_found() -> None:
    declared: dict[str, str | list[str]] = {
        "zip": "category", "paid": "boolean", "size": ["small", "large"], "floor": "ordinal", "id": "ignore",
        "count": "number",
    }  # fmt: skip
    table, report = type_table(
        raw(
            zip=[10115, 10117, None, 10115],
            paid=["yes", "no", "Yes", None],
            size=["large", "small", "small", None],
            floor=[10, 2, 2, 1],
            id=[4, 5, 6, 9],
            count=[1, 2, 3, 4],
        ),
        replace(CONFIG, columns=declared),
    )
    columns = {column.name: column for column in table.columns}
    assert list(columns["zip"].values) == ["10115", "10117", None, "10115"]
    assert list(columns["paid"].values) == ["true", "false", "true", None]
    assert columns["size"].order == ("small", "large")
    assert columns["floor"].order == ("1", "2", "10")
    assert columns["count"].type == "number"
    assert report.left_out == {"id": "the config says ignore"}
    assert table.row(0) == {"zip": "10115", "paid": True, "size": "large", "floor": "10", "count": 1}
    assert table.row(3) == {"zip": "10115", "paid": None, "size": None, "floor": "1", "count": 4}


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"b": "number"}, "data.columns.b: a.csv has no column 'b', but 'a', 'label'"),
        ({"a": "number"}, "data.columns.a is number, but row 1 holds 'low'"),
        ({"a": "boolean"}, "data.columns.a is boolean, but row 1 holds 'low'"),
        ({"a": "ordinal"}, "data.columns.a is ordinal, but words have no order of their own"),
        ({"a": ["low", "middle"]}, "data.columns.a does not list 'high'"),
    ],
)
def test_declared_type_that_does_not_hold_is_one_sentence(declared: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        type_table(raw(a=["low", "high"]), replace(CONFIG, columns=declared))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["c", "a"], "data.groups.place: a.csv has no column 'c', but 'a', 'b', 'label'"),
        (["a", "label"], "data.groups.place: the column 'label' is not learnt from"),
        (["b", "a"], "data.groups.place: the column 'b' is not learnt from"),
    ],
)
def test_groups_of_columns_that_are_no_players_are_refused(names: list[str], sentence: str) -> None:
    config = replace(CONFIG, group_column="b", groups={"place": names})
    with pytest.raises(UsageError, match=sentence):
        type_table(raw(a=["low", "high"], b=["x", "y"]), config)


def test_nearly_numeric_column_is_a_category_with_a_note() -> None:
    table, report = type_table(raw(a=["1", "2"] * 19 + ["unknown", "3"]), CONFIG)
    assert table.columns[0].type == "category"
    assert "98% of it are numbers" in report.warnings[0]
    cured, _ = type_table(raw(a=["1", "2"] * 19 + ["unknown", "3"]), replace(CONFIG, missing_values="unknown"))
    assert cured.columns[0].type == "number"
    assert np.isnan(cured.columns[0].values[38])


def test_infinite_numbers_are_missing_and_said() -> None:
    table, report = type_table(raw(a=[1.0, float("inf"), 2.0, 3.0]), CONFIG)
    assert np.isnan(table.columns[0].values[1])
    assert report.warnings == ["a has 1 infinite values, read as missing"]


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([1, 2, 3, 4] * 10, "classification"),
        ([0.5 * index for index in range(40)], "regression"),
        ([str(index / 4) for index in range(40)], "regression"),
        ([1.0, 2.0, 3.0, 4.0] * 10, "classification"),
        (["2020-01-01", "unknown"] * 20, "classification"),
        (["a", "b"] * 20, "classification"),
    ],
)
def test_label_with_many_numbers_is_a_quantity(labels: list[Any], task: str) -> None:
    assert type_table(raw(labels, a=[0, 1] * 20), CONFIG)[0].task.name == task


def test_regression_on_words_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.task is regression, but row 2 has the label 'much'"):
        type_table(raw(["1", "much"], a=[0, 1]), replace(CONFIG, task="regression"))


def test_codes_are_unknown_missing_then_the_categories_of_the_training_rows() -> None:
    config = replace(
        CONFIG, columns={"size": ["small", "large"]}, maximum_categories=2, groups={"both": ["city", "size"]}
    )
    cities = ["rome", "oslo", "rome", "bonn", "oslo", None]
    table, _ = type_table(raw(city=cities, size=["large"] * 6, age=[1, None, 3, 4, 5, 6]), config)
    train = table.take(np.arange(5))
    schema = learn_schema(train, config)
    assert schema[0].categories == ("oslo", "rome")  # bonn is the rarest
    assert [column.group for column in schema] == ["both", "both", ""]
    assert [column.may_be_missing for column in schema] == [False, False, True]
    encoded = encode(table, schema)
    assert encoded.codes[:, 0].tolist() == [3, 2, 3, 0, 2, 1]
    assert encoded.codes[:, 1].tolist() == [3] * 6
    np.testing.assert_array_equal(encoded.numbers[:, 0], np.array([1, np.nan, 3, 4, 5, 6], dtype=np.float32))
