"""Cleaning and splitting of tables, and columns that know the label."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.data.labels import Split
from explicate_training.data.splits import Splits, split_data
from explicate_training.table.cleaning import CleanTable, clean_table
from explicate_training.table.column_types.column_typing import type_table
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import RawTable, Table
from explicate_training.table.encoding import encode, learn_schema
from explicate_training.table.report import leakage_suspects
from explicate_training.tasks.registry import task_named

CONFIG = TableDataConfig(table="a.csv", label_column="label", minimum_class_count=3)


def typed(columns: dict[str, list[Any]], config: TableDataConfig = CONFIG, splits: list[Split] | None = None) -> Table:
    rows = len(columns["label"])
    return type_table(RawTable("a.csv", columns, splits or ["train"] * rows), config)[0]


def cleaned(columns: dict[str, list[Any]], config: TableDataConfig = CONFIG, splits: Any = None) -> CleanTable:
    return clean_table(typed(columns, config, splits), config)


def test_duplicates_and_rows_without_label_go_and_the_rest_stays_in_order() -> None:
    clean = cleaned(
        {
            "a": [1, 2, 1, 3, 4, 5, None, None, 2],
            "label": ["x", "y", "x", None, "x", "y", "x", "x", "x"],
        },
        replace(CONFIG, minimum_class_count=1),
    )
    assert clean.table.row(0) == {"a": 1}
    assert [clean.table.row(row)["a"] for row in range(len(clean.table))] == [1, 2, 4, 5, None, 2]
    assert +clean.report.dropped == {"exact duplicate": 2, "no label": 1}
    assert clean.report.other_label == 1  # 2 is y, and x


def test_duplicates_stay_when_wanted_but_not_across_given_splits() -> None:
    columns = {"a": [1, 1, 2, 3, 4, 5, 1, 2, 2], "label": ["x", "x", "y", "x", "y", "y", "x", "x", "x"]}
    splits = ["train"] * 6 + ["test"] * 3
    clean = cleaned(columns, replace(CONFIG, duplicates="keep", minimum_class_count=1), splits)
    kept = [(clean.table.splits[row], clean.table.row(row)["a"]) for row in range(len(clean.table))]
    assert kept == [("train", 2), ("train", 3), ("train", 4), ("train", 5), ("test", 1), ("test", 2), ("test", 2)]
    assert +clean.report.dropped == {"stands in the given test or validation set": 2}


def test_many_duplicates_are_doubted_aloud() -> None:
    clean = cleaned(
        {"a": [1, 2] * 10, "b": [0] * 19 + [1], "label": ["x", "y"] * 9 + ["x", "x"]},
        replace(CONFIG, minimum_class_count=1),
    )
    assert 'set data.duplicates = "keep"' in clean.report.warnings[0]


def test_constant_columns_go_unless_values_are_missing() -> None:
    columns = {
        "same": ["a"] * 6, "gaps": [1, None, 1, 1, 1, None], "other": [1, 2, 3, 4, 5, 6], "label": ["x", "y"] * 3
    }  # fmt: skip
    clean = cleaned(columns)
    assert [column.name for column in clean.table.columns] == ["gaps", "other"]
    assert clean.report.left_out == {"same": "is the same in every row"}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"label": ["x", "y"] * 5}, "no column is left to learn from (the table has none)"),
        ({"a": [3] * 10, "label": ["x", "y"] * 5}, "no column is left to learn from ('a' is the same in every row)"),
        ({"a": [1, 2, 3, 4], "label": [None] * 4}, "data.label_column: no row has a value in 'label'"),
        ({"a": [1, 2, 3, 4], "label": ["x"] * 4}, "the training rows have 1 class(es) after cleaning"),
        (
            {"a": range(5), "label": ["x"] * 4 + ["y"]},
            "too few rows of class 'y' (1) after cleaning: each class needs 3",
        ),
        ({"a": [*range(9), 0], "label": [*range(4), None, *range(4), 5]}, "'5' (1)"),
    ],
)
def test_table_that_cannot_be_learnt_from_is_one_sentence(columns: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        cleaned({name: list(cells) for name, cells in columns.items()})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_regression_needs_rows_and_a_target_that_varies() -> None:
    config = replace(CONFIG, task="regression")
    with pytest.raises(UsageError, match=r"the training data has 5 rows after cleaning, and a regression needs ten"):
        cleaned({"a": [1, 2, 3, 5, 6], "label": [1, 2, 3, 4, 5]}, config)
    with pytest.raises(UsageError, match=r"data\.label_column is 7 in every row"):
        cleaned({"a": [0, 1, 5, 3, 2, 9, 8, 7, 11, 12], "label": [7] * 10}, config)


def split_table(table: Table, config: TableDataConfig, *, seed: int) -> Splits[Table]:
    return split_data(table, table.task, config, seed=seed)


def table_of(rows: int, config: TableDataConfig = CONFIG) -> Table:
    stream = np.random.default_rng(1)
    labels = ["rare" if index % 10 == 0 else "common" for index in range(rows)]
    columns = {"a": stream.normal(size=rows).tolist(), "house": stream.integers(0, 40, rows).tolist(), "label": labels}
    return cleaned(columns, config).table


def test_each_class_is_in_every_split_in_its_share() -> None:
    splits = split_table(table_of(400), CONFIG, seed=0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [289, 51, 60]
    for part in vars(splits).values():
        assert Counter(part.labels)["rare"] == round(len(part) / 10)
    rows = [tuple(part.row(row).values()) for part in vars(splits).values() for row in range(len(part))]
    assert len(set(rows)) == 400
    again, other = split_table(table_of(400), CONFIG, seed=0), split_table(table_of(400), CONFIG, seed=1)
    assert again.test.row(0) == splits.test.row(0)
    assert other.test.row(0) != splits.test.row(0)


def test_targets_of_a_regression_are_alike_in_every_split() -> None:
    targets = np.random.default_rng(0).exponential(size=500)
    table = cleaned({"a": np.arange(0, 1000, 2).tolist()[::-1], "label": targets.tolist()}).table
    splits = split_table(table, CONFIG, seed=0)
    for part in vars(splits).values():
        assert np.median(part.labels) == pytest.approx(np.median(targets), abs=0.1)


def test_no_group_stands_in_two_splits_and_sizes_stay_near() -> None:
    config = replace(CONFIG, group_column="house")
    splits = split_table(table_of(400, config), config, seed=3)
    groups = [set(part.groups) for part in vars(splits).values() if part.groups is not None]
    assert len(groups) == 3
    assert sum(map(len, groups)) == len(set.union(*groups)) == 40
    assert len(splits.test) == pytest.approx(60, abs=8)
    assert "house" not in splits.train.row(0)  # it would not be known of new rows


def test_groups_that_given_splits_share_and_too_few_groups_are_refused() -> None:
    config = replace(CONFIG, group_column="house", minimum_class_count=1)
    columns = {"a": list(range(0, 24, 2)), "house": [1, 2, 3] * 4, "label": ["x", "y"] * 6}
    table = cleaned(columns, config, ["train"] * 6 + ["validation"] * 3 + ["test"] * 3).table
    with pytest.raises(UsageError, match=r"data\.group_column: the group '1' stands in two of the given splits"):
        split_table(table, config, seed=0)
    one_group = cleaned({**columns, "house": [1] * 12}, config).table
    with pytest.raises(UsageError, match="too few rows or groups for three splits"):
        split_table(one_group, config, seed=0)
    with pytest.raises(UsageError, match=r"data\.group_column: some rows have no house"):
        cleaned({**columns, "house": [None] * 12}, config)


def test_column_that_knows_the_label_is_suspected_and_others_are_not() -> None:
    stream = np.random.default_rng(0)
    labels = stream.integers(0, 2, 300)
    columns = {
        "closed_on": (labels * 10 + stream.normal(size=300)).tolist(),
        "reason": ["bill" if label else None for label in labels],
        "age": (labels + stream.normal(size=300)).tolist(),
        "label": ["xy"[label] for label in labels],
    }
    table = typed(columns, replace(CONFIG, columns={"reason": "category"}))
    schema = learn_schema(table, CONFIG)
    suspects = leakage_suspects(encode(table, schema), labels, schema, task_named("classification"), threshold=0.98)
    assert {suspect.column for suspect in suspects} == {"closed_on", "reason"}
    assert all(suspect.metric == "AUROC" and suspect.score >= 0.98 for suspect in suspects)
    target = stream.normal(size=300)
    leaky = typed({"twice": (2 * target).tolist(), "noise": stream.normal(size=300).tolist(), "label": target.tolist()})
    schema = learn_schema(leaky, CONFIG)
    suspects = leakage_suspects(encode(leaky, schema), target, schema, task_named("regression"), threshold=0.9)
    assert [(suspect.column, suspect.metric) for suspect in suspects] == [("twice", "R²")]
