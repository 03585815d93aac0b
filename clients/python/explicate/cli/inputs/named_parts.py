"""Parts of an input as flags have them: --group NAME=PART,PART and --fixed PART,PART."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from explicate.cli.inputs import KINDS
from explicate.errors import UsageError
from explicate.options import Part, PixelBox, PixelPolygon, Segment, TextRange

_FORM = re.compile(r"(span|pair|segment|box|polygon|name):(.*)", re.DOTALL)


def forms() -> str:
    """How parts of each kind of input are written."""
    return "; ".join((*(kind.parts for kind in KINDS.values()), "name:… for a name that looks like one of these"))


def read_groups(given: Sequence[str] | None) -> Mapping[str, Sequence[Part]] | None:
    """Groups by name; None without any. Raises UsageError for one that is not NAME=PART,PART, or comes twice."""
    groups: dict[str, Sequence[Part]] = {}
    for written in given or ():
        name, equals, parts = written.partition("=")
        if not equals or not name.strip() or not parts.strip():
            raise UsageError(f"--group {written}: write NAME=PART,PART, such as means=income,savings")
        if name in groups:
            raise UsageError(f"--group {name}: comes twice; put all of its parts behind one")
        groups[name] = _parts(parts, f"--group {name}")
    return groups or None


def read_fixed(given: Sequence[str] | None) -> Sequence[Part] | None:
    """Fixed parts; None without any."""
    return [part for written in given or () for part in _parts(written, "--fixed")] or None


def _parts(written: str, flag: str) -> list[Part]:
    """Parts between commas; one that holds a comma is in double quotes, as in CSV."""
    (cells,) = csv.reader([written], skipinitialspace=True)
    return [_part(cell, flag) for cell in cells]


def _part(written: str, flag: str) -> Part:
    form = _FORM.fullmatch(written)
    if form is None:
        return written
    kind, rest = form.groups()
    if kind == "name":
        return rest
    try:
        return _READERS[kind](rest.split(":"))
    except (ValueError, TypeError):
        raise UsageError(f"{flag}: {written!r} is no part; a part is {forms()}") from None


def _range(numbers: list[str], *, in_pair: bool = False) -> TextRange:
    start, end = map(int, numbers)
    return TextRange(start, end, in_pair)


def _box(numbers: list[str]) -> PixelBox:
    left, top, right, bottom = map(float, numbers)
    return PixelBox(left, top, right, bottom)


def _polygon(numbers: list[str]) -> PixelPolygon:
    points = zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True)
    return PixelPolygon(tuple(points))


_READERS: Mapping[str, Callable[[list[str]], Part]] = {
    "span": _range,
    "pair": partial(_range, in_pair=True),
    "segment": lambda numbers: Segment(*map(int, numbers)),
    "box": _box,
    "polygon": _polygon,
}
