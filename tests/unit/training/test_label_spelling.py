"""One name for one class, whatever file it comes from; what is similar is told; what could be either is asked."""

import json
import unicodedata
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from explicate.errors import UsageError
from explicate_training.data.labels import class_name, settle_labels
from explicate_training.image.config import ImageDataConfig
from explicate_training.image.data import list_images
from explicate_training.table.column_types.column_typing import type_table
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import RawTable, read_table
from explicate_training.tasks.registry import task_named
from explicate_training.text.config import DataConfig
from explicate_training.text.data import read_rows

SHARED = Path(__file__).parents[4] / "shared" / "data" / "csv"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "true"), ("True", "true"), ("TRUE", "true"), ("true", "true"), (np.True_.item(), "true"),
        ("False", "false"), ("tRUE", "tRUE"),
        (1, "1"), (1.0, "1"), ("1", "1"), ("1.0", "1"), (" 1. ", "1"), ("-2.00", "-2"), ("-0.0", "0"),
        ("01", "01"), ("1.10", "1.10"), (1.5, "1.5"), ("1.5", "1.5"), ("1.0.0", "1.0.0"),
        ("good\u00a0", "good"), ("\ufeffgood\u200b", "good"), ("  ", None), ("\u200b", None), (None, None),
        (unicodedata.normalize("NFD", "café"), "café"),
    ],
)  # fmt: skip
def test_names_that_mean_or_look_the_same_are_the_same(value: Any, name: str | None) -> None:
    assert class_name(value) == name


