"""How far a metric may be off because the rows it was measured on are a sample: the bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: rows are drawn with replacement, as many as
there are, again and again; the interval lies between percentiles of the metric over these draws. A draw is how often
each row was drawn, so that a metric of 2,000 draws is a few products of matrices. All models are measured on the same
draws, so that differences between them are paired.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
CONFIDENCE = 0.95
_CELLS_AT_ONCE = 4_000_000  # rows x draws held at a time: 16 MB

Counts = NDArray[np.floating[Any]]
"""How often each row was drawn, [draws, rows]; its rows sum to the number of rows.

Draws are float32, for speed; a metric of the rows as they are, one draw that has each once, is exact in float64.
"""
Samples = dict[str, NDArray[np.float64]]
"""Values of metrics by name, [draws] each; NaN where a draw leaves one undefined."""
Interval = tuple[float, float]


def as_they_are(rows: int) -> Counts:
    """One draw that has each row once."""
    return np.ones((1, rows), np.float64)


def draws(rows: int, *, seed: int = 0, count: int = RESAMPLES) -> Iterator[Counts]:
    """`count` draws of `rows` rows in blocks; the same for a seed."""
    stream = np.random.Generator(np.random.Philox(seed))
    block = max(1, _CELLS_AT_ONCE // rows)
    for start in range(0, count, block):
        size = min(block, count - start)
        places = stream.integers(0, rows, (size, rows)) + np.arange(size)[:, None] * rows
        yield np.bincount(places.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float32)


def resampled(measure: Callable[[Counts], Samples], rows: int, *, seed: int = 0) -> Samples:
    """What `measure` says of all draws of that many rows."""
    parts = [measure(counts) for counts in draws(rows, seed=seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(samples: NDArray[np.float64]) -> Interval | None:
    """Where a metric lies with `CONFIDENCE`; None if no draw defines it."""
    known = samples[np.isfinite(samples)]
    if not len(known):
        return None
    lower, upper = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return lower, upper


def intervals(samples: Samples, metrics: Mapping[str, Any]) -> dict[str, list[float]]:
    """[lower, upper] of each metric that is defined and was resampled, as JSON has it."""
    found = {name: interval(values) for name, values in samples.items() if metrics.get(name) is not None}
    return {name: list(ends) for name, ends in found.items() if ends is not None}


# Metrics of draws, float64 [draws] of counts [draws, rows].


def mean(values: NDArray[Any], counts: Counts) -> NDArray[np.float64]:
    """The mean of a value float [rows]."""
    return np.asarray(counts @ values.astype(counts.dtype) / counts.shape[1], dtype=np.float64)


def scores_of_decisions(
    predicted: NDArray[np.bool_], true: NDArray[np.bool_], counts: Counts
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 [draws, outputs] of decisions bool [rows, outputs]; 0 where one is undefined."""
    hits, answered, there = (
        (counts @ flags.astype(counts.dtype)).astype(np.float64) for flags in (predicted & true, predicted, true)
    )
    return _share(hits, answered), _share(hits, there), _share(2 * hits, answered + there)


def area_under_roc(scores: NDArray[Any], positive: NDArray[np.bool_], counts: Counts) -> NDArray[np.float64]:
    """The share of pairs of a positive and a negative row that the score puts in order, ties by half.

    Of scores float [rows]; NaN where all rows of a draw are of one sort.
    """
    of_positives, wanted = counts[:, positive], scores[positive]
    negatives, steps = _rising(scores[~positive], counts[:, ~positive])
    below = (steps[:, negatives.searchsorted(wanted)] + steps[:, negatives.searchsorted(wanted, "right")]) / 2
    pairs = of_positives.sum(axis=1, dtype=np.float64) * steps[:, -1]
    return _share(np.einsum("ij,ij->i", of_positives, below), pairs, undefined=np.nan)


def average_precision(scores: NDArray[Any], positive: NDArray[np.bool_], counts: Counts) -> NDArray[np.float64]:
    """The sum over thresholds of precision times what is gained in recall; NaN where a draw has no positive row."""
    of_positives, wanted = counts[:, positive], scores[positive]
    found = []
    for rows in (positive, ~positive):
        values, steps = _rising(scores[rows], counts[:, rows])
        found.append(steps[:, -1:] - steps[:, values.searchsorted(wanted)])  # of rows that score as high
    hits, false_alarms = found
    precision = _share(hits, hits + false_alarms)
    return _share(np.einsum("ij,ij->i", of_positives, precision), of_positives.sum(axis=1), undefined=np.nan)


def mean_of_defined(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of several metrics [draws] over those that are defined; NaN where none is."""
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    return _share(np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0), undefined=np.nan)


def _rising(scores: NDArray[Any], counts: Counts) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Scores in order, and how many of the draws lie below each and, last, in all: [rows], [draws, rows + 1]."""
    order = np.argsort(scores, kind="stable")
    steps = np.zeros((len(counts), len(scores) + 1))
    np.cumsum(counts[:, order], axis=1, out=steps[:, 1:])
    return scores[order], steps


def _share(part: NDArray[Any], whole: NDArray[Any], *, undefined: float = 0.0) -> NDArray[np.float64]:
    shares = np.full(np.shape(part), undefined, dtype=np.float64)
    np.divide(part, whole, out=shares, where=np.asarray(whole) > 0)
    return shares
