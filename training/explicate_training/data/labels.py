"""What rows are labelled with, and how cells are read: the same for texts, tables and images.

What one class, any number of labels or a number mean for the data is said by the objectives in `tasks`.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal  # Any: cells as they were read

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.cells.number_notation import PLAIN
from explicate_training.config.sections import LabelledData

Label = str | tuple[str, ...] | float
"""A class, any number of labels (sorted, each once), or a number."""
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_TOLD_GROUPS = 5  # of similar names


def sorted_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their class index: whole numbers by value, then names by spelling."""
    return sorted(labels, key=lambda label: (0, int(label), label) if label.isdecimal() else (1, 0, label))


def label_name(value: Any) -> str | None:
    """What a cell says as a word, None when it is missing; raises TypeError for lists, dicts and the like."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers become floats in a column with gaps
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    raise TypeError(f"{type(value).__name__} is no label")


_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0*")  # pandas writes whole numbers so in a column with gaps
_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}  # as Python, and as Excel and R write it
_UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"  # at the ends of a name: marks without width


def class_name(value: Any) -> str | None:
    """The class or label that a cell means, the same from whatever file it comes; raises TypeError as `label_name`.

    Names that look the same are the same: blanks and marks without width around them are left out, and accents are put
    together with their letters (NFC). True of CSV is true of JSON and Parquet, and 1.0 is 1. "01" and "1.50" stay.
    """
    name = label_name(value)
    if name is None:
        return None
    name = unicodedata.normalize("NFC", name).strip().strip(_UNSEEN).strip()
    if whole := _WHOLE.fullmatch(name):
        name = "0" if whole[1] == "-0" else whole[1]
    return _TRUTH.get(name, name) or None


def similar_names(counts: Mapping[str, int]) -> list[list[str]]:
    """Names that differ in case, blanks or width (Ａ and A) alone, in groups of two or more, the commonest first."""
    groups = defaultdict(list)
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups[" ".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    return [group for group in groups.values() if len(group) > 1]


def settle_labels(
    labels: Sequence[Label | None], options: LabelledData, tell: Callable[[str], None]
) -> list[Label | None]:
    """The labels of all rows, those with similar names merged into the most frequent one if the options say so.

    `tell` hears of each group of similar names, with its counts. Columns of 0 and 1 are labels of their own.
    """
    if options.label_names():
        return list(labels)
    merge, column = options.similar_labels == "merge", options.label_column
    counts = Counter(name for label in labels for name in _names(label))
    groups = similar_names(counts)
    for group in groups[:_TOLD_GROUPS]:
        spelt = ", ".join(f"{name!r} {counts[name]:,}" for name in group)
        what = f"are one class, {group[0]!r}" if merge else 'stay apart: data.similar_labels = "merge" makes them one'
        tell(f"{column}: {spelt} differ in case, blanks or width alone and {what}")
    if len(groups) > _TOLD_GROUPS:
        tell(f"{column}: {len(groups) - _TOLD_GROUPS} groups more like these")
    settled = {name: group[0] for group in groups for name in group} if merge else {}
    return [_renamed(label, settled) for label in labels] if settled else list(labels)


def _names(label: Label | None) -> Iterable[str]:
    if isinstance(label, tuple):
        return label
    return (label,) if isinstance(label, str) else ()


def _renamed(label: Label | None, names: Mapping[str, str]) -> Label | None:
    if isinstance(label, tuple):
        return tuple(sorted({names.get(name, name) for name in label}))
    return names.get(label, label) if isinstance(label, str) else label


def numbered(splits: Sequence[Split]) -> list[int]:
    """The number of each row among those of its split, from 1: what finds it in its file again."""
    counts: Counter[Split] = Counter()
    found = []
    for split in splits:
        counts[split] += 1
        found.append(counts[split])
    return found


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
