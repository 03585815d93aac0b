"""Sources: the same rows from every kind of file, and what the user hears when a file is not what it should be."""

import json
from dataclasses import replace
from pathlib import Path

import datasets
import pandas as pd
import pytest

from explicate.errors import UsageError
from explicate_training.data.labels import SPLITS, label_name
from explicate_training.table.column_types.column_typing import type_table
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import read_table
from explicate_training.text.config import DataConfig
from explicate_training.text.data import RawRow, read_rows

TEXTS = ["Great tea, really", "None", None, 'Bad "cake",\nstale', "  "]
LABELS = ["good", "bad", "good", "bad", None]
ROWS = [RawRow("train", text, label) for text, label in zip(TEXTS, LABELS, strict=True)]


def config_for(path: Path) -> DataConfig:
    return DataConfig(train=str(path), text_column="review", label_column="verdict")


def table() -> pd.DataFrame:
    return pd.DataFrame({"id": range(5), "review": TEXTS, "verdict": LABELS})


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "directory"])
def test_every_kind_of_source_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"reviews.{ending}"
    if ending in ("csv", "tsv"):
        table().to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    elif ending == "jsonl":
        rows = [{"review": text, "verdict": label} for text, label in zip(TEXTS, LABELS, strict=True)]
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif ending == "parquet":
        table().to_parquet(path)
    else:
        datasets.Dataset.from_dict({"review": TEXTS, "verdict": LABELS}).save_to_disk(path)
    assert read_rows(config_for(path)) == ROWS


def test_byte_order_mark_of_a_spreadsheet_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review,verdict\nfine,good\n", encoding="utf-8-sig")
    assert read_rows(config_for(path)) == [RawRow("train", "fine", "good")]


def test_given_validation_and_test_files_become_those_splits(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.csv").write_text(f"review,verdict\n{name} text,good\n")
    config = replace(
        config_for(tmp_path / "train.csv"),
        validation=str(tmp_path / "validation.csv"),
        test=str(tmp_path / "test.csv"),
    )
    assert read_rows(config) == [RawRow(split, f"{split} text", "good") for split in SPLITS]


def test_dataset_directory_brings_its_splits_and_class_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"review": datasets.Value("string"), "verdict": datasets.ClassLabel(names=["bad", "good"])}
    )
    parts = {
        name: datasets.Dataset.from_dict({"review": [f"{name} text"], "verdict": [label]}, features=features)
        for name, label in (("train", 1), ("validation", 0), ("test", -1), ("unsupervised", -1))
    }
    path = tmp_path / "dataset"
    datasets.DatasetDict(parts).save_to_disk(path)
    assert read_rows(config_for(path)) == [
        RawRow("train", "train text", "good"),
        RawRow("validation", "validation text", "bad"),
        RawRow("test", "test text", None),  # -1 is how such datasets say "not labelled"
    ]


def test_given_test_file_replaces_the_test_split_of_a_dataset_directory(tmp_path: Path) -> None:
    parts = {
        name: datasets.Dataset.from_dict({"review": [f"{name} text"], "verdict": ["good"]})
        for name in ("train", "test")
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "dataset")
    (tmp_path / "test.csv").write_text("review,verdict\nother text,good\n")
    config = replace(config_for(tmp_path / "dataset"), test=str(tmp_path / "test.csv"))
    assert [(row.split, row.text) for row in read_rows(config)] == [("train", "train text"), ("test", "other text")]


def test_food_reviews_come_with_their_own_test_set() -> None:
    rows = read_rows(DataConfig(demo="food-reviews"))
    assert sum(row.split == "train" for row in rows) == 4000
    assert sum(row.split == "test" for row in rows) == 1000
    assert {row.label for row in rows} == {"great", "other"}


