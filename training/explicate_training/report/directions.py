"""Which parts move answers most over the explained rows, and in which direction: `Grounds` of a report and a card.

A value that was explained for one output of two speaks as much against it as for the other, so both count for the
second. Of more outputs each row speaks of its own; a part's direction is that of the output which it moves most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # cells of a table

import numpy as np
from scipy.stats import spearmanr

from explicate_bundle.telling.grounds import Ground, Saying, strongest

_MOST_PARTS = 12
_FEWEST_ROWS = 3  # of which a direction is told
_ONE_WAY = 0.75  # of its rows a part moves the answer in one direction
_RISING = 0.4  # Spearman's rank correlation of a number with what it adds
_MOST_VALUES = 2


@dataclass(frozen=True)
class SignedRow:
    """What the parts of an explained row add to the score of its output, by key.

    `cells` are those of a table's row. `placed`: parts are places, which say nothing of what is in them.
    """

    output: int
    values: Mapping[str, float]
    cells: Mapping[str, Any]
    placed: bool = False


def directed(parts: Sequence[Ground], rows: Sequence[SignedRow], labels: Sequence[str]) -> tuple[Ground, ...]:
    """The strongest parts with when they speak for which output.

    Args:
        parts: all parts with their strengths.
        rows: the explained rows.
        labels: of the outputs; empty of a regression.
    """
    found = []
    for one in strongest(parts, _MOST_PARTS):
        known = [_towards(row, one.name, labels) for row in rows if one.name in row.values and not row.placed]
        found.append(Ground(one.name, one.strength, one.lower, one.upper, _says(known, labels)))
    return tuple(found)


@dataclass(frozen=True)
class _Moved:
    """How far a part moved an output in one row, and the cell of a table."""

    output: int
    value: float
    cell: Any
    is_cell: bool


def _towards(row: SignedRow, name: str, labels: Sequence[str]) -> _Moved:
    value, output = row.values[name], row.output
    if len(labels) == 2:
        value, output = (value if output == 1 else -value), 1
    return _Moved(output, value, row.cells.get(name), name in row.cells)


def _says(known: Sequence[_Moved], labels: Sequence[str]) -> tuple[Saying, ...]:
    if not known:
        return ()
    of_output = {one.output: [each for each in known if each.output == one.output] for one in known}
    output, moved = max(of_output.items(), key=lambda one: sum(abs(each.value) for each in one[1]))
    if len(moved) < _FEWEST_ROWS:
        return ()
    if not moved[0].is_cell:
        return _by_presence(moved, output, labels)
    numbers = [one for one in moved if isinstance(one.cell, int | float) and not isinstance(one.cell, bool)]
    return _by_number(numbers, output, labels) if numbers else _by_value(moved, output, labels)


def _by_presence(moved: Sequence[_Moved], output: int, labels: Sequence[str]) -> tuple[Saying, ...]:
    up = float(np.mean([one.value > 0 for one in moved]))
    return (_saying("there", up > 0.5, output, labels),) if max(up, 1 - up) >= _ONE_WAY else ()


def _by_number(moved: Sequence[_Moved], output: int, labels: Sequence[str]) -> tuple[Saying, ...]:
    cells, values = [float(one.cell) for one in moved], [one.value for one in moved]
    if len(moved) < _FEWEST_ROWS or len(set(cells)) < 2 or len(set(values)) < 2:
        return ()
    rising = float(spearmanr(cells, values).statistic)
    return (_saying("higher", rising > 0, output, labels),) if abs(rising) >= _RISING else ()


def _by_value(moved: Sequence[_Moved], output: int, labels: Sequence[str]) -> tuple[Saying, ...]:
    """The values that move the answer most, each way the first."""
    by_value: dict[str, list[float]] = {}
    for one in moved:
        by_value.setdefault("missing" if one.cell is None else str(one.cell), []).append(one.value)
    means = {value: float(np.mean(found)) for value, found in by_value.items() if len(found) >= _FEWEST_ROWS}
    ranked = sorted(means.items(), key=lambda one: one[1])
    ends = dict([*ranked[-1:], *ranked[:1]])
    told = [(value, mean) for value, mean in ends.items() if (mean > 0) == (value == ranked[-1][0]) and mean]
    chosen = sorted(told or ranked[-1:], key=lambda one: -abs(one[1]))[:_MOST_VALUES]
    return tuple(_saying("value", mean > 0, output, labels, value=value) for value, mean in chosen)


def _saying(when: Any, up: bool, output: int, labels: Sequence[str], *, value: str = "") -> Saying:
    """Of two outputs what speaks against the second speaks for the first."""
    if not labels:
        return Saying(when, "", up, value)
    if len(labels) == 2:
        return Saying(when, labels[1] if up else labels[0], True, value)
    return Saying(when, labels[output], up, value)
