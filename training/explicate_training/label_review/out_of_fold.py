"""What a simple model thinks of each row when it was fitted to others: k folds, none of which knows a row's twin."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from explicate.errors import UsageError
from explicate_training.label_review.label_model import FittedLabels, LabelModel, Reason

FOLDS = 5


@dataclass(frozen=True)
class OutOfFold:
    """The answers of k models, each to the rows that it did not see.

    Attributes:
        model: what they are called.
        probabilities: float64 [rows, classes].
        fold: of each row, intp [rows].
        fitted: the model of each fold.
    """

    model: str
    probabilities: NDArray[np.float64]
    fold: NDArray[np.intp]
    fitted: Sequence[FittedLabels]

    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:
        """Why the model that did not see a row thinks that it is of another class."""
        return self.fitted[int(self.fold[row])].reasons(row, given, suggested)


def kept_together(keys: Sequence[Hashable], groups: Sequence[Hashable] | None) -> NDArray[np.intp]:
    """What may not be torn apart, intp [rows]: rows that are the same, rows of a group, and chains of both."""
    rows = len(keys)
    _, first = np.unique(np.array(list(map(str, keys))), return_inverse=True)
    if groups is None:
        return np.asarray(first, dtype=np.intp)
    _, second = np.unique(np.array(list(map(str, groups))), return_inverse=True)
    ones = np.ones(rows, dtype=np.int8)
    edges = coo_matrix((ones, (first, second + first.max() + 1)), shape=(2 * rows + 1, 2 * rows + 1))
    _, parts = connected_components(edges, directed=False)
    return np.asarray(parts[first], dtype=np.intp)


def folds_of(targets: NDArray[Any], together: NDArray[np.intp], *, folds: int, seed: int) -> NDArray[np.intp]:
    """The fold of each row, intp [rows]: of each class about the same share, and what belongs together in one.

    Raises:
        UsageError: there are fewer rows, or groups of them, than folds.
    """
    alone = len(np.unique(together)) == len(together)
    if len(np.unique(together)) < folds:
        raise UsageError(f"--folds {folds} needs at least as many rows that differ: give fewer folds")
    rows = np.zeros((len(targets), 1))
    # A class of fewer rows than folds is in some of them only: scikit-learn would warn, so it counts as the commonest.
    counts = np.bincount(targets)
    strata = np.where(counts[targets] < folds, counts.argmax(), targets)
    splitter: Any = StratifiedKFold if alone else StratifiedGroupKFold
    among = {} if alone else {"groups": together}
    split = splitter(folds, shuffle=True, random_state=seed).split(rows, strata, **among)
    found = np.zeros(len(targets), dtype=np.intp)
    for fold, (_, held) in enumerate(split):
        found[held] = fold
    return found


def out_of_fold(
    model: LabelModel, targets: NDArray[Any], fold: NDArray[np.intp], *, classes: int, told: Callable[[int, int], None]
) -> OutOfFold:
    """Fits the model once a fold, to the rows of all others; `told` hears how many folds of how many are done."""
    probabilities = np.zeros((len(targets), classes))
    fitted: list[FittedLabels] = []
    folds = int(fold.max()) + 1
    for number in range(folds):
        held = np.flatnonzero(fold == number)
        fitted.append(model.fit(np.flatnonzero(fold != number)))
        probabilities[held] = fitted[-1].probabilities(held)
        told(number + 1, folds)
    return OutOfFold(model.name, probabilities, fold, fitted)
