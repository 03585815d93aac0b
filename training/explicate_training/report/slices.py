"""Parts of the test rows on which the model is worse or better than on all: where to look before it is trusted."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # numbers of any type

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.outcomes.resampling import draws, interval

_FEWEST_ROWS = 20
_MOST_SHOWN = 12


@dataclass(frozen=True)
class Slice:
    """Some test rows, how many, and what they measure with its bootstrap interval.

    apart: whether the interval leaves out what all rows together measure.
    """

    name: str
    rows: int
    value: float
    lower: float
    upper: float
    apart: bool


def slices(
    groups: Mapping[str, NDArray[np.bool_]],
    measured: NDArray[np.float64],
    *,
    large_is_bad: bool,
    always: Collection[str] = (),
) -> list[Slice]:
    """Up to 12 groups of rows, the worst first; those of fewer than 20 rows, or of all, tell nothing.

    Args:
        groups: which rows a group has, bool [rows], by its name.
        measured: of each row, such as 1 for a right answer, float64 [rows]; a group has its mean.
        large_is_bad: whether it is an error.
        always: groups that are told however good they are.
    """
    everywhere = float(measured.mean())
    found = [
        _slice(name, measured[inside], everywhere)
        for name, inside in groups.items()
        if _FEWEST_ROWS <= inside.sum() < len(measured)
    ]
    sign = -1 if large_is_bad else 1
    ranked = sorted(found, key=lambda one: (sign * one.value, one.name))
    wanted = [one for one in ranked if one.name in always]
    shown = {one.name for one in [*wanted, *(one for one in ranked if one not in wanted)][:_MOST_SHOWN]}
    return [one for one in ranked if one.name in shown or one in wanted]


def _slice(name: str, measured: NDArray[np.float64], everywhere: float) -> Slice:
    means = np.concatenate([counts @ measured / len(measured) for counts in draws(len(measured))])
    lower, upper = interval(means) or (float("nan"), float("nan"))
    apart = not lower <= everywhere <= upper
    return Slice(name, len(measured), float(measured.mean()), lower, upper, apart)


def thirds(
    values: NDArray[Any], words: Sequence[str], shown: Callable[[float], str] = "{:.4g}".format
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The rows with the lowest, middle and highest third of values, by three words, with their range."""
    known = values[~np.isnan(values)]
    if not len(known):
        return
    first, second = np.quantile(known, [1 / 3, 2 / 3])
    parts = (values <= first, (values > first) & (values <= second), values > second)
    for word, inside in zip(words, parts, strict=True):
        if inside.any():
            yield f"{word} ({shown(values[inside].min())} to {shown(values[inside].max())})", inside
