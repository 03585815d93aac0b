"""What a model may be asked about: texts and rows of tables, as plain Python values."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

CellValue: TypeAlias = float | int | str | bool | None
"""A value of a column: a number, a category by its name, true or false, or None for missing. NumPy's count too."""

TableRow: TypeAlias = Mapping[str, CellValue]
"""A row of a table: every column of the model by name, no other."""

Input: TypeAlias = str | TableRow
"""A text, or a row of a table; which of them the model's kind decides."""

ONLY_SOME_KINDS: Final = {"only_some_kinds": True}
"""Metadata of a dataclass's field that only some kinds of models fill; as JSON it is left out when it is empty."""

# pandas' own missing values, by name: pandas need not be installed.
_MISSING_TYPES = frozenset({"NAType", "NaTType"})


def kind_of(cell_type: type) -> Literal["number", "category", "missing"] | None:
    """As what a value of this type is sent; None when it cannot be a cell. A NaN's type is that of a number."""
    if cell_type is type(None) or cell_type.__name__ in _MISSING_TYPES:
        return "missing"
    if issubclass(cell_type, str | bool) or cell_type.__name__ in ("bool", "bool_"):  # the last two are NumPy's
        return "category"
    return "number" if issubclass(cell_type, numbers.Real) else None


def category(value: object) -> str:
    """The name of a category; a truth value is "true" or "false"."""
    return value if isinstance(value, str) else str(bool(value)).lower()
