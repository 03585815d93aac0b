"""A cell of a file as a value for a column of the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from explicate.errors import InvalidArgument, invalid_argument
from explicate.inputs import CellValue

if TYPE_CHECKING:
    from explicate.model_info import Column

_SHOWN_CHARACTERS = 40  # of a wrong value
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PLAIN_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")  # as servers read it


def cell_value(written: object, column: Column) -> CellValue:
    """The value for `column` of a string, or of what JSON has; raises InvalidArgument when it does not fit.

    An empty string, a word that means missing, and JSON's null are missing. Texts of numbers and dates that are not
    written as programs write numbers are left to the server, which knows how the training file writes them.
    """
    if written is None or (isinstance(written, str) and written.strip() in ("", *column.missing_words)):
        return None
    if isinstance(written, list | dict):
        raise _wrong_value(written, column, "not a value")
    if column.type in ("number", "date"):
        return _number(written, column)
    if column.type == "boolean":
        if (truth := _TRUTH.get(str(written).strip().lower())) is None:
            raise _wrong_value(written, column, "not true or false")
        return truth
    return str(written).lower() if isinstance(written, bool) else str(written)


def _number(written: object, column: Column) -> CellValue:
    if isinstance(written, bool):
        raise _wrong_value(written, column, "not a number")
    if isinstance(written, int | float):
        return written
    text = str(written).strip()
    if column.written or not _PLAIN_NUMBER.fullmatch(text):
        return text
    return int(text) if text.lstrip("+-").isdecimal() else float(text)  # shown again as it was written


def _wrong_value(written: object, column: Column, problem: str) -> InvalidArgument:
    shown = repr(written)
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"
    return invalid_argument("row", f"column {column.name}: {shown} is {problem}")
