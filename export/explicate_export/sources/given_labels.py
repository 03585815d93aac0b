"""What is right of the inputs that were given, where a column says so, and how good the model is by it."""

from collections.abc import Callable, Sequence
from typing import Any  # labels: names, lists of names, numbers; metrics

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_export.described import DescribedModel

_DRAWS = 2000  # of the bootstrap, as training's own
_CONFIDENCE = 0.95
Metric = Callable[[NDArray[np.intp]], float]


def label_of(cell: Any, labels: Sequence[str], *, several: bool) -> Any:
    """A cell as the label of the model that it names, as several, or, without labels, as a number; None if it is empty.

    A label is named by its name or by its index. Raises UsageError for what names none.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if not labels:
        return _number(cell)
    if several:
        parts = cell if isinstance(cell, list) else str(cell).replace(";", ",").split(",")
        return [_named(part, labels) for part in parts if str(part).strip()]
    return _named(cell, labels)


def _number(cell: Any) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise UsageError(f"its label {cell!r} is not a finite number, which this model predicts")
    return value


def _named(cell: Any, labels: Sequence[str]) -> str:
    text = str(cell).strip()
    if text in labels:
        return text
    try:
        place = int(float(text)) if float(text).is_integer() else -1
    except (ValueError, OverflowError):
        place = -1
    if 0 <= place < len(labels):
        return labels[place]
    known = ", ".join(map(repr, labels[:10])) + (", …" if len(labels) > 10 else "")
    raise UsageError(f"its label is {text[:60]!r}, and the model has {known}")


def measured(model: DescribedModel, labels: Sequence[Any], outputs: NDArray[np.float64]) -> dict[str, Any]:
    """Metrics of the answers float64[rows, outputs] where the labels are known, with 95 % bootstrap intervals.

    Empty if no label is known; as the key "test" of a run's metrics.json.
    """
    known = [index for index, label in enumerate(labels) if label is not None]
    if not known:
        return {}
    answers, right = outputs[known], [labels[index] for index in known]
    metrics = _METRICS[model.record.objective](answers, right, model.labels)
    stream = np.random.Generator(np.random.Philox(0))
    draws = stream.integers(0, len(known), (_DRAWS, len(known)))
    ends = [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]
    found: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    for name, metric in metrics.items():
        found[name] = metric(np.arange(len(known)))
        drawn = np.array([metric(draw) for draw in draws])
        if len(known) > 1 and np.isfinite(drawn).all():
            intervals[name] = np.quantile(drawn, ends).tolist()
    return {**found, "intervals": intervals}


def _of_classes(answers: NDArray[np.float64], right: Sequence[Any], labels: Sequence[str]) -> dict[str, Metric]:
    hits = answers.argmax(axis=1) == np.array([labels.index(label) for label in right])
    return {"accuracy": lambda rows: float(hits[rows].mean())}


def _of_labels(answers: NDArray[np.float64], right: Sequence[Any], labels: Sequence[str]) -> dict[str, Metric]:
    wanted = np.array([[label in each for label in labels] for each in right])
    given = answers > 0  # a logit above 0 is a probability above a half
    return {
        "accuracy": lambda rows: float((given[rows] == wanted[rows]).all(axis=1).mean()),
        "hamming_accuracy": lambda rows: float((given[rows] == wanted[rows]).mean()),
    }


def _of_values(answers: NDArray[np.float64], right: Sequence[Any], labels: Sequence[str]) -> dict[str, Metric]:  # noqa: ARG001
    missed = answers[:, 0] - np.array(right, dtype=np.float64)
    return {
        "mae": lambda rows: float(np.abs(missed[rows]).mean()),
        "rmse": lambda rows: float(np.sqrt((missed[rows] ** 2).mean())),
    }


_METRICS: dict[str, Callable[[NDArray[np.float64], Sequence[Any], Sequence[str]], dict[str, Metric]]] = {
    "classification": _of_classes,
    "multi-label": _of_labels,
    "regression": _of_values,
}
