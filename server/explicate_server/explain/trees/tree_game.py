"""The games of a model whose outputs are sums of decision trees: their Shapley values follow from the trees.

An absent player's features take the values of the background rows, one after the other (interventional), as in every
game of a table. Each feature belongs to one player, so that what a coalition's rows have is what the trees read:

    v(S) = offset + Σ_b w_b Σ_t leaf_t(features of S from x, all others from b).
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any  # float32 or float64

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from explicate_bundle.errors import BundleError
from explicate_bundle.files.tree_arrays import TreeArrays
from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.trees.conditions import Conditions, LeafSums, tree_sums
from explicate_server.explain.trees.leaf_paths import LeafPaths
from explicate_server.explain.trees.pattern_tables import PatternTables, tabulated
from explicate_server.explain.trees.tree_walk import MOST_SLOTS, TreeWalk

# Explained outputs of which the sums are kept, and numbers that are kept of each at most, 16 bytes each: single
# classes, and all of them of most models.
_KEPT, _MOST_KEPT = 8, 1 << 21
# Of a step: a number takes 4 ns to look up, a pair of a row and a background row 5 µs to walk down a tree of 10,000
# leaves. In groups of 32 rows the former take 5 ns.
_MOST_LOOKUPS, _MOST_PAIRS, _MOST_ROWS = 1 << 24, 1 << 13, 256


class TreeBackground:
    """The trees of a model beside the background rows that stand for absent players. Safe to use from several threads.

    Attributes:
        conditions: of the trees.
        features: of the background rows, [b, features].
        weights: float64[b], which sum to 1.
        players: how many there are.
        rows_at_once: how many rows of features are a step of 0.05 s or so.
    """

    def __init__(self, trees: TreeArrays, features: NDArray[Any], weights: Floats, *, players: int) -> None:
        """Make what all rows share; see `pattern_tables` for the memory it takes.

        Raises:
            BundleError: a way to a leaf has the conditions of too many players.
        """
        self.conditions, self.features, self.weights, self.players = Conditions(trees), features, weights, players
        paths = LeafPaths.of(trees)
        if paths.players.shape[1] > MOST_SLOTS:
            raise BundleError(
                f"trees.npz has a way to a leaf with conditions of {paths.players.shape[1]} players; {MOST_SLOTS} are "
                "possible"
            )
        self._paths = paths
        self._set_up(tabulated(paths, np.flatnonzero(~trees.splits)))

    def against(self, features: NDArray[Any], weights: Floats) -> "TreeBackground":
        """The same trees beside other rows: without tables, which take longer than it takes a few rows to walk down."""
        other = copy(self)
        other.features, other.weights = features, weights
        other._set_up(np.zeros(0, np.intp))
        return other

    def _set_up(self, with_tables: Indices) -> None:
        """Make the tables of these trees, and let rows walk down the others."""
        others = np.setdiff1d(np.arange(len(self.conditions.trees.roots)), with_tables)
        parts = self.conditions, self._paths, self.features, self.weights
        self._tables = PatternTables(*parts, trees=with_tables)
        self._walk = TreeWalk(*parts, trees=others) if len(others) else None
        steps = _MOST_LOOKUPS // max(1, self._tables.lookups), _MOST_PAIRS // max(1, len(others) * len(self.weights))
        self.rows_at_once = max(1, min(_MOST_ROWS, *steps))
        self._kept: dict[bytes, ExplainedTrees] = {}

    def explained(self, outputs: Floats) -> "ExplainedTrees":
        """What is needed of the trees to explain outputs, float64[explained, all outputs], made of all outputs.

        It is kept for the next calls, if it is small.
        """
        key = outputs.tobytes()
        found = self._kept.pop(key, None)
        if found is None:
            sums = LeafSums(self.conditions.trees, outputs)
            told = tree_sums(self.conditions, sums, self.features)
            found = ExplainedTrees(sums, self._tables.summed(sums, self.players), np.asarray(self.weights @ told))
        if sums_of(found) <= _MOST_KEPT:
            self._kept[key] = found
            for oldest in list(self._kept)[:-_KEPT]:  # each of these steps is one of the interpreter: no lock is needed
                self._kept.pop(oldest, None)
        return found

    def shapley(self, features: NDArray[Any], explained: "ExplainedTrees") -> Floats:
        """Shapley values float64[rows, outputs, players] of rows of features [rows, features]."""
        outputs = len(explained.baseline)
        told = self._tables.shapley(features, explained.summed, self.players * outputs)
        if self._walk is not None:
            told += self._walk.shapley(features, explained.sums, self.players)
        return np.ascontiguousarray(told.reshape(self.players, outputs, -1).T)


@dataclass(frozen=True)
class ExplainedTrees:
    """What leaves add to explained outputs.

    Attributes:
        sums: of the leaves.
        summed: see `PatternTables.summed`.
        baseline: float64[outputs], their means with every player absent.
    """

    sums: LeafSums
    summed: list[list[csr_array]]
    baseline: Floats


def sums_of(explained: ExplainedTrees) -> int:
    """How many numbers are kept of explained outputs."""
    return sum(each.nnz for of_chunk in explained.summed for each in of_chunk)


@dataclass(frozen=True)
class TreeGame:
    """The games of one or several inputs; see `explain.game.ToldGame`.

    Attributes:
        background: the trees and what stands for absent players.
        explained: of the explained outputs.
        features: of the inputs, [games, features].
    """

    background: TreeBackground
    explained: ExplainedTrees
    features: NDArray[Any]

    @property
    def baseline(self) -> Floats:
        """v(∅), float64[outputs]."""
        return self.explained.baseline

    def of(self, game: int) -> "TreeGame":
        """One of several games."""
        return replace(self, features=self.features[[game]])

    def values(self, coalitions: Booleans) -> Floats:
        """v of bool[m, players], True where a player is present, float64[m, outputs], of a single game."""
        conditions, behind = self.background.conditions, self.background.features
        present = coalitions[:, conditions.trees.owners]
        told = np.empty((len(coalitions), len(self.baseline)))
        for number, of_coalition in enumerate(present):
            mixed = np.where(of_coalition, self.features, behind)
            told[number] = self.background.weights @ tree_sums(conditions, self.explained.sums, mixed)
        return told

    def shapley(self) -> Floats:
        """Shapley values float64[games · outputs, players]."""
        told = self.background.shapley(self.features, self.explained)
        return told.reshape(-1, self.background.players)
