"""scikit-learn's gradient-boosted trees on the same splits: what a network for tables must be measured against.

They get their chance: of a few learning rates and tree sizes, and of all numbers of trees, the validation rows choose
the best, as they choose the network's checkpoint.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import Any  # scikit-learn's estimators

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from explicate_bundle.columns import TableRows
from explicate_training.label_review.label_model import FittedLabels, LabelModel, Reason, Rows, spread, strongest
from explicate_training.table.date_parts import DatePlaces
from explicate_training.table.fitting import TableExamples
from explicate_training.tasks.task import baseline_loss

_LEARNING_RATES, _LEAVES, _TREES = (0.03, 0.1), (6, 31), 200
_LABELS_TREES, _LABELS_BACKGROUND = 60, 20
_MOST_CATEGORIES = 250  # that these trees tell apart; columns with more are read as numbers


class TreeLabels(LabelModel):
    """Gradient-boosted trees, to doubt labels by; `columns` are the names of the numbers and codes, in their order."""

    name = "gradient-boosted trees"

    def __init__(
        self, rows: TableExamples, columns: Sequence[str], classes: int, *, seed: int, dates: DatePlaces
    ) -> None:
        """The rows are read as the network reads them."""
        self.rows, self.columns, self.classes, self.seed, self.dates = rows, columns, classes, seed, dates

    def fit(self, rows: Rows) -> FittedLabels:
        examples = _with_date_parts(self.some(rows), self.dates)
        # Fewer leaves and trees than the baseline's: nothing stops them from learning wrong labels by heart.
        model = _fit(
            examples, self.classes, learning_rate=0.1, leaves=6, seed=self.seed, monotone={}, trees=_LABELS_TREES
        )
        return _FittedTreeLabels(self, rows, model)

    def some(self, rows: Rows) -> TableExamples:
        """These rows, with their targets."""
        return TableExamples(self.rows.encoded[rows], self.rows.targets[rows])


class _FittedTreeLabels(FittedLabels):
    def __init__(self, of: TreeLabels, rows: Rows, model: Any) -> None:
        self._of, self._model = of, model
        places = np.linspace(0, len(rows) - 1, min(len(rows), _LABELS_BACKGROUND)).astype(int)
        self._others = of.some(rows[places]).encoded

    def probabilities(self, rows: Rows) -> NDArray[np.float64]:
        return self._shares(self._of.some(rows).encoded)

    def _shares(self, encoded: TableRows) -> NDArray[np.float64]:
        examples = _with_date_parts(TableExamples(encoded, np.zeros(len(encoded))), self._of.dates)
        return spread(self._model.predict_proba(_matrix(examples.encoded)), self._model.classes_, self._of.classes)

    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:
        """By how much the log-odds fall, on average, when a column has the cell of another row."""
        own, others = self._of.some(np.array([row])).encoded, self._others
        count, numbers = len(others), own.numbers.shape[1]
        columns = numbers + own.codes.shape[1]
        varied = own[np.zeros(columns * count, dtype=int)]
        for column in range(columns):
            rows = slice(column * count, (column + 1) * count)
            if column < numbers:
                varied.numbers[rows, column] = others.numbers[:, column]
            else:
                varied.codes[rows, column - numbers] = others.codes[:, column - numbers]
        odds = [_log_odds(self._shares(one), given, suggested) for one in (own, varied)]
        return strongest(self._of.columns, odds[0] - odds[1].reshape(columns, count).mean(axis=1))


def _log_odds(shares: NDArray[np.float64], given: int, suggested: int) -> NDArray[np.float64]:
    logs = np.log(np.maximum(shares, 1e-6))
    return np.asarray(logs[:, suggested] - logs[:, given])


def boosted_trees_outputs(
    train: TableExamples,
    validation: TableExamples,
    test: TableExamples,
    *,
    classes: int,
    seed: int,
    dates: DatePlaces,
    monotone: Mapping[int, int] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """What the best trees answer on "validation" and "test": log-probabilities float64 [rows, classes].

    Without classes they answer values [rows, 1]. They read of the `dates` what the network reads. `monotone`: 1 or -1
    for the places of numbers that only raise or only lower the value, or the probability of the second of two classes.
    """
    train, validation, test = (_with_date_parts(examples, dates) for examples in (train, validation, test))
    fitted = [
        _fit(train, classes, learning_rate=rate, leaves=leaves, seed=seed, monotone=monotone or {})
        for rate, leaves in product(_LEARNING_RATES, _LEAVES)
    ]
    # One stage at a time: all of them of a table with many rows and classes are too many to keep.
    _, which, trees = min(
        (baseline_loss(outputs, validation.targets, classes), which, trees)
        for which, estimator in enumerate(fitted)
        for trees, outputs in enumerate(_staged(estimator, validation.encoded, classes))
    )
    return {
        name: next(islice(_staged(fitted[which], examples.encoded, classes), trees, None))
        for name, examples in (("validation", validation), ("test", test))
    }


def _with_date_parts(examples: TableExamples, dates: DatePlaces) -> TableExamples:
    numbers = dates.expanded(torch.from_numpy(examples.encoded.numbers)).numpy()
    return replace(examples, encoded=replace(examples.encoded, numbers=numbers))


def _fit(
    train: TableExamples,
    classes: int,
    *,
    learning_rate: float,
    leaves: int,
    seed: int,
    monotone: Mapping[int, int],
    trees: int = 0,
) -> Any:
    constraints = np.zeros(train.encoded.numbers.shape[1] + train.encoded.codes.shape[1])
    constraints[list(monotone)] = list(monotone.values())
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    estimator = kind(
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        max_iter=trees or _TREES,
        early_stopping=False,
        categorical_features=_categorical(train.encoded),
        random_state=seed,
        monotonic_cst=constraints if monotone else None,
    )
    return estimator.fit(_matrix(train.encoded), train.targets)


def _staged(estimator: Any, encoded: TableRows, classes: int) -> Iterator[NDArray[np.float64]]:
    """Outputs after each tree, which are not kept."""
    matrix = _matrix(encoded)
    if not classes:
        yield from (values[:, np.newaxis] for values in estimator.staged_predict(matrix))
    else:
        yield from (np.log(np.maximum(share, 1e-12)) for share in estimator.staged_predict_proba(matrix))


def _matrix(encoded: TableRows) -> NDArray[np.float64]:
    return np.concatenate([encoded.numbers.astype(np.float64), encoded.codes.astype(np.float64)], axis=1)


def _categorical(encoded: TableRows) -> list[int]:
    """Columns of the matrix that hold codes the trees can take."""
    first = encoded.numbers.shape[1]
    return [first + place for place, column in enumerate(encoded.codes.T) if column.max() < _MOST_CATEGORIES]
