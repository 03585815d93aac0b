"""The ways to the leaves of decision trees, by the players that their conditions belong to.

On the way to a leaf each distinct player has a slot, numbered from 0 in the order of its first condition. A row fails a
player there when it does not meet one of the player's conditions in the direction of the leaf: what a leaf adds to a
game of that row depends on nothing but the set of slots that the row fails, and the sets that background rows fail.
"""

from dataclasses import dataclass
from typing import Any  # float32 or float64; unsigned integers of several sizes

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.files.tree_arrays import TreeArrays, levels
from explicate_server.explain.attribution import Indices
from explicate_server.explain.trees.conditions import Conditions

_NOBODY = -1


@dataclass(frozen=True)
class LeafPaths:
    """The ways to all leaves.

    Attributes:
        levels: the nodes by their distance from the root, see `tree_arrays.levels`.
        slots: int16[nodes], the slot of the player of a node's condition; of a leaf, how many players are on its way.
        players: int16[leaves, slots], of each slot of each leaf, -1 where there are fewer.
        places: intp[nodes], the place of a leaf among the leaves.
        tree_of: int32[nodes].
    """

    levels: list[NDArray[np.int32]]
    slots: NDArray[np.int16]
    players: NDArray[np.int16]
    places: Indices
    tree_of: NDArray[np.int32]

    @classmethod
    def of(cls, trees: TreeArrays) -> "LeafPaths":
        """Follow all ways down; there are at most 10,000 players (see `TableKind`)."""
        by_level = levels(trees)
        slots = np.zeros(len(trees.modes), np.int16)
        tree_of = np.zeros(len(trees.modes), np.int32)
        tree_of[trees.roots] = np.arange(len(trees.roots))
        splits, ways = trees.splits, np.zeros((len(trees.roots), 0), np.int16)
        leaf_ways: list[tuple[NDArray[np.int32], NDArray[np.int16]]] = []
        for nodes in by_level:
            is_split = splits[nodes]
            leaf_ways.append((nodes[~is_split], ways[~is_split]))
            slots[nodes[~is_split]] = (ways[~is_split] != _NOBODY).sum(axis=1)
            nodes, ways = nodes[is_split], ways[is_split]
            slots[nodes], ways = _with(ways, trees.owners[trees.features[nodes]].astype(np.int16))
            children = np.concatenate((trees.met[nodes], trees.unmet[nodes]))
            tree_of[children], ways = np.tile(tree_of[nodes], 2), np.tile(ways, (2, 1))
        places = np.cumsum(~splits) - 1
        players = np.full((int((~splits).sum()), max(found.shape[1] for _, found in leaf_ways)), _NOBODY, np.int16)
        for nodes, found in leaf_ways:
            players[places[nodes], : found.shape[1]] = found
        return cls(by_level, slots, players, places, tree_of)


def _with(ways: NDArray[np.int16], players: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The slot of one more player on each way, and the ways with it; a new one takes the first free slot."""
    wide = np.concatenate((ways, np.full((len(ways), 1), _NOBODY, np.int16)), axis=1)
    slots = ((wide == players[:, np.newaxis]) | (wide == _NOBODY)).argmax(axis=1).astype(np.int16)
    wide[np.arange(len(wide)), slots] = players
    used = wide.shape[1] - (1 if (wide[:, -1] == _NOBODY).all() else 0)
    return slots, wide[:, :used]


def failed_slots(
    conditions: Conditions, paths: LeafPaths, features: NDArray[Any], *, trees: Indices
) -> tuple[Indices, NDArray[np.uint16]]:
    """The leaves of some trees, and which of their slots rows of features [rows, features] fail.

    Returns:
        Nodes intp[leaves], and uint16[leaves, rows], bit i of which is slot i; no way has more than 16.
    """
    arrays = conditions.trees
    by_feature = np.ascontiguousarray(features.astype(conditions.type, copy=False).T)
    nodes, failed = arrays.roots[trees].astype(np.intp), np.zeros((len(trees), len(features)), np.uint16)
    found: list[tuple[Indices, NDArray[np.uint16]]] = []
    while len(nodes):
        is_split = arrays.splits[nodes]
        found.append((nodes[~is_split], failed[~is_split]))
        nodes, failed = nodes[is_split], failed[is_split]
        met = conditions.met(nodes[:, np.newaxis], by_feature[arrays.features[nodes]])
        bits = np.left_shift(np.uint16(1), paths.slots[nodes].astype(np.uint16))[:, np.newaxis]
        failed = np.concatenate((failed | bits * ~met, failed | bits * met))
        nodes = np.concatenate((arrays.met[nodes], arrays.unmet[nodes])).astype(np.intp)
    return np.concatenate([each for each, _ in found]), np.concatenate([each for _, each in found])
