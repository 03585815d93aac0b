"""Where the words of a text are, as players read best and as the lime library counts them, and where it pauses.

A word is made of whole grapheme clusters, what a reader takes for one character
(https://www.unicode.org/reports/tr29/#Grapheme_Cluster_Boundaries): an accent, a vowel sign or the skin of an emoji is
never parted from what carries it.

What parts one word from the next follows from rules of punctuation, the same for every language that uses these marks;
no dictionary, no model. A line that ends is a pause, because many texts are wrapped; an empty line parts paragraphs.
A script written without spaces does not show its words: each of its characters is one here, and text_players.py joins
those that the model reads as one token.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import regex
from numpy.typing import NDArray

Span = tuple[int, int]

# The number of the rules here, for those who compare players with another server's. Those of version 1 cut clusters.
WORDS_VERSION = 2

# Scripts written without spaces between words, by their names in Unicode: those whose lines break by a dictionary or
# anywhere (https://www.unicode.org/reports/tr14/, classes SA, AK and ID).
_UNSPACED_SCRIPTS = (
    *("Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom"),
    *("Javanese", "Balinese", "Han", "Bopomofo", "Hiragana", "Katakana"),
)
_OF_SCRIPT = {
    script: regex.compile(rf"[\p{{L}}\p{{N}}&&\p{{Script={script}}}]", regex.V1) for script in _UNSPACED_SCRIPTS
}

# Patterns of one grapheme cluster each.
_BARE = r"(?![\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}])"  # there is no accent on what was before
_GAP = rf"(?:[\t-\r\x1c-\x1f\x85\u2028\u2029]|\s{_BARE})"
_CORE = r"[\p{L}\p{M}\p{N}\p{Co}\p{Cn}]"  # what is no punctuation, symbol, control or format character
# "ー" is of two scripts. What they share with Latin is not meant: tone marks of Bopomofo, such as "ˇ", and U+02BC, the
# apostrophe of пʼять, which Unicode lists for Thai, too.
_SHARED = "[" + "".join(rf"\p{{scx={script}}}" for script in _UNSPACED_SCRIPTS) + r"]--\p{scx=Latin}"
_UNSPACED = rf"(?={_CORE})(?=[{_SHARED}])\X"
_LETTER = rf"(?={_CORE})(?![{_SHARED}])\X"
_MARK = rf"(?!{_CORE}|{_GAP})\X"
_SILENT = r"(?=[\p{Cf}\p{Cc}--[\s\x1c-\x1f\u200b]])\X"  # a soft hyphen or a mark of direction; U+200B parts words

# Punctuation that holds what is on both sides together: don't, well-made, col·lecció, צה״ל; 3.50, 1:30, 10/10; U.S.A.,
# e.g.; AT&T, R&D; צה"ל.
_AFTER_LETTER, _BEFORE_LETTER = r"(?<=[\p{L}\p{N}]\p{M}*)", r"(?=[\p{L}\p{N}])"
_AFTER_LONE = r"(?<=(?<![\p{L}\p{N}\p{M}])\p{L}\p{M}*)"
_BEFORE_LONE = r"(?=\p{L}\p{M}*(?![\p{L}\p{N}\p{M}]))"
_JOINER = "|".join(
    (
        rf"{_AFTER_LETTER}['’\-\u2010\u2011\u00b7\u0387\u2027\u05be\u05f3\u05f4\u058a]{_BEFORE_LETTER}",
        r"(?<=\p{Nd}\p{M}*)[.,:/\u2044\u066b\u066c](?=\p{Nd})",
        rf"{_AFTER_LONE}\.{_BEFORE_LONE}",
        rf"{_AFTER_LONE}&{_BEFORE_LETTER}|{_AFTER_LETTER}&{_BEFORE_LONE}",
        r'(?<=\p{Hebrew}\p{M}*)"(?=\p{Hebrew})',
    )
)
_WORD = regex.compile(
    rf"(?:{_MARK})*+(?:{_UNSPACED}|{_LETTER}(?:{_LETTER}|{_SILENT}|(?:{_JOINER}){_BARE})*+)(?:{_MARK})*+|(?:{_MARK})++",
    regex.V1,
)
_CLUSTER = regex.compile(r"\X")
_ONE_UNSPACED = regex.compile(_UNSPACED, regex.V1)
_PART = regex.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\X)++", regex.V1)
_LIME_WORD = re.compile(r"\w+")


def words(text: str) -> list[Span]:
    """Half-open code-point ranges of the words of ``text``, in order.

    Every character that is not white space belongs to exactly one word: punctuation and symbols go with the word before
    them, or, at the start of a run, with the one after. "don't" and "3.5" are one word each, "cheap/small" is two.
    """
    return [match.span() for match in _WORD.finditer(text)]


def clusters(text: str) -> list[Span]:
    """Half-open code-point ranges of the grapheme clusters of ``text``, in order."""
    return [match.span() for match in _CLUSTER.finditer(text)]


def lime_words(text: str) -> list[Span]:
    """The words of ``text`` as lime 0.2.0.1 counts them, but of whole grapheme clusters, and unspaced ones alone.

    ``lime.lime_text.IndexedString`` with its defaults splits at ``\\W+``, and so at each vowel sign of हिन्दी.
    """
    found = [match.span() for match in _LIME_WORD.finditer(text)]
    if text.isascii() or not found:
        return found
    edges = np.array([*(start for start, _ in clusters(text)), len(text)])
    spans = np.array(found)
    starts = edges[np.searchsorted(edges, spans[:, 0], side="right") - 1]
    ends = edges[np.searchsorted(edges, spans[:, 1])]
    apart = np.flatnonzero(starts[1:] > ends[:-1])  # the others were parted inside a cluster
    runs = zip(starts[[0, *(apart + 1)]].tolist(), ends[[*apart, -1]].tolist(), strict=True)
    return [part.span() for start, end in runs for part in _PART.finditer(text, start, end)]


def unspaced_scripts(text: str) -> tuple[str, ...]:
    """The scripts of ``text`` that are written without spaces between words, by their names in Unicode."""
    if text.isascii() or not _ONE_UNSPACED.search(text):
        return ()
    return tuple(script for script, pattern in _OF_SCRIPT.items() if pattern.search(text))


NOTHING, COMMA, SENTENCE, PARAGRAPH = range(4)

# https://www.unicode.org/reports/tr29/#Sentence_Boundaries, with the ellipsis as an end.
_CLOSING = r"[\p{SB=Close}'’]*"
_SENTENCE_END = regex.compile(rf"[\p{{SB=STerm}}\p{{SB=ATerm}}…]{_CLOSING}\Z")
_PAUSE = regex.compile(r"[\p{SB=SContinue};；)\]}]\Z")
# Words that end in a full stop without ending a sentence: initials, e.g., U.S.A., and these.
_ABBREVIATION = regex.compile(
    rf"[\"'‘“«(\[{{]*(?:(?:\p{{L}}\p{{M}}*\.)+|(?i:mr|mrs|ms|dr|prof|st|vs|etc|approx)\.){_CLOSING}"
)


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
    if _SENTENCE_END.search(part) and not _ABBREVIATION.fullmatch(part):
        return SENTENCE
    return COMMA if "\n" in gap or _PAUSE.search(part) else NOTHING
