"""A model that somebody fitted: what it predicts, and what it answers for rows of a frame."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # models of libraries without types

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explicate_bundle.columns import MISSING_CODE, UNKNOWN_CODE
from explicate_export.errors import UsageError, first_line
from explicate_export.estimators.answered import is_classifier
from explicate_export.estimators.column_uses import kind, unwrapped
from explicate_export.estimators.forest.boosters import BOOSTERS, is_booster, xgboost_outputs
from explicate_export.estimators.frame import FrameColumns

Labels = Sequence[Any] | Mapping[Any, str] | None
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FittedModel:
    """A fitted classifier or regressor.

    Attributes:
        model: as it was given.
        classes: those of a classifier, as it knows them; empty for a regression.
        labels: their names.
    """

    model: Any
    classes: tuple[Any, ...]
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is, such as "Pipeline of ColumnTransformer and LogisticRegression"."""
        model = unwrapped(self.model)
        if kind(model) == "Pipeline":
            return f"Pipeline of {' and '.join(kind(step) for _, step in model.steps)}"
        return kind(model)

    @property
    def library(self) -> str:
        """The package that it is of."""
        known = {"sklearn": "scikit-learn", "xgboost": "XGBoost", "lightgbm": "LightGBM"}
        package = type(self.model).__module__.partition(".")[0]
        return known.get(package, package)

    def answers(self, rows: Any) -> _Floats:
        """Probabilities float64[rows, classes], or values float64[rows, 1]; raises what the model raises."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_booster(self.model):
                return self._boosted(rows)
            told = self.model.predict_proba(rows) if self.classes else self.model.predict(rows)
        return np.asarray(told, dtype=np.float64).reshape(len(rows), -1)

    def otherwise(self, rows: Any, answers: _Floats) -> int:
        """For how many rows `predict` is not the class with the highest probability."""
        if not self.classes or not hasattr(self.model, "predict_proba"):
            return 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = np.asarray(self.model.predict(rows)).reshape(-1)
        return int((np.asarray(self.model.classes_)[answers.argmax(axis=1)] != chosen).sum())

    def _boosted(self, rows: Any) -> _Floats:
        if kind(self.model) == "Booster" and hasattr(self.model, "save_raw"):
            import xgboost

            if not isinstance(rows, pd.DataFrame) and self.model.feature_names is not None:
                rows = pd.DataFrame(rows, columns=self.model.feature_names)
            types = None if isinstance(rows, pd.DataFrame) else self.model.feature_types
            rows = xgboost.DMatrix(rows, enable_categorical=True, feature_types=types)
        told = np.asarray(self.model.predict(rows), dtype=np.float64)
        told = told.reshape(len(told), -1)
        return np.column_stack([1 - told, told]) if len(self.classes) == 2 and told.shape[1] == 1 else told


def fitted_model(model: Any, labels: Labels) -> FittedModel:
    """Checks what was given; raises UsageError in one sentence for what cannot be exported."""
    if is_booster(model):
        return _booster(model, labels)
    inner = unwrapped(model)
    name = kind(inner)
    if name.startswith("MultiOutput") or name in ("ClassifierChain", "RegressorChain"):
        raise UsageError(f"the model ({name}) predicts several things at once: export a model of each")
    if not hasattr(inner, "predict"):
        raise UsageError(f"the model ({name}) does not predict: give a fitted classifier or regressor, or a Pipeline")
    if name == "TunedThresholdClassifierCV":
        raise UsageError(
            "the model (TunedThresholdClassifierCV) moves the threshold of another: export its estimator_, whose "
            "probabilities are the same"
        )
    if name == "TransformedTargetRegressor":
        raise UsageError(
            "the model (TransformedTargetRegressor) transforms its target with a function of yours: export its "
            "regressor_, which answers on the transformed scale"
        )
    _check_fitted(inner, name)
    if is_classifier(inner):
        classes = _classes(inner, name)
        return FittedModel(model, classes, _named(classes, labels))
    from sklearn.base import is_regressor

    if not is_regressor(inner):
        raise UsageError(f"the model ({name}) is neither a classifier nor a regressor")
    if labels is not None:
        raise UsageError("labels: the model predicts a number; leave them out")
    return FittedModel(model, (), ())


def _check_fitted(model: Any, name: str) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        raise UsageError(f"the model ({name}) is not fitted: call its fit first") from None
    except TypeError as error:
        raise UsageError(f"the model ({name}) is not an estimator of scikit-learn: {first_line(error)}") from None


def _classes(model: Any, name: str) -> tuple[Any, ...]:
    if not hasattr(model, "predict_proba"):
        raise UsageError(
            f"the model ({name}) has no predict_proba: fit it inside CalibratedClassifierCV, so that it has "
            "probabilities"
        )
    classes = model.classes_
    if isinstance(classes, list) or np.ndim(classes) != 1:
        raise UsageError(f"the model ({name}) predicts several things at once: export a model of each")
    if len(classes) < 2:
        raise UsageError(f"the model knows one class only, {classes[0]}: there is nothing to explain")
    return tuple(value.item() if isinstance(value, np.generic) else value for value in classes)


def _named(classes: Sequence[Any], labels: Labels) -> tuple[str, ...]:
    if labels is None:
        told = [_plain(value) for value in classes]
    elif isinstance(labels, Mapping):
        by_name = {_plain(key): name for key, name in labels.items()}
        missing = [value for value in classes if _plain(value) not in by_name]
        if missing:
            raise UsageError(f"labels: there is none for the class {missing[0]!r}")
        told = [str(by_name[_plain(value)]) for value in classes]
    else:
        if isinstance(labels, str):
            raise UsageError("labels is one text; give a list with a name for each class")
        told = [_plain(value) for value in labels]
        if len(told) != len(classes):
            known = ", ".join(map(str, classes))
            raise UsageError(f"labels: {len(told)} names, and the model has {len(classes)} classes ({known})")
    if not all(told):
        raise UsageError("labels: one is empty")
    if len(set(told)) < len(told):
        twice = next(name for name in told if told.count(name) > 1)
        raise UsageError(f"labels: two classes have the name {twice!r}")
    return tuple(told)


def _plain(value: Any) -> str:
    """A class as a name: 1 of 1.0, too."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _booster(model: Any, labels: Labels) -> FittedModel:
    library = next(one for one in BOOSTERS if one.knows(model))
    link = library.link(model)
    if link == "log-odds":
        classes: tuple[Any, ...] = (0, 1)
    elif link == "softmax":
        if hasattr(model, "save_raw") and "multi:softmax" in model.save_config():
            raise UsageError("the booster answers classes without probabilities: fit it with multi:softprob")
        classes = tuple(range(_outputs(model)))
    elif labels is not None:
        raise UsageError("labels: the model predicts a number; leave them out")
    else:
        return FittedModel(model, (), ())
    return FittedModel(model, classes, _named(classes, labels))


