"""What rows are labelled with, and where labels are read from: the same for texts, tables and images.

What one class, any number of labels or a number mean for the data is said by the objectives in `tasks`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal  # Any: cells as they were read

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError

if TYPE_CHECKING:
    from explicate_training.config.options import LabelledData
    from explicate_training.tasks.task import Task

Label = str | tuple[str, ...] | float
"""A class, any number of labels (sorted, each once), or a number."""
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*|(?=\.\d))(\.\d*)?([eE][+-]?\d+)?")  # not 007: that is a code


def sorted_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their class index: whole numbers by value, then names by spelling."""
    return sorted(labels, key=lambda label: (0, int(label), label) if label.isdecimal() else (1, 0, label))


def check_columns_differ(columns: Mapping[str, str]) -> None:
    """Raises UsageError when two options, the keys, name the same column; an empty name is none."""
    option_of: dict[str, str] = {}
    for option, name in columns.items():
        if name in option_of:
            raise UsageError(f"{option_of[name]} and {option} are both {name!r}: they must differ")
        option_of |= {name: option} if name else {}


def label_column_names(options: "LabelledData") -> list[str]:
    """The 0/1 columns; empty when the labels are in one column."""
    return [name.strip() for name in options.label_columns.split(",") if name.strip()]


def columns_with_labels(options: "LabelledData") -> dict[str, str]:
    """The columns to read labels from, by the option that names them."""
    names = label_column_names(options)
    if not names:
        return {"data.label_column": options.label_column}
    return {f"data.label_columns ({name})": name for name in names}


def read_labels(
    task: "Task", values: Mapping[str, Sequence[Any]], options: "LabelledData", *, origin: str
) -> list[Label | None]:
    """The label of each row, None where it is missing.

    Args:
        task: what the labels are.
        values: cells by column, None where missing.
        options: which columns, and how they are read.
        origin: the file, for messages.

    Raises:
        UsageError: a cell holds something else; it names the row.
    """
    labels = []
    for number, cells in enumerate(
        zip(*(values[name] for name in columns_with_labels(options).values()), strict=True), start=1
    ):
        try:
            labels.append(task.label(cells, options))
        except (TypeError, ValueError) as error:
            column = "data.label_columns" if options.label_columns else "data.label_column"
            raise UsageError(f"{origin} row {number}: {error}: check {column} and data.task") from None
    return labels


def label_name(value: Any) -> str | None:
    """The label that a cell means, None when it is missing; raises TypeError for lists, dicts and the like."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers become floats in a column with gaps
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    raise TypeError(f"{type(value).__name__} is no label")


def parse_number(cell: Any) -> float | None:
    """The number that a cell holds, or None; a whole number with leading zeros is none."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float | Decimal):
        return float(cell)
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()):
        return float(cell)
    return None


def finite(numbers: Sequence[float | None]) -> NDArray[np.float64]:
    """Numbers float64 [rows], NaN where one is missing or infinite."""
    return np.array([number if number is not None and math.isfinite(number) else math.nan for number in numbers])


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """Values of any type as an array of objects [rows]."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # at once, tuples of one length would become a second axis
        array[place] = value
    return array
