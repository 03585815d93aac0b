"""What is right of the inputs that were given, where a column says so, and how good the model is by it."""

from collections.abc import Sequence
from typing import Any  # labels: names, lists of names, numbers; metrics

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_bundle.objective import Objective
from explicate_bundle.standard.verdicts import Bounds
from explicate_export.golden_inputs import spread_evenly
from explicate_standards.outcomes.measures import Measure, measures_of
from explicate_standards.outcomes.outcomes import Outcomes, targets_of
from explicate_standards.standard.bounds import bootstrapped

_ONE_SIDED = 0.975  # of each end of a 95 % interval
_MOST_DRAWN = 10_000  # rows for intervals, whose draws would take long otherwise


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


def measured(
    objective: Objective, names: Sequence[str], labels: Sequence[Any], outputs: NDArray[np.float64]
) -> dict[str, Any]:
    """Metrics of the answers float64[rows, outputs] where the labels are known, with 95 % bootstrap intervals.

    Empty if no label is known; as the key "test" of a run's metrics.json. ``names`` are those of the outputs.
    """
    known = [row for row, label in enumerate(labels) if label is not None]
    if not known:
        return {}
    right = [_target(labels[row], names) if objective.least_labels else labels[row] for row in known]
    outcomes = Outcomes("", objective, tuple(names), outputs[known], targets_of(objective, names, right))
    drawn = outcomes.of(np.isin(np.arange(len(known)), spread_evenly(range(len(known)), _MOST_DRAWN)))
    found: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    for name, measure in measures_of(objective.answer).items():
        if not measure.of_class and np.isfinite(value := measure.value(outcomes)):
            found[name] = value
            bounds = _bounds(measure, drawn)
            if len(drawn) > 1 and np.isfinite([bounds.lower, bounds.upper]).all():
                intervals[name] = [bounds.lower, bounds.upper]
    return {**found, "intervals": intervals}


def _bounds(measure: Measure, outcomes: Outcomes) -> Bounds:
    return bootstrapped(lambda counts: measure.samples(outcomes, counts, None), len(outcomes), _ONE_SIDED)


def _target(label: Any, names: Sequence[str]) -> int | tuple[int, ...]:
    return tuple(map(names.index, label)) if isinstance(label, list) else names.index(label)
