"""Parts of the test rows on which the model is worse or better than on all: where to look before it is trusted."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any  # numbers of any type

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.outcomes.resampling import draws, interval
from explicate_bundle.telling.slice_notes import SliceNote, SliceNotes

_FEWEST_ROWS = 20
_MOST_SHOWN = 12
_MOST_SMALL = 100


def slices(
    groups: Mapping[str, NDArray[np.bool_]],
    measured: NDArray[np.float64],
    *,
    large_is_bad: bool,
    always: Collection[str] = (),
) -> list[SliceNote]:
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


def slice_notes(
    groups: Mapping[str, NDArray[np.bool_]],
    by_row: NDArray[np.float64],
    *,
    sliced: tuple[str, bool],
    always: Collection[str] = (),
) -> SliceNotes:
    """The groups as they are recorded; `sliced` says what was measured and whether large is bad. See `slices`."""
    measured, large_is_bad = sliced
    found = slices(groups, by_row, large_is_bad=large_is_bad, always=always)
    sizes = {name: int(inside.sum()) for name, inside in groups.items()}
    small = {name: rows for name, rows in sorted(sizes.items(), key=lambda one: one[1]) if 0 < rows < _FEWEST_ROWS}
    named = dict(list(small.items())[:_MOST_SMALL])
    return SliceNotes(measured, large_is_bad, float(by_row.mean()), tuple(found), named)


def _slice(name: str, measured: NDArray[np.float64], everywhere: float) -> SliceNote:
    means = np.concatenate([counts @ measured / len(measured) for counts in draws(len(measured))])
    lower, upper = interval(means) or (float("nan"), float("nan"))
    apart = not lower <= everywhere <= upper
    return SliceNote(name, len(measured), float(measured.mean()), lower, upper, apart)


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