@pytest.mark.parametrize(
    ("value", "name"),
    [(1, "1"), (1.0, "1"), (0.5, "0.5"), (True, "true"), (" good ", "good"), ("", None), (float("nan"), None)],
)
def test_labels_are_named_alike_whatever_type_holds_them(value: object, name: str | None) -> None:
    assert label_name(value) == name


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "a.csv",
            b"text,verdict\nx,good\n",
            "has no column 'review': set data.text_column to one of 'text', 'verdict'",
        ),
        ("a.csv", b"review,label\nx,good\n", "has no column 'verdict': set data.label_column"),
        ("a.csv", b"", "is empty: its first line must name the columns"),
        ("a.csv", b"review,verdict\nx,good\nwell, yes,bad\n", "line 3: 3 fields, but the header has 2: put quotes"),
        ("a.csv", b'review,verdict\n"x,good\n', "unexpected end of data: check its quotes"),
        (
            "a.csv",
            b"review,verdict\ncaf\xc3\xa9,good\nth\xc3\xa9,bad\nm\xe9,bad\n",
            "line 4 is not UTF-8, as other lines are",
        ),
        ("a.jsonl", b'{"review": "x", "verdict": "good"}\n{"review": \n', "line 2 is not JSON"),
        ("a.jsonl", b"1\n", "line 1 is not a JSON object"),
        ("a.jsonl", b"[1]\n", "row 1 is not a JSON object: give an object a line"),
        ("a.jsonl", b'{"review": 5, "verdict": "good"}\n', "train row 1: the column 'review' holds int, not text"),
        ("a.jsonl", b'{"review": "x", "verdict": ["good"]}\n', "train row 1: list is no label"),
        ("a.jsonl", b"\xff\xfe\n", "cannot be read as UTF-16 with a byte order mark"),
        ("a.parquet", b"PAR", "is not a Parquet file"),
        ("a.xls", b"", "is neither .csv"),
    ],
)
def test_unreadable_file_is_one_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_rows(config_for(tmp_path / name))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_foreign_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.train: .*nothing\.csv does not exist"):
        read_rows(config_for(tmp_path / "nothing.csv"))
    with pytest.raises(UsageError, match="is not a Hugging Face dataset directory"):
        read_rows(config_for(tmp_path))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "directory"])
def test_every_kind_of_source_gives_the_same_table(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame({"age": [31.5, None, 8.0], "city": ["rome", None, "oslo"], "label": ["a", "b", None]})
    path = tmp_path / f"table.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        rows = {name: [None if gap else cell for cell, gap in zip(frame[name], frame[name].isna(), strict=True)]
                for name in frame}  # fmt: skip
        datasets.Dataset.from_dict(rows).save_to_disk(path)
    config = TableDataConfig(table=str(path), columns={"city": "category"})
    table, _ = type_table(read_table(config), config)
    assert [table.row(row) for row in range(3)] == [
        {"age": 31.5, "city": "rome"}, {"age": None, "city": None}, {"age": 8, "city": "oslo"}
    ]  # fmt: skip
    assert table.labels.tolist() == ["a", "b", None]


def test_given_files_of_a_table_become_those_splits_and_must_have_its_columns(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text(f"a,label\n{len(name)},x\n")
    config = TableDataConfig(table=str(tmp_path / "train.csv"), test=str(tmp_path / "test.csv"))
    raw = read_table(config)
    assert (list(raw.splits), raw.columns["a"]) == (["train", "test"], ["5", "4"])
    (tmp_path / "test.csv").write_text("b,label\n1,x\n")
    with pytest.raises(UsageError, match=r"data\.test: .*test\.csv and .*train\.csv differ in the column 'a'"):
        read_table(config)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a,b\n1,2\n", "has no column 'label': set data.label_column to one of 'a', 'b'"),
        (b"a,a,label\n1,2,x\n", r"a\.csv, line 1 names the column 'a' 2 times \(places 1 and 2\): rename others"),
        (b"a,label\n", "data.table: .* has no rows"),
    ],
)
def test_unusable_table_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        read_table(TableDataConfig(table=str(tmp_path / "a.csv")))


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("credit", 4454, 14), ("churn", 5000, 20), ("hdma", 2381, 13), ("breast-cancer", 569, 31), ("diabetes", 442, 11)],
)
def test_demo_tables_come_without_a_download(name: str, rows: int, columns: int) -> None:
    raw = read_table(TableDataConfig(demo=name))
    assert (len(raw.splits), len(raw.columns)) == (rows, columns)
