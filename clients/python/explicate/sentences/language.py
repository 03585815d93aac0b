"""A language of sentences: its templates, its numbers, and names that others gave, made safe to stand in a sentence.

Each language is a file of data in `languages/`, named by its tag (BCP 47). What is filled into a template is never read
as one.
"""

from __future__ import annotations

import math
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any  # TOML values

from explicate.inputs import GivenValue
from explicate.sentences.told_figures import Noun, Part
from explicate.views.characters import begun
from explicate.views.tables import printable

DEFAULT = "en"
MOST_OF_A_NAME, MOST_OF_A_TITLE = 40, 120  # code points
_MARKS = str.maketrans(dict.fromkeys('"“”„‟«»‹›〝〞＂', "'"))  # what could end a quotation
_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_ISOLATE, _POP = "\u2068", "\u2069"  # https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates
_LARGEST, _SMALLEST = 1e15, 1e-9  # of numbers with all their digits
_DIGITS, _CELL_DIGITS = 4, 6
_GROUPED_FROM = 10_000  # of cells
_ROUNDED_OUT = 0.05  # of an end of an interval
_EXACT = 1e-3  # of the higher end
_LOST = 1e-9


class Title(str):
    """What a caller calls something in sentences: it stands there without quotes."""

    __slots__ = ()


class Language:
    """The templates of one language. `fill` and the rest give text that nobody needs to look at again but to escape
    markup.
    """

    def __init__(self, tag: str, document: Mapping[str, Any]) -> None:
        self.tag = tag
        self._texts = dict(flattened(document))

    def text(self, key: str) -> str:
        """What stands under a key, such as "part.word.it"."""
        return self._texts[key]

    def fill(self, key: str, **blanks: str) -> str:
        """A template with its blanks filled."""
        return self._texts[key].format_map(blanks)

    def fill_counted(self, key: str, count: int, **blanks: str) -> str:
        """The same of the template for one or for several.

        English, German and most languages of Western Europe have these two forms (CLDR, cardinal plural rules).
        """
        return self.fill(f"{key}.{'one' if count == 1 else 'other'}", **blanks)

    def listed(self, items: Sequence[str]) -> str:
        """Such as "a, b and c"."""
        *first, last = items
        return self.text("list.last").format(first=self.text("list.between").join(first), last=last) if first else last

    def quoted(self, name: str) -> str:
        """A name in quotes, on one line, cut where it is long; a `Title` is not quoted."""
        told = " ".join(printable(name).split())
        most = MOST_OF_A_TITLE if isinstance(name, Title) else MOST_OF_A_NAME
        if len(told) > most:
            told = f"{begun(told, most - 1).rstrip()}…"
        if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in told):
            told = f"{_ISOLATE}{told}{_POP}"
        return told if isinstance(name, Title) else self.fill("quote", name=told.translate(_MARKS))

    def parts(self, parts: Sequence[Part], noun: Noun, *, bare: bool = False) -> str:
        """Parts and what they are called, such as: the words “good” and “great”; `bare`: where that was said before."""
        names = self.listed([self.part(part) for part in parts])
        return self.fill_counted(f"part.{noun}{'.bare' if bare else ''}", len(parts), names=names)

    def part(self, part: Part) -> str:
        """One part by its name, with what tells it from others."""
        if part.thirds is not None:
            down, across = part.thirds
            return self.fill("segment", name=part.name, place=self.text(f"place.{down}.{across}"))
        told = self.quoted(part.name)
        if len(part.columns) == 1:
            told = self.fill("valued", name=told, value=self.cell(part.columns[0][1]))
        number, count = part.place
        if count > 1:
            told = self.fill("placed", name=told, number=self.count(number), count=self.count(count))
        return self.fill("in_pair", name=told) if part.in_pair else told

    def cell(self, value: GivenValue) -> str:
        """A value of a column."""
        if value is None:
            return self.text("missing")
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, bool | str):
            return self.quoted(str(value).lower() if isinstance(value, bool) else value)
        told = self.number(value, _CELL_DIGITS)
        # A year is no amount: 1961, not 1,961.
        return told.replace(self.text("number.group"), "") if abs(value) < _GROUPED_FROM else told

    def number(self, value: float, digits: int = _DIGITS) -> str:
        """A number with so many digits that tell, and no fewer than it has before its point."""
        if not math.isfinite(value):
            return "–"
        size = abs(value)
        if size >= _LARGEST or 0 < size < _SMALLEST:
            return self._written(f"{value:.{digits - 1}e}")
        return self._written(_plain(value, max(digits - 1 - _magnitude(size), 0)))

    def count(self, number: int) -> str:
        """A whole number with its thousands parted."""
        return self._written(f"{number:,}")

    def percent(self, share: float) -> str:
        """A share of 1 in whole percent; 0 and 100 are not said of what is only near to them."""
        if not math.isfinite(share):
            return "–"
        if share < 0.01:
            return self.fill("percent.below", number=self._written("1"))
        if share > 0.99:
            return self.fill("percent.above", number=self._written("99"))
        return self.fill("percent.of", number=self._written(f"{share * 100:.0f}"))

    def points(self, low: float, high: float) -> str:
        """A difference of two shares of 1, above 0, from its least to its most, in percentage points."""
        told, is_one = self._between(100 * low, 100 * high)
        return self.fill(f"points.{'one' if is_one else 'other'}", number=told)

    def between(self, low: float, high: float) -> str:
        """An amount above 0 from its least to its most, rounded outward; about how much where these are the same."""
        return self._between(low, high)[0]

    def _between(self, low: float, high: float) -> tuple[str, bool]:
        """The text, and whether it is about 1."""
        if not (0 < low <= high < _LARGEST and low >= _SMALLEST):
            return self.fill("range", low=self.number(low), high=self.number(high)), False
        if high - low <= _EXACT * high:
            told = self.number(_significant((low + high) / 2, 2), 2)
            return self.fill("about", number=told), told == "1"
        decimals = next(places for places in range(-15, 13) if _is_close(low, high, places))
        ends = (_outward(low, decimals, up=False), _outward(high, decimals, up=True))
        low_told, high_told = (self._written(_plain(end, max(decimals, 0))) for end in ends)
        return self.fill("range", low=low_told, high=high_told), False

    def _written(self, plain: str) -> str:
        """A number of English digits as this language writes it."""
        marks = {",": self.text("number.group"), ".": self.text("number.point"), "-": "\N{MINUS SIGN}"}
        if "e" in plain:
            return plain.replace(".", marks["."])
        return "".join(marks.get(character, character) for character in plain)


