"""The objectives by name, as data.task names them, and the one that the cells of a label speak for."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any  # cells as they were read

from explicate.errors import UsageError
from explicate_training.data.labels import class_name
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.multi_label import MultiLabel
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import Task

_TASKS: dict[str, Task] = {}

_MANY_VALUES = 20  # distinct numbers, from which they are rarely classes
_MOSTLY = 0.9  # part of the cells that what they are is said of
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}([./-])\d{1,2}\2\d{2}(\d{2})?")
_WRITTEN_NUMBER = re.compile(r"\(?[-+\u2212]?\s*[^\w\s]?\s*\d[\d.,'\u2019\s]*([^\w\s]|[^\W\d]{1,4})?\)?")


def register(task: Task) -> None:
    """Adds an objective, which configs can name from then on."""
    _TASKS[task.name] = task


def task_named(name: str) -> Task:
    """The objective of that name; a config's was checked."""
    return _TASKS[name]


def registered(what: str) -> tuple[str, ...]:
    """The "names" of all objectives, or all their "losses" or "metrics" that may choose a checkpoint."""
    found = {
        "names": list(_TASKS),
        "losses": [name for task in _TASKS.values() for name in task.losses],
        "metrics": [name for task in _TASKS.values() for name in task.checkpoint_metrics],
    }
    return tuple(dict.fromkeys(found[what]))


def task_of_cells(
    cells: Sequence[Any], numbers: Sequence[float | None], column: str, tell: Callable[[str], None]
) -> Task:
    """The objective that "auto" means: a class where the label is words, a regression where it is a measure.

    What could be either is asked about, not guessed.

    Args:
        cells: the label's, without missing ones.
        numbers: what each cell is as a number, None where it is none.
        column: the label's name.
        tell: hears how few numbers were read.

    Raises:
        UsageError: many whole numbers, a few fractions, dates, or numbers that are not written as such; it names the
            two settings that decide.
    """
    known = [number for number in numbers if number is not None]
    distinct = set(known)
    if known and len(known) == len(cells):
        whole = all(number.is_integer() for number in distinct)
        if whole == (len(distinct) > _MANY_VALUES):
            kind = "whole numbers" if whole else "numbers, some with fractions"
            raise _ask(column, f"{len(distinct):,} different {kind}")
        if whole and len(distinct) > 2:
            tell(
                f'{column}: {len(distinct)} whole numbers, read as classes: data.task = "regression" predicts a number'
            )
        return task_named("classification" if whole else "regression")
    odd = [cell for cell, number in zip(cells, numbers, strict=True) if number is None]
    words = [cell for cell in odd if isinstance(cell, str)]
    dates = [
        cell for cell in odd if isinstance(cell, date) or (isinstance(cell, str) and _DATE.fullmatch(cell.strip()))
    ]
    if odd and len(dates) >= _MOSTLY * len(cells):
        raise _ask(column, f"dates, such as {str(dates[0])!r}", "make a column of what is meant, or ")
    written = [word for word in words if _WRITTEN_NUMBER.fullmatch(word.strip()) and class_name(word) == word.strip()]
    values = len(distinct) + len(set(written))
    if odd and len(known) + len(written) >= _MOSTLY * len(cells) and values > _MANY_VALUES:
        reason = f"numbers, but {len(odd):,} cells are not written as such, {str(odd[0])!r} for one"
        raise _ask(column, reason, "add words for missing to data.missing_values, or ")
    return task_named("classification")


def _ask(column: str, found: str, before: str = "") -> UsageError:
    return UsageError(
        f'the label {column!r} holds {found}: {before}set data.task = "classification" if each is a class, or '
        'data.task = "regression" if they are a measure'
    )


for _task in (Classification(), MultiLabel(), Regression()):
    register(_task)
