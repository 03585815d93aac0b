"""Where a view may cut a text: not inside of what a reader takes for one character.

That is a grapheme cluster (Unicode TR 29). Python's own tables do not tell all of its rules, so a few of these are
joined where they need not be; the client has no library for them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_CARRIED = {"Mn", "Mc", "Me", "Cf"}  # accents, vowel signs, joiners, tags
# Signs that are letters or symbols by category: Thai and Lao AM, marks of half-width kana, skins of emoji.
_SIGNS = {"\u0e33", "\u0eb3", "\uff9e", "\uff9f", *map(chr, range(0x1F3FB, 0x1F400))}
# Letters that are written before the one they belong to: Malayalam, Sharada, Dives Akuru, Soyombo, Gondi and others.
_BEFORE = frozenset("\u0d4e\U000111c2\U000111c3\U000113d1\U0001193f\U00011941\U00011a84\U00011d46\U00011f02")
_VIRAMA = 9  # the combining class of what joins two consonants


def characters(text: str) -> Iterator[str]:
    """The characters of a text, in order, each one code point or more."""
    start = 0
    for place in range(1, len(text)):
        if not _belongs(text[place], text[start:place]):
            yield text[start:place]
            start = place
    if text:
        yield text[start:]


def _belongs(character: str, before: str) -> bool:
    """Whether a code point goes on with the character that has begun."""
    last = before[-1]
    if unicodedata.category(character) in _CARRIED or character in _SIGNS or last + character == "\r\n":
        return True
    if unicodedata.category(last) == "Cf" or unicodedata.combining(last) == _VIRAMA or last in _BEFORE:
        return True
    return (_is_flag_letter(character) and len(before) == 1 and _is_flag_letter(last)) or _is_of_syllable(
        character, last
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_of_syllable(character: str, last: str) -> bool:
    """Whether a Hangul letter, or a syllable after one, goes on with the last letter."""
    later = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7fb"
    first = "\u1100" <= last <= "\u115f" or "\ua960" <= last <= "\ua97c"
    return later or (first and ("\u1100" <= character <= "\u115f" or "\uac00" <= character <= "\ud7a3"))


def begun(text: str, most: int) -> str:
    """The characters from the start of a text that have at most so many code points."""
    length = 0
    for character in characters(text):
        if length + len(character) > most:
            break
        length += len(character)
    return text[:length]
