"""What makes two texts the same to a reader: folding away case, punctuation and white space, and near-identity.

The near-identity of two texts is the Jaccard index of their sets of word 3-grams. Candidates are found by MinHash and
locality-sensitive hashing (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, chapter 3) and then compared
exactly, so that nothing counts as near-identical that is not; the chance to miss a pair at the threshold is below one
in a million.
"""

import unicodedata

from datasketch import MinHash, MinHashLSH

from explicate_bundle.players.word_swaps import UNSPACED

_PERMUTATIONS = 128
_HIGHEST_MISS = 1e-6
_SHINGLE_WORDS = 3


class _FoldedCharacters(dict[int, str]):
    """A translation table, filled as characters appear: punctuation, separators and controls become spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        folded = " " if unicodedata.category(character)[0] in "PZC" else character
        self[code] = folded
        return folded


_FOLDED_CHARACTERS = _FoldedCharacters()


def fold(text: str) -> str:
    """Lower-case words with single spaces; a text of punctuation only keeps it, and a blank text becomes ""."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(normal.translate(_FOLDED_CHARACTERS).split()) or " ".join(visible(text).split())


def visible(text: str) -> str:
    """The text without control and format characters, such as a zero-width space, but with its white space."""
    return "".join(character for character in text if character.isspace() or unicodedata.category(character)[0] != "C")


def shingles(folded: str) -> frozenset[str]:
    """The word 3-grams of a folded text; the whole text when it has fewer words."""
    # Of scripts without spaces each character counts as a word.
    words = UNSPACED.sub(r" \1 ", folded).split()
    last = max(1, len(words) - _SHINGLE_WORDS + 1)
    return frozenset(" ".join(words[start : start + _SHINGLE_WORDS]) for start in range(last))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a and b| / |a or b|."""
    return len(a & b) / len(a | b)


class NearIdenticalTexts:
    """Folded texts, or pairs of them, to be asked for one that is near-identical to another.

    Two pairs are near-identical when their first texts are and their second texts are: a question with another answer
    is another pair.
    """

    def __init__(self, threshold: float) -> None:
        """Counts texts as near-identical from this Jaccard index on, above 0 and below 1."""
        self._threshold = threshold
        self._bands = MinHashLSH(num_perm=_PERMUTATIONS, params=_bands_and_rows(threshold))
        self._shingles: list[list[frozenset[str]]] = []

    def find(self, *folded: str) -> int | None:
        """Index of the most similar added text that is near-identical to this one (the first of several), or None."""
        wanted = [shingles(text) for text in folded]
        candidates = sorted(self._bands.query(_signature(wanted)))
        best = max(candidates, key=lambda index: _likeness(wanted, self._shingles[index]), default=None)
        if best is None or _likeness(wanted, self._shingles[best]) < self._threshold:
            return None
        return int(best)

    def add(self, *folded: str) -> int:
        """Adds a text and gives its index, counted from 0."""
        index = len(self._shingles)
        self._shingles.append([shingles(text) for text in folded])
        self._bands.insert(index, _signature(self._shingles[index]))
        return index


def _likeness(one: list[frozenset[str]], other: list[frozenset[str]]) -> float:
    """The Jaccard index of texts; of pairs the lesser of the two."""
    return min(map(jaccard, one, other))


def _signature(texts: list[frozenset[str]]) -> MinHash:
    """Of all shingles, those of a second text marked as such.

    Its Jaccard index lies between those of the two texts, so no pair that is near-identical in both is missed.
    """
    signature = MinHash(num_perm=_PERMUTATIONS, seed=1)
    words = [place * "\0" + word for place, words in enumerate(texts) for word in sorted(words)]
    signature.update_batch([word.encode() for word in words])
    return signature


def _bands_and_rows(threshold: float) -> tuple[int, int]:
    """The fewest candidates that still miss a pair at the threshold with a chance below `_HIGHEST_MISS`.

    b bands of r rows miss a pair of Jaccard index s with probability (1 - s^r)^b (Mining of Massive Datasets, 3.4.2).
    """
    for rows in (32, 16, 8, 4, 2):
        bands = _PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= _HIGHEST_MISS:
            return bands, rows
    return _PERMUTATIONS, 1
