"""Where the words of a text are: as players read best, and as the lime library counts them."""

import re
import unicodedata

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
