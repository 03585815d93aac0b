"""Shapley values of trees of many players a leaf: pairs of a row and a background row walk down together.

Where both meet a condition, or neither does, there is one way on: on the other both would fail the condition's player,
and a leaf there adds nothing (`pattern_tables` has the formula). Where one meets it there are two ways, as long as the
player did not fail for the other one before. So a pair comes to few of the leaves, however many a tree has. All pairs
of a block walk at once, a level at a time; what is held is bounded.
"""

from dataclasses import dataclass
from typing import Any  # float32 or float64

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.trees.conditions import Conditions, LeafSums
from explicate_server.explain.trees.leaf_paths import LeafPaths
from explicate_server.explain.trees.pattern_tables import pattern_weight

MOST_SLOTS = 63
"""More distinct players on the way to a leaf do not fit the bits of a number."""
# Pairs at one node each that walk at a time, and the pairs that set out together.
_MOST_STEPS, _MOST_SET_OUT = 1 << 16, 1 << 15


@dataclass(frozen=True)
class _Steps:
    """Pairs on their way: a row, a background row, a node, and the slots that each of them has failed.

    Attributes:
        rows, background, nodes: intp[steps].
        failed, failed_behind: uint64[steps], by the row and by the background row.
    """

    rows: Indices
    background: Indices
    nodes: Indices
    failed: NDArray[np.uint64]
    failed_behind: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: Booleans | Indices | slice) -> "_Steps":
        """Some of them."""
        if not isinstance(chosen, slice):
            chosen = np.flatnonzero(chosen)
        return _Steps(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @staticmethod
    def joined(*parts: "_Steps") -> "_Steps":
        """One after the other."""
        return _Steps(*(np.concatenate([getattr(p, name) for p in parts]) for name in _Steps.__dataclass_fields__))


class TreeWalk:
    """Some trees with a background. Safe to use from several threads."""

    def __init__(
        self, conditions: Conditions, paths: LeafPaths, background: NDArray[Any], weights: Floats, *, trees: Indices
    ) -> None:
        """Take the background's features [b, features] and weights float64[b]."""
        self._conditions, self._paths = conditions, paths
        self._background = background.astype(conditions.type, copy=False)
        self._weights = weights
        self._roots = conditions.trees.roots[trees].astype(np.intp)
        sizes = range(paths.players.shape[1] + 1)
        self._pattern_weights = np.array([[pattern_weight(a, c) for c in sizes] for a in sizes])

    def shapley(self, features: NDArray[Any], sums: LeafSums, players: int) -> Floats:
        """What each player adds to each explained output in rows of features [rows, features], as
        float64[players · outputs, rows].
        """
        features = features.astype(self._conditions.type, copy=False)
        told = np.zeros((len(features) * players, len(sums.offset)))
        columns = [sums.weights[:, [output]].toarray().ravel() for output in range(len(sums.offset))]
        count = len(self._roots) * len(self._weights)
        for first in range(0, count * len(features), _MOST_SET_OUT):
            waiting = [self._set_out(np.arange(first, min(first + _MOST_SET_OUT, count * len(features))))]
            while waiting:
                steps = waiting.pop()
                if len(steps) > _MOST_STEPS:
                    waiting.append(steps.where(slice(_MOST_STEPS, None)))
                    steps = steps.where(slice(_MOST_STEPS))
                there = ~self._conditions.trees.splits[steps.nodes]
                told += self._arrived(steps.where(there), columns, players, len(told))
                onward = self._onward(steps.where(~there), features)
                if len(onward):
                    waiting.append(onward)
        by_row = told.reshape(len(features), players * len(sums.offset))
        return np.ascontiguousarray(by_row.T)

    def _set_out(self, numbers: Indices) -> _Steps:
        """Pairs at roots, by their number among all: rows, then trees, then background rows."""
        rows, rest = np.divmod(numbers, len(self._roots) * len(self._weights))
        trees, background = np.divmod(rest, len(self._weights))
        nothing = np.zeros(len(numbers), np.uint64)
        return _Steps(rows, background, self._roots[trees], nothing, nothing)

    def _onward(self, steps: _Steps, features: NDArray[Any]) -> _Steps:
        """All of them one condition further."""
        trees, nodes = self._conditions.trees, steps.nodes
        read = trees.features[nodes]
        met = self._conditions.met(nodes, features[steps.rows, read])
        met_behind = self._conditions.met(nodes, self._background[steps.background, read])
        bits = np.left_shift(np.uint64(1), self._paths.slots[nodes].astype(np.uint64))
        apart = met != met_behind
        with_row = np.where(met, trees.met[nodes], trees.unmet[nodes]).astype(np.intp)
        against = np.where(met, trees.unmet[nodes], trees.met[nodes]).astype(np.intp)
        behind = np.where(apart, steps.failed_behind | bits, steps.failed_behind)
        first = _Steps(steps.rows, steps.background, with_row, steps.failed, behind)
        second = _Steps(steps.rows, steps.background, against, steps.failed | bits, steps.failed_behind)
        return _Steps.joined(
            first.where(~apart | (steps.failed & bits == 0)), second.where(apart & (steps.failed_behind & bits == 0))
        )

    def _arrived(self, steps: _Steps, columns: list[Floats], players: int, size: int) -> Floats:
        """What the leaves that pairs have come to add, float64[rows · players, outputs], with the weights of leaves
        float64[leaves] for each output.
        """
        places = self._paths.places[steps.nodes]
        ones, others = np.bitwise_count(steps.failed_behind), np.bitwise_count(steps.failed)
        weights = self._weights[steps.background]
        gains = weights * self._pattern_weights[ones, others]
        losses = gains - weights * self._pattern_weights[ones, np.maximum(others, 1) - 1]
        told = np.zeros((size, len(columns)))
        for failed, worth in ((steps.failed_behind, gains), (steps.failed, losses)):
            pairs, slots = self._bits(failed)
            leaves = places[pairs]
            at = steps.rows[pairs] * players + self._paths.players[leaves, slots]
            for output, column in enumerate(columns):
                told[:, output] += np.bincount(at, worth[pairs] * column[leaves], size)
        return told

    def _bits(self, failed: NDArray[np.uint64]) -> tuple[Indices, Indices]:
        """Which bits are set in which of uint64[steps]: the numbers of steps, and those of slots."""
        of_bytes = failed.astype("<u8")[:, np.newaxis].view(np.uint8)
        slots = self._paths.players.shape[1]
        bits = np.unpackbits(of_bytes, axis=1, count=slots, bitorder="little").view(np.bool_)
        steps, found = np.divmod(np.flatnonzero(bits), slots)
        return steps, found
