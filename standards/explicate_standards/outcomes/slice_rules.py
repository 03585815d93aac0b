"""Slices of the test rows, such as `words < 12`: declared by a standard, parsed, and never run as a program.

A slice is a condition in the language of `explicate score --explain-if` on what a row has: what its kind of input tells
of it (`words` and `characters` of texts, the columns of a table, `brightness` and the like of pictures), every other
field of the row's line, and `label`, what is right. Besides,
`any_word(not, never, n't)` is true of texts with one of the words, and `column:race` is a slice for each value that the
column has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate.scoring.conditions.row_rules import rows_of
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput, kind_of

Masks = Mapping[str, NDArray[np.bool_]]
"""Which rows a slice has, bool[rows], by its name."""

_COLUMN = "column:"
_NOT_OF_A_ROW = frozenset({"row", "outputs", "rationale", "rationale_pair", "label", "labels", "value"})
_MOST_VALUES = 50


@dataclass(frozen=True)
class SliceRule:
    """One slice of a standard: its name and its rule."""

    name: str
    rule: str


def masks(rules: Sequence[SliceRule], rows: Sequence[LabelledInput], model: EvaluatedModel) -> Masks:
    """Which rows each slice has. A slice without rows is there, too: a requirement on it cannot be met.

    Raises:
        UsageError: names the slice and what is wrong with its rule.
    """
    known = _fields(rows, model)
    found: dict[str, NDArray[np.bool_]] = {}
    for rule in rules:
        try:
            found.update(
                _of_values(rule, known)
                if rule.rule.startswith(_COLUMN)
                else {rule.name: np.array(rows_of(rule.rule, known), dtype=np.bool_)}
            )
        except UsageError as error:
            raise UsageError(f"[slices] {rule.name}: {error}") from None
    return found


def _of_values(rule: SliceRule, known: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for value, rows in _values(rule.rule.removeprefix(_COLUMN).strip(), known).items():
        yield f"{rule.name}: {value}", rows


def values_of(column: str, rows: Sequence[LabelledInput], model: EvaluatedModel) -> Masks:
    """Which rows have a value of a column, bool[rows], by value.

    Raises:
        UsageError: no row has the column, or it has too many values.
    """
    return _values(column, _fields(rows, model))


def _values(column: str, known: Mapping[str, Sequence[Any]]) -> Masks:
    if column not in known:
        raise UsageError(f"no row has a column {column!r}; there are {', '.join(known)}")
    values = ["missing" if value is None else str(value) for value in known[column]]
    different = sorted(set(values))
    if len(different) > _MOST_VALUES:
        raise UsageError(
            f"the column {column!r} has {len(different):,} values, and at most {_MOST_VALUES} make slices: "
            f"write a condition, such as {column} < 5"
        )
    return {value: np.array([value == one for one in values]) for value in different}


def _fields(rows: Sequence[LabelledInput], model: EvaluatedModel) -> dict[str, list[Any]]:
    """What conditions may name, by column: the value of each row, None where it has none."""
    found = [dict(_fields_of(row, model)) for row in rows]
    names = dict.fromkeys(name for fields in found for name in fields)
    return {name: [fields.get(name) for fields in found] for name in names}


def _fields_of(row: LabelledInput, model: EvaluatedModel) -> Iterator[tuple[str, Any]]:
    yield from kind_of(model).fields(row).items()
    for name, value in row.line.items():
        if name not in _NOT_OF_A_ROW and isinstance(value, str | int | float | bool):
            yield name, value
    if isinstance(row.label, int) and model.kind.predicts.least_labels:
        yield "label", model.labels[row.label]
    elif not isinstance(row.label, tuple):
        yield "label", row.label
