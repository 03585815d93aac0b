"""Suspects columns that alone predict the label: they often hold what is known only after the label is.

Each column by itself is given to a small decision tree and judged in cross-validation. Suspects are named, not dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # labels

import numpy as np
from numpy.typing import NDArray

from explicate_training.table.encoding import ColumnSchema, EncodedTable
from explicate_training.tasks.task import Task

_MOST_ROWS = 4000  # of the table, evenly chosen: enough to tell .98 from .9


@dataclass(frozen=True)
class Suspect:
    """A column that alone predicts the label this well."""

    column: str
    metric: str  # "AUROC" or "R²"
    score: float


def leakage_suspects(
    encoded: EncodedTable, targets: NDArray[Any], schema: Sequence[ColumnSchema], task: Task, *, threshold: float
) -> list[Suspect]:
    """Columns whose cross-validated score (AUROC, of numbers R²) reaches the threshold, the best first.

    `targets` are as the task gives them. A threshold of 1 finds nothing, quickly.
    """
    if threshold >= 1:
        return []
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _MOST_ROWS)).astype(int)
    suspects = []
    numbers, codes = iter(encoded.numbers.T), iter(encoded.codes.T)
    for column in schema:
        values = next(numbers) if column.type == "number" else next(codes).astype(np.float32)
        score = task.leakage(values[rows, np.newaxis], targets[rows])
        if score is not None and score >= threshold:
            suspects.append(Suspect(column.name, task.score[1], round(score, 4)))
    return sorted(suspects, key=lambda suspect: -suspect.score)
