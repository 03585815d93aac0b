"""Shapley values of trees of few players a leaf: the background is summed up once, a row is looked up.

A leaf of value w with d players on its way adds to the game of a row x against a background row z

    v(S) = w if S ∩ f = ∅ and g ⊆ S, else 0,

where x fails the slots f there and z the slots g. It is 0 for all S unless f ∩ g = ∅; then with a = |g| and c = |f|
(Lundberg et al., From local explanations to global understanding with explainable AI for trees, Nature MI 2020,
interventional Tree SHAP; the same sums per pattern: WOODELF, arXiv 2511.09376)

    φ_j = w (a − 1)! c! / (a + c)!  for j in g,    φ_j = −w a! (c − 1)! / (a + c)!  for j in f,    0 for others.

With W(a, c) = (a − 1)! c! / (a + c)! and W(0, c) = −(1 + 1/2 + … + 1/c), the second is W(a, c) − W(a, c − 1). So the
mean over the background z of weights h(z) is, for every j on the way,

    φ_j = w (U[f] − V[f ∪ j]),  U[f] = Σ_{z: f ∩ g = ∅} h(z) W(a, |f|),  V[f] = Σ_{z: f ∩ g = ∅} h(z) W(a, |f| − 1).

Two tables of 2^d numbers a leaf tell it for every row.
"""

from dataclasses import dataclass
from functools import cache
from math import factorial
from typing import Any  # float32 or float64

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from explicate_server.explain.attribution import Floats, Indices
from explicate_server.explain.trees.conditions import Conditions, LeafSums
from explicate_server.explain.trees.leaf_paths import LeafPaths, failed_slots

MOST_SLOTS = 10
"""Leaves of more players have no tables: 2^11 numbers twice are 32 KB a leaf."""
MOST_PATTERNS = 1 << 23
"""Patterns of all tables of a model, 16 bytes each: 128 MiB."""
# Of a leaf, with the node that comes before it: arrays, weights and sums; and of a condition on the way to it.
_LEAF_BYTES, _WAY_BYTES = 150, 20
# Leaves of the trees that are looked up together, so that what is held of a few rows stays in a core's cache.
_CHUNK_LEAVES = 2048
# Numbers of a table that are made at once.
_CHUNK_NUMBERS = 1 << 22


def pattern_weight(a: int, c: int) -> float:
    """W(a, c), see the module."""
    if a == 0:
        return -sum(1 / k for k in range(1, c + 1))
    return factorial(a - 1) * factorial(c) / factorial(a + c)


@cache
def _matrices(slots: int) -> tuple[Floats, Floats]:
    """How much a background row of each pattern counts in U and V of each pattern, float64[2^d, 2^d] both."""
    patterns = np.arange(1 << slots)
    sizes = np.bitwise_count(patterns)
    apart = (patterns[:, np.newaxis] & patterns) == 0
    weights = np.array([[pattern_weight(a, c) for c in range(slots + 1)] for a in range(slots + 1)])
    own = np.where(apart, weights[sizes[:, np.newaxis], sizes], 0.0)
    with_it = np.where(apart & (sizes > 0), weights[sizes[:, np.newaxis], np.maximum(sizes, 1) - 1], 0.0)
    return own, with_it


