"""What the parts of a model answer, and the rows that they are asked with."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal  # models of libraries without types

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import TableRows
from explicate_export.estimators.features import Assembly, Coded, Features

Form = Literal["logits", "probabilities", "values"]
LEAST_PROBABILITY = 1e-7
"""Trees answer 0 and 1, which have no logit."""
_CLOSE = 1e-9  # of the same formula in 64 bits
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """What a model answers.

    Attributes:
        tensor: float32 or float64 [batch, width].
        width: one column for each class; one for a value.
        form: what it is.
        told: a sentence for the card on how it was made.
        moved: thresholds of trees that moved to 32-bit numbers.
        torn: bool[rows], rows of the sample that no threshold can send where the model does.
    """

    tensor: str
    width: int
    form: Form
    told: str
    moved: int = 0
    torn: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Setting:
    """What the parts of a model have in common: the graph, and the rows of the sample in its form."""

    assembly: Assembly
    rows: TableRows


def is_classifier(model: Any) -> bool:
    """Whether it chooses classes."""
    from sklearn.base import is_classifier as is_sklearn_classifier

    return bool(is_sklearn_classifier(model))


def own_rows(setting: Setting, given: Features) -> _Floats:
    """The sample as the model's own numbers float64[rows, features], those of codes by their tables."""
    columns = []
    told = given.rows if not any(isinstance(one, Coded) for one in given.features) else None
    for place, feature in enumerate(given.features):
        if isinstance(feature, Coded):
            codes = setting.rows.codes[:, feature.column.place]
            columns.append(feature.numbers[codes] if _has_numbers(feature) else codes.astype(np.float64))
        else:
            columns.append(told[:, place] if told is not None else given.chosen([place]).rows[:, 0])
    return np.column_stack(columns)


def _has_numbers(feature: Coded) -> bool:
    return not any(isinstance(value, str) for value in feature.values)


def ask(call: Callable[[Any], Any], sample: Any) -> Any:
    """What a method of a model answers for a sample; it may warn of anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(sample)


def same(answers: _Floats, others: _Floats) -> bool:
    """Whether two arrays hold the same numbers, but for the rounding of 64 bits."""
    if answers.shape != others.shape:
        return False
    spread = max(1.0, float(np.abs(answers).max(initial=0.0)))
    return bool((np.abs(answers - others) <= _CLOSE * spread).all())
