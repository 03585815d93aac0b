"""What a requirement is about, and where its figure must be: all that a server needs of one.

What it is about is its table without its id and its line: `{"metric": "accuracy", "against": "live"}`. A figure that a
bundle has on record is judged by every requirement that is about the same, wherever its line is now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # TOML values

from explicate_bundle.errors import StandardError
from explicate_bundle.standard.standard_file import is_number
from explicate_bundle.standard.verdicts import Line

_AT_LEAST, _AT_MOST = "at_least", ("at_most", "failures_at_most")
_MARGIN, _RATIO = "margin", "ratio"
_LINE_KEYS = frozenset({_AT_LEAST, *_AT_MOST, _MARGIN})
_NOT_ABOUT = frozenset({"id", "slices"}) | _LINE_KEYS

Identity = Mapping[str, Any]


def identity(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the table of a requirement is about."""
    return {key: value for key, value in given.items() if key not in _NOT_ABOUT}


@dataclass(frozen=True)
class RequiredLine:
    """A requirement, as a record is judged by it. `slices` are names of rules; None: all rows."""

    id: str
    identity: Identity
    line: Line
    slices: tuple[str, ...] | None


def required_line(given: Mapping[str, Any], slices: Sequence[str], _has_suite: bool) -> RequiredLine:
    """Of the table of a requirement.

    Raises:
        StandardError: it has no line, or more than one.
    """
    named = given.get("slices")
    listed = [named] if isinstance(named, str) else named
    if listed is not None and not isinstance(listed, list):
        raise StandardError('slices is "all", or a list of names of [slices]')
    chosen = None if listed is None else tuple(slices if "all" in listed else map(str, listed))
    return RequiredLine(str(given["id"]), identity(given), _line(given), chosen)


def _line(given: Mapping[str, Any]) -> Line:
    found = [key for key in given if key in _LINE_KEYS]
    if len(found) == 1 and is_number(value := given[found[0]]):
        if found[0] == _MARGIN:
            return Line(0.0 - float(value), at_least=True)
        return Line(float(value), at_least=found[0] == _AT_LEAST)
    if not found and is_number(given.get(_RATIO)):
        return Line(0.0, at_least=True)  # the figure is what it is above the ratio
    raise StandardError("it has one of at_least, at_most, margin, ratio and failures_at_most, with a number")
