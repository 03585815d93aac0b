"""Games like those of long texts, whose Shapley values are known exactly.

Weights have heavy tails, and heavy words come together in heavy sentences. Sentences saturate, and so does the whole
text; neighbours take part of each other's weight, as a negation does; triples of words interact, half of them within a
sentence. Parts are scaled so that an additive model leaves as much of the differences of pairs unexplained as it does
of MiniLM's logits on reviews (5 %).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Words of a sentence: Gamma with this shape and scale, within these bounds.
_WORDS_SHAPE, _WORDS_SCALE, _WORDS_LEAST, _WORDS_MOST = 3.0, 6.0, 4, 45
# Root mean square of the weights of 160 words, in logits, as measured on a review; those of more are smaller.
_WEIGHT, _WEIGHT_WORDS = 0.105, 160
# At how much weight in a sentence and in the whole text the output has e⁻¹ of its slope.
_SENTENCE_FULL, _TEXT_FULL = 2.0, 3.0
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class LongTextGame:
    """v(S) = Σ_s f(1 − Π_{i ∈ S ∩ s} (1 − w_i/f)) over the sentences and the text, each for half of the weights,
    plus pairs and triples of words.

    Attributes:
        weights: float64[n].
        sentences: intp[n].
        pairs, triples: intp[m, 2] and intp[m, 3], with their coefficients float64[m].
    """

    weights: Floats
    sentences: NDArray[np.intp]
    pairs: NDArray[np.intp]
    pair_weights: Floats
    triples: NDArray[np.intp]
    triple_weights: Floats

    @classmethod
    def random(cls, words: int, seed: int) -> "LongTextGame":
        """A game of so many words."""
        random = np.random.default_rng(seed)
        lengths = np.clip(random.gamma(_WORDS_SHAPE, _WORDS_SCALE, words), _WORDS_LEAST, _WORDS_MOST).astype(np.intp)
        sentences = np.repeat(np.arange(words), lengths)[:words]
        scale = np.exp(random.normal(0, 0.5, words))[sentences]
        weights = np.clip(random.standard_t(2.5, words) * scale, -12, 12) + random.choice([-0.25, 0.25])
        weights *= _WEIGHT * np.sqrt(_WEIGHT_WORDS / words / np.mean(weights**2))
        first = np.flatnonzero((np.diff(sentences) == 0) & (random.random(words - 1) < 0.3))
        triples = random.integers(0, words, (4 * words, 3))
        near = np.sort(random.integers(1, 9, (2 * words, 2)).cumsum(axis=1), axis=1)
        triples[: 2 * words, 1:] = np.minimum(triples[: 2 * words, :1] + near, words - 1)
        triples = triples[(np.diff(np.sort(triples, axis=1), axis=1) > 0).all(axis=1)]
        strengths = np.cbrt(np.abs(weights[triples]).prod(axis=1))
        return cls(
            weights=weights,
            sentences=sentences,
            pairs=np.stack((first, first + 1), axis=1),
            pair_weights=-random.uniform(0, 1.5, len(first)) * weights[first + 1],
            triples=triples,
            triple_weights=0.9 * random.normal(size=len(triples)) * strengths,
        )

    @property
    def breaks(self) -> NDArray[np.intp]:
        """intp[n − 1], 2 between sentences."""
        return np.where(np.diff(self.sentences) > 0, 2, 0)

    def __call__(self, coalitions: NDArray[np.bool_]) -> Floats:
        """The values of coalitions bool[m, n], float64[m]."""
        parts = np.split(coalitions, range(_ROWS_AT_ONCE, len(coalitions), _ROWS_AT_ONCE))
        return np.concatenate([self._values(part) for part in parts])

    def _values(self, coalitions: NDArray[np.bool_]) -> Floats:
        values = np.zeros(len(coalitions))
        for full, first in self._saturating:
            logs = np.where(coalitions, np.log1p(-self.weights / 2 / full), 0.0)
            values += full * -np.expm1(np.add.reduceat(logs, first, axis=1)).sum(axis=1)
        for players, weights in ((self.pairs, self.pair_weights), (self.triples, self.triple_weights)):
            values += np.all([coalitions[:, column] for column in players.T], axis=0) @ weights
        return values

    @property
    def _saturating(self) -> list[tuple[float, NDArray[np.intp]]]:
        """How much each part holds at most, and where its runs of words begin."""
        return [
            (_SENTENCE_FULL, np.flatnonzero(np.diff(self.sentences, prepend=-1))),
            (_TEXT_FULL, np.zeros(1, np.intp)),
        ]

    def shapley_values(self) -> Floats:
        """Exact, float64[n]: φ_i = ∫ w_i Π_{j ≠ i} (1 − q w_j/f) dq of a product (Owen, Management Science 1972), which
        Gauss–Legendre quadrature integrates exactly; a pair's or a triple's coefficient is shared equally.
        """
        nodes, node_weights = np.polynomial.legendre.leggauss(len(self.weights) // 2 + 1)
        present = (nodes + 1) / 2
        values = np.zeros(len(self.weights))
        for full, first in self._saturating:
            factors = 1 - self.weights[:, None] / 2 / full * present  # [n, nodes]
            runs = np.diff(np.append(first, len(factors)))
            products = np.repeat(np.multiply.reduceat(factors, first, axis=0), runs, axis=0) / factors
            values += self.weights / 2 * (products @ node_weights) / 2
        for players, weights in ((self.pairs, self.pair_weights), (self.triples, self.triple_weights)):
            np.add.at(values, players.ravel(), np.repeat(weights / players.shape[1], players.shape[1]))
        return values
