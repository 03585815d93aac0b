"""The interaction of two players: Faith-SHAP of order 2, and its exact values from all coalitions.

Tsai, Yeh & Ravikumar, Faith-Shap: The Faithful Shapley Interaction Index, JMLR 2023. Of all games of the form

    f(S) = v(∅) + Σ_{i ∈ S} a_i + Σ_{i<j ∈ S} a_ij

that meet v at ∅ and at N, the one nearest to v under the Shapley kernel, 1 / (C(n,s) s (n − s)), has as its a_ij the
interactions. What presence of j changes of what i adds, averaged with weights that prefer coalitions of middle size:

    a_ij = Σ_{S ⊆ N∖ij} w(|S|) · (v(S ∪ ij) − v(S ∪ i) − v(S ∪ j) + v(S)),   w(s) = 6 (s + 1)! (n − 1 − s)! / (n + 1)!

In v(S) = 1 where i and j are both in S and else 0 the pair has 1 and every other pair 0; three players that count only
together share their 1 as 1/2 for each of their pairs. Where one word makes the other superfluous, a_ij is below 0.

The kernel is symmetric, so that the fit comes apart in an odd part, the regression on pair differences that Shapley
values follow from, and an even one, which `cut_regression` solves: hence φ_i = a_i + Σ_j a_ij / 2, a player's
attribution is what it adds alone and half of each of its interactions.
"""

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices

# Coalitions whose membership is held as numbers at a time.
_CHUNK_ROWS = 1 << 15


def pairs_of(players: Indices) -> tuple[Indices, Indices]:
    """Both players of each pair, intp[p] twice: the first comes before the second."""
    first, second = np.triu_indices(len(players), 1)
    return players[first], players[second]


def exact_interactions(coalitions: Booleans, values: Floats, *, empty: Floats, full: Floats) -> Floats:
    """a_ij of all pairs in the order of `pairs_of`, float64[outputs, p], from all coalitions.

    Args:
        coalitions: bool[2^n − 2, n], every one but ∅ and N, each once.
        values: float64[2^n − 2, outputs].
        empty: float64[outputs], v(∅).
        full: float64[outputs], v(N).
    """
    n = coalitions.shape[1]
    steps = np.arange(n - 1)
    weights = np.zeros(n + 1)  # w(s); 0 where no pair has such a coalition
    weights[: n - 1] = 6 * (steps + 1) * (n - 1 - steps) / ((n + 1) * n * (n - 1) * _combinations(n - 2))
    with_both = np.concatenate(([0.0, 0.0], weights[: n - 1]))
    with_one = np.concatenate(([0.0], weights[:n]))
    matrix = weights[0] * np.multiply.outer(empty, np.ones((n, n)))
    matrix += weights[n - 2] * full[:, np.newaxis, np.newaxis]
    for first in range(0, len(coalitions), _CHUNK_ROWS):
        inside = coalitions[first : first + _CHUNK_ROWS].astype(np.float64)
        outside = 1 - inside
        sizes = inside.sum(axis=1).astype(np.intp)
        for output, of_output in enumerate(values[first : first + _CHUNK_ROWS].T):
            mixed = inside.T @ (outside * (of_output * with_one[sizes])[:, np.newaxis])
            both = inside.T @ (inside * (of_output * with_both[sizes])[:, np.newaxis])
            none = outside.T @ (outside * (of_output * weights[sizes])[:, np.newaxis])
            matrix[output] += both + none - mixed - mixed.T
    return np.asarray(matrix[:, *pairs_of(np.arange(n))])


def _combinations(n: int) -> Floats:
    """C(n, s) for s = 0 … n."""
    counts = np.ones(n + 1)
    for size in range(n):
        counts[size + 1] = counts[size] * (n - size) / (size + 1)
    return counts
