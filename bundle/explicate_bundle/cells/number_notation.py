"""How a column writes its numbers: "1,234.50", "1234,50", "$1,234", "12 kg", "12%", "(12.5)".

A notation is found by training on a column as a whole, kept in the manifest, and reads the texts of that column in
training and in serving. Whole numbers with leading zeros are codes, not numbers, in every notation.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

from explicate.v1 import bundle_pb2

DECIMALS = (".", ",")
THOUSANDS = ("", ",", ".", "'", " ")

_ALIKE = str.maketrans({"\u2212": "-", "\u2019": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_DIGITS = re.compile(r"[0-9](?:.*[0-9])?", re.DOTALL)
_LONGEST_UNIT = 12  # characters, as in "kWh/(m²·a)"
_LONGEST_TEXT = 400  # of a number with its unit, as the least doubles need: a longer text is none
_UNIT_MARKS = frozenset("%‰°²³/µ.·")
_CURRENCIES = frozenset(
    [
        "usd",
        "eur",
        "gbp",
        "chf",
        "jpy",
        "cny",
        "inr",
        "aud",
        "cad",
        "nzd",
        "sek",
        "nok",
        "dkk",
        "pln",
        "czk",
        "huf",
        "ron",
        "rub",
        "brl",
        "mxn",
        "zar",
        "krw",
        "try",
        "sgd",
        "hkd",
        "ils",
        "aed",
        "kr",
        "rs",
    ]
)
_BEFORE_A_SIGN = 3  # letters, as in US$ or R$
_PLURAL_STEM = 3  # letters from which a final s is a plural: months, but not ms


class WrittenNumber(NamedTuple):
    """The parts of a number as it is written."""

    digits: str  # the figures with their marks, and a sign
    unit: str
    parentheses: bool


@dataclass(frozen=True)
class NumberNotation:
    """How a column writes numbers; the default is that of programs: 1234.5."""

    kind: ClassVar[str] = "number"

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    parentheses: bool = False

    def parse(self, text: str) -> float | None:
        """The number that a text writes, or None; it may be infinite."""
        written = split_number(text)
        if written is None or (written.parentheses and not self.parentheses):
            return None
        if written.unit and not same_unit(written.unit, self.unit):
            return None
        return self.number_of(written)

    def number_of(self, written: WrittenNumber) -> float | None:
        """The number of the figures, whatever the unit."""
        if not _pattern(self.decimal, self.thousands).fullmatch(written.digits):
            return None
        figures = written.digits.replace(self.thousands, "") if self.thousands else written.digits
        number = float(figures.replace(self.decimal, "."))
        return -number if written.parentheses else number

    @property
    def example(self) -> str:
        """A number as the column writes it, such as "$1,234.5"."""
        figures = f"1{self.thousands}234{self.decimal}5"
        if not self.unit:
            return figures
        return f"{self.unit}{figures}" if _is_currency(self.unit) else f"{figures} {self.unit}"

    def shown(self, number: float) -> str:
        """A number as programs write it."""
        return f"{number:.10g}"

    def as_message(self) -> bundle_pb2.NumberNotation:
        """As the manifest has it."""
        return bundle_pb2.NumberNotation(**vars(self))

    @staticmethod
    def of(message: bundle_pb2.NumberNotation) -> "NumberNotation":
        """What the manifest says; the plain notation where it says nothing."""
        return NumberNotation(message.decimal or ".", message.thousands, message.unit, message.parentheses)

    def faults(self) -> Iterator[str]:
        """What is wrong with it, in words that follow a path."""
        if self.decimal not in DECIMALS:
            yield f"decimal is {self.decimal!r}"
        if self.thousands not in THOUSANDS or self.thousands == self.decimal:
            yield f"thousands is {self.thousands!r}"
        if len(self.unit) > _LONGEST_UNIT or any(mark.isdecimal() for mark in self.unit):
            yield f"unit is {self.unit!r}"


PLAIN = NumberNotation()


def split_number(text: str) -> WrittenNumber | None:
    """The parts of a text with figures in it, one sign and at most one unit; None for any other text."""
    if len(text) > _LONGEST_TEXT:
        return None
    text = text.strip()
    if _pattern(".", "").fullmatch(text):  # most are
        return WrittenNumber(text, "", parentheses=False)
    text = text.translate(_ALIKE)
    parentheses = text.startswith("(") and text.endswith(")")
    text = text[1:-1].strip() if parentheses else text
    found = _DIGITS.search(text)
    if found is None:
        return None
    before, figures, after = text[: found.start()].strip(), found[0], text[found.end() :].strip()
    sign = ""
    for _ in range(2):  # a sign before or after the currency, and a decimal mark without a figure before it
        if figures[0] not in ",." and before[-1:] in (",", "."):
            before, figures = before[:-1].rstrip(), before[-1] + figures
        if not sign and before[-1:] in ("-", "+"):
            before, sign = before[:-1].rstrip(), before[-1]
    if not sign and before[:1] in ("-", "+"):
        before, sign = before[1:].lstrip(), before[0]
    if after[:1] in (",", ".") and not after[1:].strip().isalpha():  # "1." and "1. kg", but not "1.kg"
        figures, after = figures + after[0], after[1:].lstrip()
    if (before and after) or (parentheses and sign) or not (_is_currency(before) and _is_unit(after)):
        return None
    return WrittenNumber(sign + figures, before or after, parentheses)


def same_unit(one: str, other: str) -> bool:
    """Whether two units differ in case, a full stop or a plural only."""
    return _stem(one) == _stem(other)


def _stem(unit: str) -> str:
    stem = unit.casefold().rstrip(".")
    return stem[:-1] if len(stem) > _PLURAL_STEM and stem.endswith("s") else stem


def _is_currency(text: str) -> bool:
    """Whether a text is what may be before a number: nothing, a currency's sign, or its short name."""
    letters = "".join(mark for mark in text if unicodedata.category(mark) != "Sc").strip()
    if not text or letters.casefold().rstrip(".") in _CURRENCIES:
        return True
    return letters != text and len(letters) <= _BEFORE_A_SIGN and (not letters or letters.isalpha())


def _is_unit(text: str) -> bool:
    """Whether a text is what may be behind a number: nothing, or letters and signs of units and currencies."""
    return len(text) <= _LONGEST_UNIT and all(
        mark.isalpha() or mark in _UNIT_MARKS or unicodedata.category(mark) == "Sc" for mark in text
    )


@cache
def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    """Figures in a notation; thousands may be left out, and be lakhs."""
    mark, between = re.escape(decimal), re.escape(thousands)
    grouped = rf"[1-9][0-9]{{0,2}}(?:{between}[0-9]{{2,3}})*{between}[0-9]{{3}}|" if thousands else ""
    return re.compile(rf"[+-]?(?:{grouped}0|[1-9][0-9]*|(?={mark}[0-9]))(?:{mark}[0-9]*)?(?:[eE][+-]?[0-9]+)?")
