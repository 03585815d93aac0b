"""What a search believes sets of moves to take from the margin, from what it was told of others.

A Gaussian process whose mean is the sum of what was expected of each move, times the slope that fits best, and whose
kernel has a term for each move that two sets share and one for each pair of them: what it has learnt of a move or a
pair it expects of every set that holds it (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, eq.
2.25).
"""

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats

# The variance of a pair beside that of a move, and of what fits neither. On 60 golden games, python -m
# benchmarks.changes.
_PAIRS = 0.1
_NOISE = 0.05
# A fit on more sets than this takes longer than a batch of a small model; those that take most are kept.
_MOST_SETS = 512


class Belief:
    """Learns from sets bool[m, moves] and what each took from the margin, float64[m]."""

    def __init__(self, expected: Floats) -> None:
        self._expected = expected
        self._sets = np.zeros((0, len(expected)))
        self._drops = np.zeros(0)
        self._slope = 1.0
        self._weights = np.zeros(0)

    def tell(self, sets: Booleans, drops: Floats) -> None:
        """Learn of further sets."""
        told = np.concatenate((self._sets, sets.astype(np.float64)))
        all_drops = np.concatenate((self._drops, drops))
        kept = np.sort(np.argsort(-all_drops, kind="stable")[:_MOST_SETS])
        self._sets, self._drops = told[kept], all_drops[kept]
        if not len(kept):
            return
        means = self._sets @ self._expected
        self._slope = max(0.0, float(means @ self._drops / max(float(means @ means), np.finfo(np.float64).tiny)))
        kernel = _kernel(self._sets, self._sets)
        kernel[np.diag_indices_from(kernel)] += _NOISE
        self._weights = np.linalg.solve(kernel, self._drops - self._slope * means)

    def drops(self, sets: Booleans) -> Floats:
        """What each of bool[m, moves] takes from the margin, float64[m]."""
        asked = sets.astype(np.float64)
        return np.asarray(self._slope * (asked @ self._expected) + _kernel(asked, self._sets) @ self._weights)

    @property
    def worth(self) -> Floats:
        """What each move takes alone, float64[moves]."""
        return self.drops(np.eye(len(self._expected), dtype=np.bool_))


def _kernel(left: Floats, right: Floats) -> Floats:
    shared = left @ right.T
    return np.asarray(shared + _PAIRS * shared * (shared - 1) / 2)
