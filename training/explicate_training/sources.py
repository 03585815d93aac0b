"""Where labelled texts come from: data files and the named demo set.

Values are judged here (a text must be a string), texts are judged by `cleaning`.
"""

import math
from typing import Any  # cell values

from explicate.errors import UsageError
from explicate_training.config import DataConfig
from explicate_training.data_files import Columns, DataFile, Wanted, frame_columns, r_dataset, read_files
from explicate_training.labelled_text import RawRow, Split


def read_rows(config: DataConfig) -> list[RawRow]:
    """All rows of the configured source, in its order: train, then validation and test if there are any.

    Raises UsageError when a file is missing or unreadable, lacks a column, or holds something else than texts in it.
    """
    if config.demo:
        return [row for part in _food_reviews() for row in _rows(part, "review", "score")]
    files = [
        DataFile("data.train", "train", config.train),
        DataFile("data.validation", "validation", config.validation),
        DataFile("data.test", "test", config.test),
    ]
    wanted = Wanted({"data.text_column": config.text_column, "data.label_column": config.label_column})
    return [row for part in read_files(files, wanted) for row in _rows(part, config.text_column, config.label_column)]


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


def _rows(part: Columns, text_column: str, label_column: str) -> list[RawRow]:
    rows = []
    cells = zip(part.values[text_column], part.values[label_column], strict=True)
    for number, (text, label) in enumerate(cells, start=1):
        if isinstance(text, float) and math.isnan(text):
            text = None
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"{part.origin}, {part.split} row {number}: the column {text_column!r} holds {type(text).__name__}, "
                "not text: set data.text_column to the column with the texts"
            )
        try:
            rows.append(RawRow(part.split, text, label_name(label)))
        except TypeError as error:
            raise UsageError(f"{part.origin}, {part.split} row {number}: {error}: set data.label_column") from None
    return rows


def _food_reviews() -> list[Columns]:
    sets: tuple[tuple[Split, str], ...] = (("train", "training_data"), ("test", "testing_data"))
    return [
        Columns(split, "food-reviews", frame_columns(r_dataset("food-reviews", "modeldata", name)))
        for split, name in sets
    ]
