"""Parts of an input as a caller names them, for groups of players and fixed ones: by name, by place, or drawn.

What a part covers of its players is told in places: a player has one place, or several where it is several columns or
all places of a word. A player belongs to whoever covers all of its places.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from explicate.options import PixelBox, PixelPolygon, Segment, TextRange
from explicate.reading.nearest import did_you_mean


@dataclass(frozen=True)
class Named:
    """A column, or a group of columns of the schema; all places of words in a row as written."""

    name: str


KINDS = {
    Named: "a name",
    TextRange: "a range of a text",
    Segment: "a segment",
    PixelBox: "a box",
    PixelPolygon: "a polygon",
}
"""What they are called."""
Region: TypeAlias = PixelBox | PixelPolygon
Part: TypeAlias = Named | TextRange | Segment | Region
Place: TypeAlias = tuple[int, int]
"""A player, and the number of one of its places."""


class PartProblem(Exception):
    """What is wrong with a part of this input, in the words that follow its path."""


class RegionProblem(PartProblem):
    """The same of a part among those of several owners; ``at`` is the owner and the part's place among its own."""

    def __init__(self, problem: str, at: tuple[int, int]) -> None:
        super().__init__(problem)
        self.at = at


def column_places(part: Part, players: Sequence[tuple[str, Sequence[str]]], *, unread: Collection[str]) -> list[Place]:
    """The places of a player of a table, or of one of its columns; each has a name and columns."""
    assert isinstance(part, Named)
    for number, (name, columns) in enumerate(players):
        if name == part.name:
            return [(number, place) for place in range(len(columns))]
    for number, (_, columns) in enumerate(players):
        if part.name in columns:
            return [(number, list(columns).index(part.name))]
    if part.name in unread:
        raise PartProblem(f"{part.name!r} is a column that the model does not read; leave it out")
    near = did_you_mean(part.name, [name for name, _ in players], most=1)
    raise PartProblem(f"{part.name!r} is not a column of the model{near}")


def covered(region: Region, shape: tuple[int, int], seen: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Which pixels of a map have their centres in a region, bool[height, width].

    Args:
        region: in upright pixels.
        shape: height and width of the map.
        seen: the box of upright pixels that the map shows: left, top, right, bottom.
    """
    (height, width), (left, top, right, bottom) = shape, seen
    xs = left + (np.arange(width) + 0.5) * (right - left) / width
    ys = top + (np.arange(height) + 0.5) * (bottom - top) / height
    if isinstance(region, PixelBox):
        rows = (region.top <= ys) & (ys < region.bottom)
        return np.asarray(rows[:, np.newaxis] & (region.left <= xs) & (xs < region.right))
    return _inside(np.array(region.points), xs, ys)


def _inside(points: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the places xs, ys lie inside of a polygon float64[points, 2], by the even-odd rule, bool[ys, xs]."""
    inside = np.zeros((len(ys), len(xs)), np.bool_)
    for (x, y), (next_x, next_y) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((y <= ys) != (next_y <= ys))
        crossings = x + (ys[rows] - y) * (next_x - x) / (next_y - y) if len(rows) else ys[rows]
        inside[rows] ^= xs >= crossings[:, np.newaxis]
    return inside


class TextPlaces:
    """Where players stand in one text."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int]], places: Sequence[Place]) -> None:
        """Take half-open ranges of code points, ascending, and which place of which player each of them is."""
        self.text, self.spans, self.places = text, spans, places
        # From the first to the last letter or digit, where there is one: what touches a word need not be covered.
        cores = [_core(text, *span) for span in spans]
        self._starts, self._ends = np.array(cores, np.int64).reshape(-1, 2).T
        self._lettered = [text[start].isalnum() for start, _ in cores]

    def within(self, start: int, end: int) -> tuple[range, list[int]]:
        """The spans that a range of code points touches, and those that it cuts: it has not all of their letters and
        digits.
        """
        touched = range(
            int(np.searchsorted(self._ends, start, side="right")), int(np.searchsorted(self._starts, end, side="left"))
        )
        ends = {touched[0], touched[-1]} if touched else set()
        letters = [at for at in sorted(ends) if self._lettered[at]]
        cut = [at for at in letters if self._starts[at] < start or end < self._ends[at]]
        return touched, cut

    def matches(self, words: str) -> Iterator[Place]:
        """The places of every occurrence of words that cuts none."""
        for found in re.finditer(re.escape(words), self.text):
            touched, cut = self.within(*found.span())
            if not cut:
                yield from (self.places[at] for at in touched)


def _core(text: str, start: int, end: int) -> tuple[int, int]:
    letters = [place for place in range(start, end) if text[place].isalnum()]
    return (letters[0], letters[-1] + 1) if letters else (start, end)