def _outputs(model: Any) -> int:
    return int(model.num_model_per_iteration()) if hasattr(model, "num_model_per_iteration") else xgboost_outputs(model)


@dataclass(frozen=True)
class Substitutes:
    """What the graph sees where the model itself refuses to answer, and how that is said in the card."""

    columns: FrameColumns  # whose values for unknown and missing are some that the model takes
    missing_numbers: tuple[float, ...]  # for each number column: NaN, or the number in its place
    told: tuple[str, ...]


def substitutes(fitted: FittedModel, columns: FrameColumns, frame: pd.DataFrame) -> Substitutes:
    """Asks the model for rows with missing and unknown values, and finds others for those that it refuses."""
    rows = columns.encoded(frame.iloc[:1])
    refused = _Refusals(fitted, columns, rows.numbers.astype(np.float64)[0], rows.codes[0])
    numbers, others = columns.numbers, columns.others
    no_number = refused.among(len(numbers), np.nan, of_numbers=True)
    no_missing = refused.among(len(others), MISSING_CODE, of_numbers=False)
    no_unknown = refused.among(len(others), UNKNOWN_CODE, of_numbers=False)
    changed: dict[int, tuple[Any, ...]] = {}
    told = [f"`{numbers[place].name}`: the median, {numbers[place].typical:g}" for place in sorted(no_number)]
    for column in others:
        values, place = column.values, column.place
        assert values is not None
        missing = column.typical if place in no_missing else values[1]
        unknown = missing if place in no_unknown else values[0]
        changed[column.position] = (unknown, missing, *values[2:])
        if place in no_missing:
            told.append(f"`{column.name}`: the most frequent one, {column.typical}")
    unseen = [f"`{column.name}`" for column in others if column.place in no_unknown]
    sentences = []
    if told:
        sentences.append(
            "The model itself refuses missing values in some columns. The bundle answers them as if they were "
            f"{_some(told)}."
        )
    if unseen:
        sentences.append(
            f"The model itself refuses categories that it does not know in {_some(unseen)}. The bundle answers them as "
            "missing, and the answer says that they are unknown."
        )
    filled = tuple(one.typical if one.place in no_number else np.nan for one in numbers)
    return Substitutes(columns.with_values(changed), filled, tuple(sentences))


def _some(told: Sequence[str]) -> str:
    return ", ".join(told[:8]) + (f" and {len(told) - 8} more" if len(told) > 8 else "")


@dataclass(frozen=True)
class _Refusals:
    """Asks a model for a row with one value changed."""

    fitted: FittedModel
    columns: FrameColumns
    numbers: _Floats  # [number columns]
    codes: NDArray[np.int64]  # [other columns]

    def among(self, places: int, value: float, *, of_numbers: bool) -> set[int]:
        """The places at which the model refuses the value; many at once are asked, for most models refuse none."""
        numbers = np.repeat(self.numbers[np.newaxis], places, axis=0)
        codes = np.repeat(self.codes[np.newaxis], places, axis=0)
        np.fill_diagonal(numbers if of_numbers else codes, value)
        rows = self.columns.asked(self.columns.decoded(numbers, codes)) if places else None
        return self._refused(rows, 0, places)

    def _refused(self, rows: Any, first: int, end: int) -> set[int]:
        if first == end or self._taken(rows[first:end]):
            return set()
        if end - first == 1:
            return {first}
        if not any(self._taken(rows[row : row + 1]) for row in {first, (first + end) // 2, end - 1}):
            return {row for row in range(first, end) if not self._taken(rows[row : row + 1])}  # as good as all
        middle = (first + end) // 2
        return self._refused(rows, first, middle) | self._refused(rows, middle, end)

    def _taken(self, rows: Any) -> bool:
        try:
            return bool(np.isfinite(self.fitted.answers(rows)).all())
        except Exception:  # whatever its parts raise
            return False
