"""A number: squared, absolute or Huber's error, and how good a regression is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any  # cells as they were read; JSON values; any float type

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeRegressor
from torch import Tensor
from torch.nn import functional

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import Counts, Samples, mean
from explicate_training.config.sections import LabelledData, TrainingOptions
from explicate_training.data.labels import finite, label_name, parse_number
from explicate_training.report import figures
from explicate_training.tasks.task import (
    SMALL_TREE,
    TREE_FOLDS,
    Drawing,
    Evaluation,
    FitBaseline,
    LabelRules,
    Loss,
    Metrics,
    Mistakes,
    Outputs,
    TargetScale,
    Task,
)

_TARGET_STRATA, _ROWS_OF_A_STRATUM = 10, 20  # of a stratum with few rows more than the wanted fraction is taken
_FEWEST_VALUES = 10


class Regression(Task):
    """A row has a number. Models answer in standard deviations from its mean."""

    name = "regression"
    weighs_rows = True
    losses = ("mse", "mae", "huber")
    checkpoint_metrics = ("r2", "mae", "rmse")
    default_metric = "mae"
    errors = ("mae", "rmse")
    smooths_labels = False
    problem_type = "regression"
    score = ("r2", "R²")
    spare_score = ("mae", "mean absolute error")
    label_field = "value"
    labels_word = ""
    curves = {"r2": "R²", "mae": "mean absolute error"}
    shown = {"r2": "R²", "mae": "mean absolute error", "median_mae": "(always the median)", "rmse": "root mean square"}
    shown_form = ".4g"
    titles = {
        "r2": "R², part of the variance explained",
        "mae": "mean absolute error",
        "rmse": "root mean square error",
    }
    caption = "In the first drawing a perfect model's points lie on the dashed line; the second has the errors."
    sliced = ("mean absolute error", True)
    mistakes_about = "The answers that are furthest off."
    mistake_size = "error"

    def label(self, cells: Sequence[Any], options: LabelledData) -> float | None:
        """The number that the cell holds; None when it is infinite."""
        name = label_name(cells[0])
        if name is None:
            return None
        value = parse_number(cells[0])
        if value is None:  # Python's float would take 1_000 and ٣
            raise ValueError(f"{name!r} is no number, and the task is a regression")
        return value if math.isfinite(value) else None

    def table_labels(self, columns: Mapping[str, Sequence[Any]], options: LabelledData) -> NDArray[np.float64]:
        """Numbers as those of any other column."""
        cells = columns[options.label_column]
        numbers = [None if cell is None else parse_number(cell) for cell in cells]
        for row, (cell, number) in enumerate(zip(cells, numbers, strict=True), start=1):
            if cell is not None and number is None:
                raise UsageError(
                    f"data.task is regression, but row {row} has the label {cell!r}: "
                    "check data.label_column, or add the word to data.missing_values"
                )
        return finite(numbers)

    def plain(self, label: float) -> float:
        return label

    def words(self, label: float) -> str:
        return f"{label:.4g}"

    def names(self, labels: Sequence[float]) -> list[str]:
        return []

    def outputs(self, names: Sequence[str]) -> list[str]:
        return ["value"]

    def targets(self, labels: Sequence[float], names: Sequence[str]) -> NDArray[np.float64]:
        return np.array(labels, dtype=np.float64)

    def strata(self, labels: Sequence[float]) -> list[str]:
        """The tenth of the values that each falls into, or a larger part of them when there are few rows."""
        values = np.array(labels, dtype=np.float64)
        count = min(_TARGET_STRATA, max(1, len(values) // _ROWS_OF_A_STRATUM))
        edges = np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]) if len(values) else np.zeros(0)
        return [str(place) for place in np.searchsorted(edges, values).tolist()]

    def check_labels(self, labels: Mapping[str, Sequence[float]], rules: LabelRules) -> None:
        values = labels["train"]
        if len(values) < _FEWEST_VALUES:
            raise UsageError(
                f"the training data has {len(values)} {rules.counted} after cleaning, and a regression needs ten: add "
                "some"
            )
        if len(set(values)) == 1:
            raise UsageError(f"data.label_column is {values[0]:g} in every row: choose another column")

    def summary(self, labels: Sequence[float]) -> dict[str, Any]:
        values = np.array(labels, dtype=np.float64)
        return {"mean": float(values.mean()), "minimum": float(values.min()), "maximum": float(values.max())}

    def summary_line(self, summary: Mapping[str, Any]) -> str:
        return f"{summary['minimum']:.4g} to {summary['maximum']:.4g}, mean {summary['mean']:.4g}"

    def summary_words(self, summary: Mapping[str, Any]) -> str:
        return f"mean {summary['mean']:.4g}, from {summary['minimum']:.4g} to {summary['maximum']:.4g}"

    def scale(self, targets: NDArray[Any]) -> TargetScale:
        return TargetScale(float(targets.mean()), float(targets.std()) or 1.0)

    def standard(self, targets: NDArray[Any], scale: TargetScale) -> NDArray[np.float32]:
        return scale.standard(targets).astype(np.float32)

    def in_unit(self, values: NDArray[Any], scale: TargetScale) -> NDArray[Any]:
        return scale.value(values)

    def loss(self, targets: NDArray[Any], outputs: int, training: TrainingOptions) -> Loss:
        """The error that was chosen, in standard deviations."""

        def loss(outputs: Any, labels: Tensor, weights: Tensor | None = None, **_: Any) -> Tensor:
            values = outputs["logits"].float().squeeze(-1)
            wanted = (labels.unsqueeze(1) if values.dim() == 2 else labels).expand_as(values)
            reduction = "mean" if weights is None else "none"
            if training.loss == "mae":
                losses = functional.l1_loss(values, wanted, reduction=reduction)
            elif training.loss == "huber":
                losses = functional.huber_loss(values, wanted, delta=training.huber_delta, reduction=reduction)
            else:
                losses = functional.mse_loss(values, wanted, reduction=reduction)
            return losses if weights is None else (losses * weights.reshape(-1, *[1] * (values.dim() - 1))).mean()

        return loss

    def metrics(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], *, counted: str) -> Metrics:
        """Of values float [rows, 1]; R² is None when all targets are equal.

        R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)²: the part of the targets' variance that is explained.
        """
        targets = targets.astype(np.float64)
        errors = outputs[:, 0].astype(np.float64) - targets
        spread = float(np.square(targets - targets.mean()).sum())
        return {
            counted: len(targets),
            "r2": 1 - float(np.square(errors).sum()) / spread if spread else None,
            "mae": float(np.abs(errors).mean()),
            "rmse": float(np.sqrt(np.square(errors).mean())),
            # What always answering the median would reach: the floor for mae.
            "median_mae": float(np.abs(targets - np.median(targets)).mean()),
        }

    def constant(self, targets: NDArray[Any], labels: Sequence[str]) -> tuple[NDArray[np.float64], str]:
        return np.array([targets.mean()], dtype=np.float64), "always answering the mean"

    def resampled(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], counts: Counts) -> Samples:
        """As `metrics`, on draws of the rows."""
        values = targets.astype(np.float64)
        errors = outputs[:, 0].astype(np.float64) - values
        centred = values - values.mean()  # float32 counts keep no more digits than the spread needs
        spread = mean(np.square(centred), counts) - np.square(mean(centred, counts))
        squared = mean(np.square(errors), counts)
        explained = np.full(len(counts), np.nan)
        np.divide(squared, spread, out=explained, where=spread > 0)
        return {"r2": 1 - explained, "mae": mean(np.abs(errors), counts), "rmse": np.sqrt(squared)}

    def baseline(self, fit: FitBaseline, parts: Sequence[Any], *, classes: int) -> dict[str, NDArray[np.float64]]:
        return fit(*parts, classes=0)

    def leakage(self, values: NDArray[np.float32], targets: NDArray[Any]) -> float | None:
        folds = KFold(TREE_FOLDS, shuffle=True, random_state=0)
        predicted = cross_val_predict(DecisionTreeRegressor(**SMALL_TREE), values, targets, cv=folds)
        return float(r2_score(targets, predicted))

    def headline(
        self, test: Mapping[str, Any], labels: Sequence[str], target_name: str, counted: str
    ) -> tuple[str, str, str]:
        return (
            f"to predict {target_name}. On {test[counted]:,} test {counted} it is off by",
            f"{test['mae']:.4g}",
            f" on average; always answering the median would be off by {test['median_mae']:.4g}.",
        )

    def drawings(self, test: Evaluation, labels: Sequence[str], target_name: str, *, counted: str) -> list[Drawing]:
        drawn = figures.residuals(test.outputs[:, 0], test.targets, target_name, counted=counted)
        return [Drawing(drawn, "Predicted against true values, and errors")]

    def sliced_by_row(self, test: Evaluation, labels: Sequence[str]) -> NDArray[np.float64]:
        """The absolute error of each row, in the unit of the target."""
        return self.mistakes(test, labels)[0]

    def mistakes(self, test: Evaluation, labels: Sequence[str]) -> Mistakes:
        """By the distance from the true value."""
        values = test.outputs[:, 0].astype(np.float64)
        return (
            np.abs(values - test.targets),
            lambda row: self.words(test.targets[row]),
            lambda row: self.words(values[row]),
        )
