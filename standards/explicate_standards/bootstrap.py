"""How far a statistic may be off because its inputs are a sample: the percentile bootstrap over inputs.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Inputs are drawn with replacement, as many as
there are, 2,000 times; the interval lies between percentiles of the statistic over these draws. The draws follow from
the number of inputs alone, so two models that were measured on the same inputs are compared on the same draws.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from explicate_standards.metric import Figure, Floats, Measured, Metric, Reduce, Statistic

DRAWS = 2_000
CONFIDENCE = 0.95
_CELLS_AT_ONCE = 2_000_000  # draws x inputs held at a time: 16 MB


def figure(name: str, figures: Floats, reduce: Reduce) -> Figure | None:
    """A statistic of float64[inputs] with its interval; None without any input."""
    if not len(figures):
        return None
    lower, upper = _ends(_resampled(figures, reduce))
    return Figure(name, float(reduce(figures)), lower, upper, len(figures))


def difference(name: str, first: Floats, second: Floats, reduce: Reduce) -> Figure | None:
    """By how much a statistic of `first` is above that of `second`, both float64[inputs] of the same inputs.

    Paired: both are resampled by the same draws, so what makes an input hard for both takes nothing from the
    comparison.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} inputs cannot be paired")
    if not len(first):
        return None
    lower, upper = _ends(_resampled(first, reduce) - _resampled(second, reduce))
    return Figure(name, float(reduce(first) - reduce(second)), lower, upper, len(first))


def figures(metric: Metric, measured: Sequence[Measured]) -> dict[str, Figure]:
    """What is told of a metric, by the statistics' own names; those that no input defines are left out."""
    told = {statistic.name: _told(metric.id, statistic, measured) for statistic in metric.statistics}
    return {name: known for name, known in told.items() if known is not None}


def _told(metric_id: str, statistic: Statistic, measured: Sequence[Measured]) -> Figure | None:
    known = [value for of_input in measured if isinstance(value := of_input.get(statistic.key), float)]
    name = f"{metric_id}.{statistic.name}" if statistic.name else metric_id
    return figure(name, np.array(known, dtype=np.float64), statistic.reduce)


def _resampled(values: Floats, reduce: Reduce) -> Floats:
    places = draws(len(values))
    block = max(1, _CELLS_AT_ONCE // len(values))
    return np.concatenate([reduce(values[places[first : first + block]]) for first in range(0, DRAWS, block)])


@lru_cache(maxsize=8)
def draws(inputs: int) -> NDArray[np.intp]:
    """Which inputs each draw has, intp[DRAWS, inputs]; the same for a number of inputs."""
    return np.random.Generator(np.random.Philox(inputs)).integers(0, inputs, (DRAWS, inputs), dtype=np.intp)


def _ends(resampled: Floats) -> tuple[float, float]:
    lower, upper = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return lower, upper