@dataclass(frozen=True)
class _Tables:
    """Those of some leaves of equally many slots.

    Attributes:
        rows: where these leaves are among those of the chunk.
        leaves: intp[leaves], their places among all leaves.
        players: int16[leaves, slots].
        own, with_it: U and V, float64[leaves · 2^slots].
    """

    rows: Indices
    leaves: Indices
    players: NDArray[np.int16]
    own: Floats
    with_it: Floats

    @classmethod
    def of(
        cls, rows: Indices, leaves: Indices, players: NDArray[np.int16], failed: NDArray[np.uint16], weights: Floats
    ) -> "_Tables":
        """From the patterns uint16[leaves, b] of the background rows and their weights float64[b]."""
        slots, size = players.shape[1], 1 << players.shape[1]
        own, with_it = np.empty((len(leaves), size)), np.empty((len(leaves), size))
        for first in range(0, len(leaves), max(1, _CHUNK_NUMBERS // size)):
            part = failed[first : first + max(1, _CHUNK_NUMBERS // size)].astype(np.intp)
            places = part + size * np.arange(len(part))[:, np.newaxis]
            heights = np.bincount(places.ravel(), np.tile(weights, len(part)), size * len(part)).reshape(-1, size)
            for table, matrix in zip((own, with_it), _matrices(slots), strict=True):
                table[first : first + len(part)] = heights @ matrix
        return cls(rows, leaves, players, own.ravel(), with_it.ravel())

    def told(self, failed: NDArray[np.uint16]) -> Floats:
        """What each slot of each leaf is worth to rows of these patterns, uint16[leaves, rows], for leaves of value 1:
        float64[slots · leaves, rows].
        """
        slots = self.players.shape[1]
        places = failed.astype(np.intp) + (np.arange(len(failed), dtype=np.intp) << slots)[:, np.newaxis]
        own = self.own.take(places)
        return np.concatenate([own - self.with_it.take(places | (1 << slot)) for slot in range(slots)])


@dataclass(frozen=True)
class _Chunk:
    """Some trees that are looked up together."""

    trees: Indices
    tables: list[_Tables]


class PatternTables:
    """The tables of some trees. Safe to use from several threads."""

    def __init__(
        self, conditions: Conditions, paths: LeafPaths, background: NDArray[Any], weights: Floats, *, trees: Indices
    ) -> None:
        """Take the background's features [b, features] and weights float64[b]; see `tabulated` for the trees."""
        self._conditions, self._paths = conditions, paths
        arrays = conditions.trees
        leaves = np.bincount(paths.tree_of[~arrays.splits], minlength=len(arrays.roots))[trees]
        which = (np.cumsum(leaves) - 1) // _CHUNK_LEAVES
        self._chunks = [self._chunk(trees[which == number], background, weights) for number in np.unique(which)]

    @property
    def lookups(self) -> int:
        """Numbers that are looked up for a row."""
        every = [tables for chunk in self._chunks for tables in chunk.tables]
        return sum(tables.players.size + len(tables.players) for tables in every)

    def _chunk(self, trees: Indices, background: NDArray[Any], weights: Floats) -> _Chunk:
        nodes, failed = failed_slots(self._conditions, self._paths, background, trees=trees)
        slots, places = self._paths.slots[nodes], self._paths.places[nodes]
        tables = []
        for count in np.unique(slots[slots > 0]).tolist():
            rows = np.flatnonzero(slots == count)
            players = self._paths.players[places[rows], :count]
            tables.append(_Tables.of(rows, places[rows], players, failed[rows], weights))
        return _Chunk(trees, tables)

    def summed(self, sums: LeafSums, players: int) -> list[list[csr_array]]:
        """How slots of leaves are summed to explained outputs, of all tables: each float64[players · outputs, slots ·
        leaves].
        """
        return [[_summed(tables, sums, players) for tables in chunk.tables] for chunk in self._chunks]

    def shapley(self, features: NDArray[Any], summed: list[list[csr_array]], size: int) -> Floats:
        """What each player adds to each explained output in rows of features [rows, features], as float64[size, rows]
        with a size of players · outputs.
        """
        told = np.zeros((size, len(features)))
        for chunk, of_chunk in zip(self._chunks, summed, strict=True):
            _, failed = failed_slots(self._conditions, self._paths, features, trees=chunk.trees)
            for tables, sum_up in zip(chunk.tables, of_chunk, strict=True):
                told += sum_up @ tables.told(failed[tables.rows])
        return told


def _summed(tables: _Tables, sums: LeafSums, players: int) -> csr_array:
    """See `PatternTables.summed`."""
    outputs, slots = len(sums.offset), tables.players.shape[1]
    weights = sums.weights[tables.leaves].tocoo()
    leaf, output = weights.coords
    at = [
        (tables.players[leaf, slot].astype(np.intp) * outputs + output, slot * len(tables.leaves) + leaf)
        for slot in range(slots)
    ]
    rows, columns = (np.concatenate(each) for each in zip(*at, strict=True))
    shape = (players * outputs, slots * len(tables.leaves))
    return csr_array((np.tile(weights.data, slots), (rows, columns)), shape=shape)


def bytes_of_trees(leaves: int, depth: int) -> int:
    """Memory that trees take at most: their nodes and ways, and two tables of the patterns of each leaf."""
    patterns = min(MOST_PATTERNS, leaves << min(depth, MOST_SLOTS))
    return 2 * patterns * np.dtype(np.float64).itemsize + leaves * (_LEAF_BYTES + _WAY_BYTES * depth)


def tabulated(paths: LeafPaths, leaves: Indices) -> Indices:
    """The trees that get tables, as many as there is memory for, those of small tables first; ``leaves`` intp[leaves]
    are the nodes of all leaves.
    """
    slots, tree_of = paths.slots[leaves].astype(np.float64), paths.tree_of[leaves]
    patterns = np.bincount(tree_of, np.exp2(slots))
    patterns[np.bincount(tree_of, slots > MOST_SLOTS) > 0] = np.inf
    order = np.argsort(patterns, kind="stable")
    return np.asarray(np.sort(order[np.cumsum(patterns[order]) <= MOST_PATTERNS]), np.intp)
