"""Exact Shapley values from all 2^n coalitions.

Shapley, A Value for n-Person Games, 1953: with weights w(s) = s! (n − 1 − s)! / n!,

    phi_i = Σ_{S ⊆ N∖i} w(|S|) · (v(S ∪ i) − v(S)).

The coalitions are asked in the order of `kernel-shap`, so that a run that the deadline cuts short answers what
`kernel-shap` would have answered with the same rows.
"""

from copy import copy
from math import comb

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import Method

# Where exact-shap stops on its own: 2^20 rows are hours of most models. Also keeps 2^n from outgrowing a float.
MOST_PLAYERS_BY_DEFAULT = 20


class ExactShap:
    """The estimator `exact-shap`; see `Estimator` for what its methods promise."""

    def __init__(self, game: GameInfo) -> None:
        self._game = game
        self._sampled = KernelShap(game)
        self._table = np.full((2**game.n_players, game.n_outputs), np.nan)
        self._table[0], self._table[-1] = game.empty, game.full
        self._asked: Indices = np.zeros(0, np.intp)

    @property
    def rows_left(self) -> int:
        """Those of `kernel-shap`: all coalitions not asked yet."""
        return self._sampled.rows_left

    def ask(self, count: int) -> Booleans | None:
        """Up to `count` coalitions, each followed by its complement."""
        coalitions = self._sampled.ask(count)
        if coalitions is not None:
            self._asked = table_index(coalitions)
        return coalitions

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the values of the coalitions asked last."""
        self._sampled.tell(values, evaluated)
        known = np.ones(len(values), np.bool_) if evaluated is None else evaluated
        self._table[self._asked[known]] = values[known]

    def estimate(self) -> Attribution:
        """Exact values once every coalition is known, before that what `kernel-shap` says of the known ones."""
        sampled = self._sampled.estimate()
        if self.rows_left or np.isnan(self._table).any():
            return sampled
        return sampled.exactly(shapley_values(self._table))

    def of(self, games: Indices) -> "ExactShap":
        """The same with some of the games."""
        part = copy(self)
        part._table = self._table[:, self._game.outputs_of(games)]
        part._game, part._sampled = self._game.of(games), self._sampled.of(games)
        return part

    def halves(self) -> tuple[Floats, Floats] | None:
        """Those of `kernel-shap`; None once the values are exact."""
        return self._sampled.halves()


def table_index(coalitions: Booleans) -> Indices:
    """The place of each coalition of bool[m, n] in a table of all, intp[m]: bit i is player i."""
    index: Indices = coalitions @ (1 << np.arange(coalitions.shape[1], dtype=np.intp))
    return index


def shapley_values(table: Floats) -> Floats:
    """Shapley values float64[outputs, n] of float64[2^n, outputs], a value for each coalition (see `table_index`)."""
    n = len(table).bit_length() - 1
    weights = np.array([1 / (n * comb(n - 1, size)) for size in range(n)])
    sizes = np.zeros(1, np.intp)
    for _ in range(n):
        sizes = np.concatenate((sizes, sizes + 1))
    values = np.empty((table.shape[1], n))
    for player in range(n):
        blocks = (-1, 2, 2**player)  # axis 1 is the player's bit
        halves = table.reshape(*blocks, table.shape[1])
        values[:, player] = np.einsum("bs,bso->o", weights[sizes.reshape(blocks)[:, 0]], halves[:, 1] - halves[:, 0])
    return values


METHOD = Method(
    name="exact-shap",
    build=lambda game, _max_evaluations: ExactShap(game),
    default_max_evaluations=lambda n: 2 ** min(n, MOST_PLAYERS_BY_DEFAULT),
    least_evaluations=lambda n: 2**n,
    interacts=True,
    shared=True,
)
