"""What rows are labelled with: one class, any number of labels, or a number; and what follows from it for the data.

Texts, tables and images share these rules. Strata, for splits that look alike: the class itself; of several labels the
row's rarest one (rows without any are a stratum of their own), so that rare labels come into every part; the tenth of
the values that a number falls into, or a larger part of them where rows are few.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol  # Any: cells as they were read

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError

Label = str | tuple[str, ...] | float
"""A class, any number of labels (sorted, each once), or the value of a regression."""
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class RawRow:
    """A row as it was read; None is a missing value."""

    split: Split  # where the source put it; cleaning and splitting may take parts of "train" for the others
    text: str | None
    label: Label | None
    text_pair: str | None = None  # the second text of a pair


@dataclass(frozen=True)
class LabelledText:
    """A usable text, or a pair of texts, with its label."""

    text: str
    label: Label
    text_pair: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, or both."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)


def sorted_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their class index: whole numbers by value, then names by spelling."""
    return sorted(labels, key=lambda label: (0, int(label), label) if label.isdecimal() else (1, 0, label))


Task = Literal["classification", "multi-label", "regression"]
TASKS: tuple[Task, ...] = ("classification", "multi-label", "regression")
NO_LABEL = ""  # the stratum of rows without any label
_TARGET_STRATA, _ROWS_OF_A_STRATUM = 10, 20  # of a stratum with few rows more than the wanted fraction is taken
_FEWEST_VALUES = 10
_SHOWN_LABELS = 10  # of a message
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class TargetScale:
    """How a regression's answers are taken from standard deviations of its target to the target's unit."""

    mean: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, task: Task, targets: NDArray[Any]) -> "TargetScale":
        """By the training rows' values; nothing to do for classes and labels."""
        return cls(float(targets.mean()), float(targets.std()) or 1.0) if task == "regression" else cls()

    def standard(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Values float [rows] in standard deviations from the mean."""
        return np.asarray((targets - self.mean) / self.spread, dtype=np.float64)

    def value(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Answers in standard deviations, in the target's unit."""
        return np.asarray(answers * self.spread + self.mean)


class LabelColumns(Protocol):
    """The options that say where labels stand; the data sections of all configs have them."""

    @property
    def label_column(self) -> str:
        """The column with the label, or with several of them."""

    @property
    def label_columns(self) -> str:
        """Names of 0/1 columns, one for each label, separated by commas."""

    @property
    def label_separator(self) -> str:
        """What stands between several labels in a cell."""

    @property
    def empty_label(self) -> str:
        """What a cell without labels means: "missing" or "none"."""


def check_label_options(options: LabelColumns, task: str) -> None:
    """Raises UsageError, naming the option, when the options that say where labels stand do not go together."""
    if task == "multi-label":
        names = label_column_names(options)
        if len(set(names)) < len(names):
            raise UsageError("data.label_columns names a column twice: name each once")
        return
    for name, default in (("label_columns", ""), ("empty_label", "missing")):
        if getattr(options, name) != default:
            raise UsageError(f'data.{name} is of several labels only: set data.task = "multi-label", or leave it out')


def check_columns_differ(columns: Mapping[str, str]) -> None:
    """Raises UsageError when two options, the keys, name the same column; an empty name is none."""
    option_of: dict[str, str] = {}
    for option, name in columns.items():
        if name in option_of:
            raise UsageError(f"{option_of[name]} and {option} are both {name!r}: they must differ")
        option_of |= {name: option} if name else {}


def label_column_names(options: LabelColumns) -> list[str]:
    """The 0/1 columns; empty when the labels stand in one column."""
    return [name.strip() for name in options.label_columns.split(",") if name.strip()]


def columns_with_labels(options: LabelColumns) -> dict[str, str]:
    """The columns to read labels from, by the option that names them."""
    names = label_column_names(options)
    if not names:
        return {"data.label_column": options.label_column}
    return {f"data.label_columns ({name})": name for name in names}


def read_labels(
    task: Task, values: Mapping[str, Sequence[Any]], options: LabelColumns, *, origin: str
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
    names = label_column_names(options) if task == "multi-label" else []
    columns = names or [options.label_column]
    labels = []
    for number, cells in enumerate(zip(*(values[name] for name in columns), strict=True), start=1):
        try:
            labels.append(_flagged(names, cells) if names else _label(task, cells[0], options))
        except (TypeError, ValueError) as error:
            column = "data.label_columns" if names else "data.label_column"
            raise UsageError(f"{origin} row {number}: {error}: check {column} and data.task") from None
    return labels


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


def label_names(task: Task, labels: Iterable[Label]) -> list[str]:
    """Names of the outputs by index; none of a regression."""
    if task == "regression":
        return []
    return sorted_labels({name for label in labels for name in _names(label)})


def targets_of(task: Task, labels: Sequence[Label], names: Sequence[str]) -> NDArray[Any]:
    """Class indices int64 [rows], 0 or 1 for each label int64 [rows, labels], or values float64 [rows]."""
    if task == "regression":
        return np.array(labels, dtype=np.float64)
    index_of = {name: index for index, name in enumerate(names)}
    if task == "classification":
        return np.array([index_of[str(label)] for label in labels], dtype=np.int64)
    targets = np.zeros((len(labels), len(names)), dtype=np.int64)
    for row, label in enumerate(labels):
        targets[row, [index_of[name] for name in _names(label)]] = 1
    return targets


def strata_of(task: Task, labels: Sequence[Label]) -> list[str]:
    """What each row counts as when splits are to look alike; see the module."""
    if task == "classification":
        return [str(label) for label in labels]
    if task == "multi-label":
        counts = Counter(name for label in labels for name in _names(label))
        return [min(_names(label), key=lambda name: (counts[name], name), default=NO_LABEL) for label in labels]
    values = np.array(labels, dtype=np.float64)
    count = min(_TARGET_STRATA, max(1, len(values) // _ROWS_OF_A_STRATUM))
    edges = np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]) if len(values) else np.zeros(0)
    return [str(place) for place in np.searchsorted(edges, values).tolist()]


def check_label_sets(
    labels: Mapping[str, Sequence[Label]], minimum_count: int, *, counted: str, named: Sequence[str] = ()
) -> None:
    """Raises UsageError when several labels cannot be learnt: each must be there, and be absent, often enough.

    `labels` are by split; those of "train" are learnt from. `named` are labels that the config names.
    """
    train = labels["train"]
    counts = Counter(name for label in train for name in _names(label))
    if not counts:
        raise UsageError(f"no row of the training {counted} has a label after cleaning: check data.label_column(s)")
    for name in sorted_labels({*counts, *named}):
        rare, word = min((counts[name], "with"), (len(train) - counts[name], "without"))
        if rare < minimum_count:
            raise UsageError(
                f"too few {counted} {word} the label {name!r} after cleaning ({rare}): each label needs "
                f"{minimum_count} with it and as many without; add {counted}, leave the label out, or lower "
                "data.minimum_class_count"
            )
    _check_known({split: {name for label in found for name in _names(label)} for split, found in labels.items()})


def check_split_label_sets(labels: Mapping[str, Sequence[Label]], *, counted: str) -> None:
    """The same after splitting: what is rare may have gone into one part as a whole."""
    train = labels["train"]
    counts = Counter(name for label in train for name in _names(label))
    for name in sorted_labels({name for found in labels.values() for label in found for name in _names(label)}):
        if not 0 < counts[name] < len(train):
            which = "all" if counts[name] else "none"
            raise UsageError(
                f"{which} of the training {counted} have the label {name!r} after splitting: add {counted}, leave the "
                "label out, or set another training.seed"
            )


def _check_known(names: Mapping[str, set[str]]) -> None:
    for split in ("validation", "test"):
        if unknown := sorted(names[split] - names["train"]):
            raise UsageError(
                f"the {split} set has labels that the training data lacks: {', '.join(unknown[:_SHOWN_LABELS])}"
            )


def check_values(values: Sequence[Label], *, counted: str) -> None:
    """Raises UsageError when the numbers of the training rows cannot be learnt."""
    if len(values) < _FEWEST_VALUES:
        raise UsageError(
            f"the training data has {len(values)} {counted} after cleaning, and a regression needs ten: add some"
        )
    if len(set(values)) == 1:
        raise UsageError(f"data.label_column is {values[0]:g} in every row: choose another column")


def plain_label(label: Label) -> str | float | list[str]:
    """A label as JSON holds it."""
    return list(label) if isinstance(label, tuple) else label


def shown_label(label: Label) -> str:
    """A label for people."""
    if isinstance(label, tuple):
        return ", ".join(label) or "none"
    return label if isinstance(label, str) else f"{label:.4g}"


def _names(label: Label) -> tuple[str, ...]:
    return label if isinstance(label, tuple) else (str(label),)


def _label(task: Task, cell: Any, options: LabelColumns) -> Label | None:
    if task == "classification":
        return label_name(cell)
    return _label_set(cell, options) if task == "multi-label" else _value(cell)


def _value(cell: Any) -> float | None:
    name = label_name(cell)
    if name is None:
        return None
    try:
        value = float(name)
    except ValueError:
        raise ValueError(f"{name!r} is no number, and the task is a regression") from None
    return value if math.isfinite(value) else None


def _label_set(cell: Any, options: LabelColumns) -> tuple[str, ...] | None:
    """Several labels, sorted, each once; an empty list is none of them, and so is an empty cell if wanted."""
    if isinstance(cell, list | tuple | np.ndarray):
        names = [label_name(one.item() if isinstance(one, np.generic) else one) for one in cell]
    else:
        name = label_name(cell)
        if name is None:
            return () if options.empty_label == "none" else None
        separator = options.label_separator
        names = [part.strip() for part in (name.split(separator) if separator else [name])]
        if not any(names):  # separators and nothing between them
            return _label_set(None, options)
    return tuple(sorted({name for name in names if name}))


def _flagged(names: Sequence[str], cells: Sequence[Any]) -> tuple[str, ...] | None:
    """The columns that say yes; None when one of them is missing."""
    words = [label_name(cell) for cell in cells]
    if any(word is None for word in words):
        return None
    flagged = []
    for name, word in zip(names, words, strict=True):
        assert word is not None
        if word.lower() not in (*_YES, *_NO):
            raise ValueError(f"the column {name!r} holds {word!r}, not 0 or 1")
        if word.lower() in _YES:
            flagged.append(name)
    return tuple(sorted(flagged))


_SHOWN_CLASSES = 8


def label_summary(task: Task, labels: Sequence[Label]) -> dict[str, Any]:
    """Counts by class or label, with those that have none; or mean, minimum and maximum of values."""
    if task == "regression":
        values = np.array(labels, dtype=np.float64)
        return {"mean": float(values.mean()), "minimum": float(values.min()), "maximum": float(values.max())}
    if task == "classification":
        return {"classes": dict(sorted(Counter(map(str, labels)).items()))}
    counts = Counter(name for label in labels for name in (label if isinstance(label, tuple) else ()))
    return {"classes": dict(sorted(counts.items())), "without_label": sum(label == () for label in labels)}


def summary_words(summary: Mapping[str, Any]) -> str:
    """The same in a line."""
    if "mean" in summary:
        return f"{summary['minimum']:.4g} to {summary['maximum']:.4g}, mean {summary['mean']:.4g}"
    counts = sorted(summary["classes"].items(), key=lambda one: -one[1])
    what = "labels" if "without_label" in summary else "classes"
    words = [f"{label} {count:,}" for label, count in counts[:_SHOWN_CLASSES]]
    if len(counts) > _SHOWN_CLASSES:
        words.append(f"{len(counts) - _SHOWN_CLASSES} {what} more")
    if summary.get("without_label"):
        words.append(f"none {summary['without_label']:,}")
    return ", ".join(words)
