"""Pairs of coalitions of a long text: first of whole sections, then of words.

A section is a sentence, or a part of one that is too long. As words, thousands of rows are needed before hundreds of
players tell themselves apart; as sections, some dozens do. So the first pairs take sections whole, and say early which
of them carry the answer. The rest are pairs of words as `PairSampler` draws them, and one regression reads all of them
(section_regression.py).

Pairs of sections belong to a game of fewer players, whose values are not quite the sums of the words'. They are few
enough not to be seen: on games of 400 words with 2,048 rows a share of 1/16 halved the error of the sections' sums (.26
to .14) and left that of the words (.242 and .243); with 1/4 it was .28, and the sections' intervals covered .83.
"""

from itertools import pairwise

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.groups import phrases, starts
from explicate_server.explain.statistics.coalitions import PairSampler

# The strength of a break between sentences, see GameInfo.breaks.
SENTENCE_END = 2
# Longer sentences are cut at their own breaks into parts of about half as many words.
MOST_SECTION_WORDS = 48
# Pairs for each section: 5 to 12 % of the rows of texts of 400 to 1,000 words at the default budget. They do not depend
# on the budget, so that a larger one extends a smaller one.
PAIRS_PER_SECTION = 2
# Keeps the sections' random stream apart from the words' one.
_STREAM = 0x5EC7


def sections_of(n_players: int, breaks: Indices) -> Indices:
    """The section of each word, intp[n], from 0 in ascending order: each a run of neighbours.

    Args:
        n_players: n.
        breaks: intp[n − 1], see GameInfo.
    """
    bounds = [0, *(np.flatnonzero(breaks >= SENTENCE_END) + 1).tolist(), n_players]
    starting = np.zeros(n_players, dtype=np.intp)
    for first, last in pairwise(bounds):
        count = 1 if last - first <= MOST_SECTION_WORDS else -(-2 * (last - first) // MOST_SECTION_WORDS)
        starting[first + starts(phrases(last - first, count, breaks[first : last - 1]))] = 1
    sections: Indices = np.cumsum(starting) - 1
    return sections


class SectionPairs:
    """Draws pairs of coalitions, each pair once; see `PairSampler` for what its methods promise.

    Attributes:
        sections: intp[n], the section of each word.
        total_pairs, shares: those of the pairs of words.
    """

    def __init__(self, sections: Indices, seed: int) -> None:
        self.sections = sections
        count = int(sections[-1]) + 1
        self._words = PairSampler(len(sections), seed)
        self._whole = PairSampler(count, seed ^ _STREAM)
        self.total_pairs, self.shares = self._words.total_pairs, self._words.shares
        self._whole_left = min(self._whole.pairs_left, PAIRS_PER_SECTION * count)
        self._drawn: set[bytes] = set()

    @property
    def sections_left(self) -> int:
        """How many pairs of whole sections were not drawn yet; the others come after them."""
        return self._whole_left

    @property
    def pairs_left(self) -> int:
        """How many pairs were not drawn yet."""
        return self._whole_left + self._words.pairs_left

    def draw(self, count: int) -> tuple[Booleans, Indices]:
        """The next `count` pairs, of whole sections as long as there are such, or fewer.

        Returns:
            bool[pairs, n], one coalition of each pair, the smaller one; intp[pairs], the index of its level: that of
            its words, less the number of levels if it is one of whole sections.
        """
        if self._whole_left:
            whole = self._whole.draw(min(count, self._whole_left))[0][:, self.sections]
            self._whole_left -= len(whole)
            sizes = whole.sum(axis=1)
            n = len(self.sections)
            # As PairSampler has them: the smaller half, of equal ones that with player 0.
            whole ^= ((2 * sizes > n) | ((2 * sizes == n) & ~whole[:, 0]))[:, None]
            self._drawn.update(row.tobytes() for row in whole)
            return whole, np.minimum(sizes, n - sizes) - 1 - len(self.shares)
        coalitions, levels = self._words.draw(count)
        new = np.array([row.tobytes() not in self._drawn for row in coalitions], np.bool_)
        return coalitions[new], levels[new]

    def weights(self, levels: Indices) -> Floats:
        """What pairs of these levels weigh in the regression, float64[pairs], mean 1.

        Those of words as in pair_regression.py, so that a level's weight does not depend on how many of it were drawn;
        those of sections as if each had been one of words more.
        """
        n = len(self.sections)
        of_words = levels >= 0
        sizes = levels + 1 + np.where(of_words, 0, len(self.shares))
        counts = np.bincount(levels[of_words], minlength=len(self.shares))
        drawn = of_words.sum() * self.shares / self.shares.sum()  # of each level, if its share were a whole number
        factors = np.ones(len(levels))
        factors[of_words] = (drawn / np.maximum(counts, 1))[levels[of_words]]
        weights = factors / (sizes * (n - sizes))
        normalised: Floats = weights / weights.mean()
        return normalised