def begins(sentence: str) -> str:
    """A sentence with a capital at its beginning, unless that is a quotation."""
    return sentence[:1].upper() + sentence[1:]


def tags() -> tuple[str, ...]:
    """The tags of all languages."""
    found = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def lookup(tag: str) -> str | None:
    """The language that a tag of BCP 47 asks for, such as "de" for "de-AT"; None where there is none.

    By lookup of RFC 4647, section 3.4: parts are taken off from the end until one is known.
    """
    known = {each.lower(): each for each in tags()}
    parts = tag.lower().replace("_", "-").split("-")
    while parts:
        if found := known.get("-".join(parts)):
            return found
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return None


@cache
def language(tag: str = DEFAULT) -> Language:
    """One of the languages that `tags` gives."""
    return Language(tag, tomllib.loads((_folder() / f"{tag}.toml").read_text(encoding="utf-8")))


def flattened(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a document by their keys; those of a list by their numbers."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{path}{name}.")
        elif isinstance(value, list):
            yield from flattened({str(place): item for place, item in enumerate(value)}, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _folder() -> Any:
    """Any: what importlib.resources gives has another type in each version of Python."""
    return files("explicate.sentences") / "languages"


def _magnitude(size: float) -> int:
    return math.floor(math.log10(size)) if size else 0


def _plain(value: float, decimals: int) -> str:
    told = f"{value:,.{decimals}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def _significant(value: float, digits: int) -> float:
    return round(value, digits - 1 - _magnitude(value))


def _outward(end: float, decimals: int, *, up: bool) -> float:
    """An end of an interval at so many decimals, below 0 of tens, hundreds and so on, inside of the interval by no more
    than what floating point loses.
    """
    scale = 10.0**decimals
    return (math.ceil(end * scale * (1 - _LOST)) if up else math.floor(end * scale * (1 + _LOST))) / scale


def _is_close(low: float, high: float, decimals: int) -> bool:
    low_end, high_end = _outward(low, decimals, up=False), _outward(high, decimals, up=True)
    return low_end >= (1 - _ROUNDED_OUT) * low and high_end <= (1 + _ROUNDED_OUT) * high
