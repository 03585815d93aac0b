"""Where labelled texts come from: data files and the named demo set.

Values are judged here (a text must be a string), texts are judged by `cleaning`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from explicate.errors import UsageError
from explicate_training.data.files import Columns, DataFile, Wanted, frame_columns, r_dataset, read_files
from explicate_training.data.labels import Label, RawRow, Split, columns_with_labels, label_name, read_labels
from explicate_training.text.config import DataConfig


def read_rows(config: DataConfig) -> list[RawRow]:
    """All rows of the configured source, in its order: train, then validation and test if there are any.

    Raises UsageError when a file is missing or unreadable, lacks a column, or holds something else than texts in it.
    """
    if config.demo:
        return [
            row
            for part in _food_reviews()
            for row in _rows(part, TextColumns("review"), [label_name(score) for score in part.values["score"]])
        ]
    files = [
        DataFile("data.train", "train", config.train),
        DataFile("data.validation", "validation", config.validation),
        DataFile("data.test", "test", config.test),
    ]
    columns = TextColumns(config.text_column, config.text_pair_column)
    required = {"data.text_column": columns.text, **columns_with_labels(config)}
    if columns.pair:
        required["data.text_pair_column"] = columns.pair
    rows = []
    for part in read_files(files, Wanted(required)):
        labels = read_labels(config.task, part.values, config, origin=f"{part.origin}, {part.split}")
        rows += _rows(part, columns, labels)
    return rows


@dataclass(frozen=True)
class TextColumns:
    """The columns with the texts; `pair` is empty where there is one."""

    text: str
    pair: str = ""


def _rows(part: Columns, columns: TextColumns, labels: Sequence[Label | None]) -> list[RawRow]:
    texts = _texts(part, columns.text, "data.text_column")
    pairs = _texts(part, columns.pair, "data.text_pair_column") if columns.pair else [None] * len(texts)
    return [RawRow(part.split, *cells) for cells in zip(texts, labels, pairs, strict=True)]


def _texts(part: Columns, column: str, option: str) -> list[str | None]:
    texts: list[str | None] = []
    for number, text in enumerate(part.values[column], start=1):
        if isinstance(text, float) and math.isnan(text):
            text = None
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"{part.origin}, {part.split} row {number}: the column {column!r} holds {type(text).__name__}, "
                f"not text: set {option} to the column with the texts"
            )
        texts.append(text)
    return texts


def _food_reviews() -> list[Columns]:
    sets: tuple[tuple[Split, str], ...] = (("train", "training_data"), ("test", "testing_data"))
    return [
        Columns(split, "food-reviews", frame_columns(r_dataset("food-reviews", "modeldata", name)))
        for split, name in sets
    ]
