"""What is written in a cell of a file, as the value of its column."""

from __future__ import annotations

import math

from explicate.errors import InvalidArgument, invalid_argument
from explicate.inputs import CellValue
from explicate.model_info import Column

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SHOWN = 40  # characters of a wrong value


def cell_value(written: object, column: Column) -> CellValue:
    """The value for `column` of a string, or of what JSON has; raises InvalidArgument when it does not fit.

    An empty string and JSON's null are missing. A category's name may be a number.
    """
    if written is None or (isinstance(written, str) and not written.strip()):
        return None
    if isinstance(written, list | dict):
        raise _refusal(written, column, "not a value")
    if column.type == "number":
        return _number(written, column)
    if column.type == "boolean":
        if (truth := _TRUTH.get(str(written).strip().lower())) is None:
            raise _refusal(written, column, "not true or false")
        return truth
    return str(written).lower() if isinstance(written, bool) else str(written)


def _number(written: object, column: Column) -> float | int:
    text = str(written)
    plain = "" if isinstance(written, bool) or "_" in text else text  # Python would take 1_000 for a number
    try:
        number = float(plain)
    except ValueError:
        raise _refusal(written, column, "not a number") from None
    if not math.isfinite(number):
        raise _refusal(written, column, "not a finite number; leave the cell empty where the value is missing")
    return int(plain) if plain.strip().lstrip("+-").isdecimal() else number  # shown again as it was written


def _refusal(written: object, column: Column, problem: str) -> InvalidArgument:
    shown = repr(written)
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
    return invalid_argument("row", f"column {column.name}: {shown} is {problem}")
