"""What rows are labelled with, and how cells are read: the same for texts, tables and images.

What one class, any number of labels or a number mean for the data is said by the objectives in `tasks`.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal  # Any: cells as they were read

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.cells.number_notation import PLAIN

Label = str | tuple[str, ...] | float
"""A class, any number of labels (sorted, each once), or a number."""
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def sorted_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their class index: whole numbers by value, then names by spelling."""
    return sorted(labels, key=lambda label: (0, int(label), label) if label.isdecimal() else (1, 0, label))


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
    return PLAIN.parse(cell) if isinstance(cell, str) else None


def finite(numbers: Sequence[float | None]) -> NDArray[np.float64]:
    """Numbers float64 [rows], NaN where one is missing or infinite."""
    return np.array([number if number is not None and math.isfinite(number) else math.nan for number in numbers])


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """Values of any type as an array of objects [rows]."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # at once, tuples of one length would become a second axis
        array[place] = value
    return array