def test_every_reader_names_the_same_classes_alike(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,flag,count\n1,True,1.0\n2,False,2.0\n3,True,\n")
    rows = [
        {"a": 1, "flag": True, "count": 1},
        {"a": 2, "flag": False, "count": 2},
        {"a": 3, "flag": True, "count": None},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    book = openpyxl.Workbook()
    for row in (["a", "flag", "count"], *(list(one.values()) for one in rows)):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    for ending in ("csv", "jsonl", "json", "parquet", "xlsx"):
        for column, names in (("flag", ["true", "false", "true"]), ("count", ["1", "2", None])):
            config = TableDataConfig(table=str(tmp_path / f"a.{ending}"), label_column=column)
            table, _ = type_table(read_table(config), config)
            assert (ending, table.labels.tolist()) == (ending, names)


def test_columns_of_zeros_and_ones_may_be_written_with_a_point() -> None:
    options = DataConfig(train="a.csv", task="multi-label", label_columns="late")
    assert task_named("multi-label").read_labels({"late": ["1.0", "0.0", "True"]}, options, origin="a") == [
        ("late",), (), ("late",)
    ]  # fmt: skip


SPELT = ["yes", "Yes", "yes", "YES", "no", "n o", "Ｙes", None]


def test_similar_names_are_told_with_their_counts_and_merged_into_the_commonest_when_that_is_said() -> None:
    told: list[str] = []
    options = DataConfig(label_column="answer")
    assert settle_labels(SPELT, options, told.append) == SPELT
    (line,) = told
    assert line == (
        "answer: 'yes' 2, 'YES' 1, 'Yes' 1, 'Ｙes' 1 differ in case, blanks or width alone and stay apart: "
        'data.similar_labels = "merge" makes them one'
    )
    told.clear()
    merge = DataConfig(label_column="answer", similar_labels="merge")
    assert settle_labels(SPELT, merge, told.append) == ["yes"] * 4 + ["no", "n o", "yes", None]
    assert told[0].endswith("differ in case, blanks or width alone and are one class, 'yes'")
    assert settle_labels([("b", "Late"), ("late",), (), 5.0, ("late", "Late")], merge, told.append) == [
        ("Late", "b"), ("Late",), (), 5.0, ("Late",)
    ]  # fmt: skip
    flagged = DataConfig(task="multi-label", label_columns="Late,late", similar_labels="merge")
    assert settle_labels([("Late",), ("late",)], flagged, told.append) == [("Late",), ("late",)]


def test_texts_tables_and_images_merge_over_all_their_files(tmp_path: Path) -> None:
    for name, label in (("train", "Good"), ("test", "good")):
        (tmp_path / f"{name}.csv").write_text(f"text,image,label\nsoup,a.png,{label}\ntea,b.png,good\n")
    files = {"test": str(tmp_path / "test.csv"), "similar_labels": "merge"}
    source = str(tmp_path / "train.csv")
    told: list[str] = []
    config = TableDataConfig(table=source, **files)
    assert {row.label for row in read_rows(DataConfig(train=source, **files), told.append)} == {"good"}
    assert {image.label for image in list_images(ImageDataConfig(images=source, **files), told.append)} == {"good"}
    assert set(type_table(read_table(config), config, told.append)[0].labels) == {"good"}
    assert [line for line in told if "'good'" in line] == [
        "label: 'good' 3, 'Good' 1 differ in case, blanks or width alone and are one class, 'good'"
    ] * 3


def typed(labels: list[Any], **options: Any) -> tuple[str, list[str]]:
    """The objective that a label's cells give, and what was told."""
    told: list[str] = []
    config = TableDataConfig(table="a.csv", **options)
    raw = RawTable("a.csv", {"a": [0, 1] * (len(labels) // 2), "label": labels}, ["train"] * len(labels))
    return type_table(raw, config, told.append)[0].task.name, told


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (list(range(40)), "40 different whole numbers: set"),
        ([str(number) for number in range(40)] * 10, "40 different whole numbers: set"),
        ([float(number) for number in range(40)], "40 different whole numbers: set"),
        (["0.5", "1.0", "1.5", "2.0"] * 10, "4 different numbers, some with fractions: set"),
        ([f"2020-01-{day + 1:02d}" for day in range(30)], "dates, such as '2020-01-01': make a column of"),
        ([f"{day + 1}.1.2020" for day in range(30)], "dates, such as '1.1.2020'"),
        ([date(2020, 1, 1), date(2020, 1, 2)] * 4, "dates, such as '2020-01-01'"),
        ([f"$ {number}" for number in range(40)], "40 different whole numbers: set data.task"),
        ([f"{number},5 {'kg' if number else 'g'}" for number in range(40)], "numbers, but 40 cells are not written as"),
        ([*(number / 4 for number in range(58)), "-3 kg", "7 %"], "numbers, but 2 cells are not written as such"),
    ],
)  # fmt: skip
def test_a_label_that_could_be_either_is_asked_about(labels: list[Any], found: str) -> None:
    with pytest.raises(UsageError) as caught:
        typed(labels)
    assert str(caught.value).startswith(f"the label 'label' holds {found}")
    assert str(caught.value).endswith(
        'set data.task = "classification" if each is a class, or data.task = "regression" if they are a measure'
    )


def test_what_the_config_says_is_not_asked() -> None:
    labels = [str(number) for number in range(40)] * 10
    assert typed(labels, task="regression")[0] == "regression"
    assert typed(labels, task="classification")[0] == "classification"


def test_few_whole_numbers_are_classes_and_that_is_told() -> None:
    told = 'label: 4 whole numbers, read as classes: data.task = "regression" predicts a number'
    assert typed([1, 2, 3, 4] * 5) == ("classification", [told])
    assert typed(["0", "1.0"] * 5) == ("classification", [])
    assert typed([f"{number}%" for number in (5, 10)] * 10) == ("classification", [])
    assert typed([f"code {number}" for number in range(40)]) == ("classification", [])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the small failing files are not here")
def test_the_file_with_yes_in_three_spellings_has_two_classes_when_merged() -> None:
    config = TableDataConfig(table=str(SHARED / "14b_label_yesYes.csv"), similar_labels="merge")
    told: list[str] = []
    table, _ = type_table(read_table(config), config, told.append)
    assert {label.lower() for label in table.labels} == {"yes", "no"}
    assert len(set(table.labels)) == 2
    assert len(told) == 2
