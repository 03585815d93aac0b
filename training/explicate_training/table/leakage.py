"""Suspects columns that alone predict the label: they often hold what is known only after the label is.

Each column by itself is given to a small decision tree and judged in cross-validation. Suspects are named, not dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # labels

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from explicate_training.data.labels import Task
from explicate_training.table.encoding import ColumnSchema, EncodedTable
from explicate_training.tasks.classification import auroc

_FOLDS = 3
_MOST_ROWS = 4000  # of the table, evenly chosen: enough to tell .98 from .9
_LEAVES, _ROWS_IN_A_LEAF = 32, 5


@dataclass(frozen=True)
class Suspect:
    """A column that alone predicts the label this well."""

    column: str
    metric: str  # "AUROC" or "R²"
    score: float


def leakage_suspects(
    encoded: EncodedTable, targets: NDArray[Any], schema: Sequence[ColumnSchema], task: Task, *, threshold: float
) -> list[Suspect]:
    """Columns whose cross-validated AUROC (regression: R²) reaches the threshold, the best first.

    `targets` are as `targets_of` gives them; of several labels the largest AUROC counts. A threshold of 1 finds
    nothing, quickly.
    """
    if threshold >= 1:
        return []
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _MOST_ROWS)).astype(int)
    metric = "R²" if task == "regression" else "AUROC"
    suspects = []
    numbers, codes = iter(encoded.numbers.T), iter(encoded.codes.T)
    for column in schema:
        values = next(numbers) if column.type == "number" else next(codes).astype(np.float32)
        score = _score(values[rows, np.newaxis], targets[rows], task)
        if score is not None and score >= threshold:
            suspects.append(Suspect(column.name, metric, round(score, 4)))
    return sorted(suspects, key=lambda suspect: -suspect.score)


def _score(values: NDArray[np.float32], targets: NDArray[Any], task: Task) -> float | None:
    """What a tree reaches on rows it has not seen; scikit-learn's trees read NaN as missing."""
    shape = {"max_leaf_nodes": _LEAVES, "min_samples_leaf": _ROWS_IN_A_LEAF, "random_state": 0}
    if task == "regression":
        folds = KFold(_FOLDS, shuffle=True, random_state=0)
        predicted = cross_val_predict(DecisionTreeRegressor(**shape), values, targets, cv=folds)
        return float(r2_score(targets, predicted))
    if task == "multi-label":
        return _label_score(values, targets, shape)
    if np.bincount(targets).min() < _FOLDS:
        return None
    stratified = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(**shape)
    return auroc(cross_val_predict(tree, values, targets, cv=stratified, method="predict_proba"), targets)


def _label_score(values: NDArray[np.float32], targets: NDArray[Any], shape: dict[str, int]) -> float | None:
    """The largest AUROC of a label, by one tree for the shares of all labels."""
    folds = KFold(_FOLDS, shuffle=True, random_state=0)
    shares = cross_val_predict(DecisionTreeRegressor(**shape), values, targets, cv=folds).reshape(targets.shape)
    both = (targets.min(axis=0) == 0) & (targets.max(axis=0) == 1)
    areas = [roc_auc_score(targets[:, label], shares[:, label]) for label in np.flatnonzero(both)]
    return float(max(areas)) if areas else None
