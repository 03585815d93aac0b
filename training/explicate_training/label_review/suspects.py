"""Confident learning: which labels are likely wrong, by probabilities of a model that did not see them.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels (JAIR 2021), as cleanlab has it.
A class's threshold is the mean probability of it among the rows labelled so; the rows of other labels above it are
counted as its own, and as many are doubted as these counts say, those of the least margin first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError


@dataclass(frozen=True)
class Suspect:
    """A row whose label is likely wrong. `given` and `suggested` are classes by index."""

    row: int
    given: int
    suggested: int
    probability: float  # of the suggested class
    probability_given: float


def find_suspects(targets: NDArray[Any], probabilities: NDArray[np.float64]) -> list[Suspect]:
    """The rows that confident learning doubts, the likeliest wrong ones first.

    Args:
        targets: the given classes, int [rows].
        probabilities: out of fold, float64 [rows, classes].

    Raises:
        UsageError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError as error:
        raise UsageError(f"finding wrong labels needs {error.name}: pip install 'explicate[labels]'") from None
    if len(np.unique(targets)) < 2:
        return []
    # One process: its workers would copy the probabilities, and it takes well under a second for 100,000 rows.
    order = find_label_issues(targets, probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1)
    return suspects_of(order.tolist(), targets, probabilities)


def suspects_of(rows: Sequence[int], targets: NDArray[Any], probabilities: NDArray[np.float64]) -> list[Suspect]:
    """What is said of some rows, in their order."""
    return [
        Suspect(
            row=row,
            given=int(targets[row]),
            suggested=int(probabilities[row].argmax()),
            probability=float(probabilities[row].max()),
            probability_given=float(probabilities[row, targets[row]]),
        )
        for row in rows
    ]
