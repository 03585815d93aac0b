"""Where the words of a text are, as players read best and as the lime library counts them, and where it pauses.

What parts one word from the next follows from rules of punctuation, the same for every language that uses these marks;
no dictionary, no model. A line that ends is a pause, because many texts are wrapped; an empty line parts paragraphs.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]

_CHUNK = re.compile(r"\S+")
_LIME_WORD = re.compile(r"\w+")
_JOINERS = frozenset("'’-")
_DIGIT_JOINERS = frozenset(".,:")
# Scripts written without spaces: each character is a word of its own (kana, CJK ideographs and their extensions).
_UNSPACED = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))


def words(text: str) -> list[Span]:
    """Half-open code-point ranges of the words of ``text``, in order.

    Every character that is not white space belongs to exactly one word: punctuation and symbols go with the word before
    them, or, at the start of a run, with the one after. "don't" and "3.5" are one word each, "cheap/small" is two.
    """
    return [span for chunk in _CHUNK.finditer(text) for span in _split_chunk(text, chunk.start(), chunk.end())]


def distinct_words(text: str) -> list[tuple[str, list[Span]]]:
    """The distinct words of ``text`` with their places, as lime 0.2.0.1 counts them.

    ``lime.lime_text.IndexedString`` with its defaults: split at ``\\W+``, in order of first appearance.
    """
    places: dict[str, list[Span]] = {}
    for match in _LIME_WORD.finditer(text):
        places.setdefault(match.group(), []).append(match.span())
    return list(places.items())


def _split_chunk(text: str, start: int, end: int) -> list[Span]:
    spans = []
    word_start = start
    has_core = False  # whether the current word has more than punctuation yet
    open_end = False  # whether a further letter would still belong to it
    for position in range(start, end):
        character = text[position]
        unspaced = _is_unspaced(character)
        if unspaced or not _is_punctuation(character):
            if has_core and (unspaced or not open_end):
                spans.append((word_start, position))
                word_start = position
            has_core, open_end = True, not unspaced
        elif not _joins(text, position, end):
            open_end = False
    spans.append((word_start, end))
    return spans


def _joins(text: str, position: int, end: int) -> bool:
    """Whether the punctuation at ``position`` holds the letters on both sides together."""
    if position + 1 >= end:
        return False
    before, after = text[position - 1 : position], text[position + 1]
    if text[position] in _DIGIT_JOINERS:
        return before.isdigit() and after.isdigit()
    return text[position] in _JOINERS and before.isalnum() and after.isalnum()


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _is_unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


NOTHING, COMMA, SENTENCE, PARAGRAPH = range(4)

_SENTENCE_ENDS = frozenset(".!?…。！？؟।")
_PAUSES = frozenset(",;:،、；：，–—-)]}")
_CLOSING = "\"'’”»)]}"
# Words that end in a full stop without ending a sentence, in lower case. Single letters are seen by form.
_ABBREVIATIONS = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "approx"})


def breaks(text: str, spans: Sequence[Span]) -> NDArray[np.intp]:
    """How much parts each span of ``text`` from the next: NOTHING, COMMA, SENTENCE or PARAGRAPH, intp[spans - 1]."""
    levels = [_level(text[start:end], text[end:following]) for (start, end), (following, _) in pairwise(spans)]
    return np.array(levels, dtype=np.intp)


def sentences(text: str) -> list[Span]:
    """Half-open code-point ranges of the sentences of ``text``, in order; every word is in exactly one."""
    spans = words(text)
    if not spans:
        return []
    ends = np.flatnonzero(breaks(text, spans) >= SENTENCE)
    firsts, lasts = [0, *(ends + 1)], [*ends, len(spans) - 1]
    return [(spans[first][0], spans[last][1]) for first, last in zip(firsts, lasts, strict=True)]


def _level(part: str, gap: str) -> int:
    if gap.count("\n") > 1:
        return PARAGRAPH
    bare = part.rstrip(_CLOSING)
    if bare and bare[-1] in _SENTENCE_ENDS and not _is_abbreviation(bare):
        return SENTENCE
    return COMMA if "\n" in gap or (part and part[-1] in _PAUSES) else NOTHING


def _is_abbreviation(part: str) -> bool:
    if not part.endswith(".") or part.endswith(".."):
        return False
    word = part[:-1].lstrip("\"'‘“«([{").lower()
    return (len(word) == 1 and word.isalpha()) or word in _ABBREVIATIONS
