"""Where a text pauses: what parts one word from the next, and from that its sentences.

Rules of punctuation, the same for every language that uses these marks; no dictionary, no model. A line that ends is a
pause, because many texts are wrapped; an empty line parts paragraphs.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from explicate_server.modalities.words import Span, words

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
