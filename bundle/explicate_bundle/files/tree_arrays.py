"""The decision trees in a table's bundle, whose leaves its outputs are a sum of (see `TreeSums`).

``trees.npz`` holds, without pickle, all nodes of all trees, a parent always before its children: ``modes``
uint8[nodes], how a condition compares, by its place in `MODES`, 0 for a leaf; ``features`` int32[nodes], which of the
graph's "tree_features" it reads; ``thresholds`` float32 or float64[nodes], what that is compared with, or the number of
a set of members; ``met`` and ``unmet`` int32[nodes], the node to go on with; ``missing_met`` bool[nodes], whether a
missing number meets the condition. ``roots`` int32[trees]. The sets are ``members``, of the type of the thresholds, one
set after the other, with ``member_offsets`` int64[sets + 1].

What leaves add is ``leaf_nodes`` int32[k], ``leaf_outputs`` int32[k] and ``leaf_weights`` float64[k], each once;
``offset`` float64[outputs] is added besides. ``owners`` int32[features] is the player that a feature belongs to, by its
place among the players of an explanation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TreeSums
from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import opened_arrays

TREE_FEATURES = "tree_features"
"""The graph's output that the conditions read."""
MODES = ("LEAF", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
"""How a condition compares a feature with its threshold, by the names of ONNX."""
LEAF, MEMBER = MODES.index("LEAF"), MODES.index("BRANCH_MEMBER")
_TYPES: dict[str, tuple[type[np.generic], ...]] = {
    **dict.fromkeys(("roots", "features", "met", "unmet", "leaf_nodes", "leaf_outputs", "owners"), (np.int32,)),
    **dict.fromkeys(("thresholds", "members"), (np.float32, np.float64)),
    **dict.fromkeys(("leaf_weights", "offset"), (np.float64,)),
    "modes": (np.uint8,),
    "missing_met": (np.bool_,),
    "member_offsets": (np.int64,),
}


@dataclass(frozen=True)
class TreeArrays:
    """The arrays of the file."""

    modes: NDArray[np.uint8]
    features: NDArray[np.int32]
    thresholds: NDArray[Any]
    met: NDArray[np.int32]
    unmet: NDArray[np.int32]
    missing_met: NDArray[np.bool_]
    roots: NDArray[np.int32]
    members: NDArray[Any]
    member_offsets: NDArray[np.int64]
    leaf_nodes: NDArray[np.int32]
    leaf_outputs: NDArray[np.int32]
    leaf_weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    owners: NDArray[np.int32]

    @property
    def splits(self) -> NDArray[np.bool_]:
        """Whether each node has a condition, bool[nodes]; the others are leaves."""
        return np.asarray(self.modes != LEAF)

    def told(self, *, probabilities: bool) -> TreeSums:
        """What a manifest says of them."""
        return TreeSums(
            probabilities=probabilities,
            trees=len(self.roots),
            leaves=int((~self.splits).sum()),
            features=len(self.owners),
            depth=len(levels(self)) - 1,
        )


def levels(trees: TreeArrays, *, most: int | None = None) -> list[NDArray[np.int32]]:
    """The nodes of all trees by their distance from the root; of trees that were not checked ``most`` nodes and no more
    than that as often again.
    """
    found: list[NDArray[np.int32]] = []
    nodes = trees.roots
    while len(nodes) and (most is None or sum(len(each) for each in found) <= most):
        found.append(nodes)
        nodes = nodes[trees.splits[nodes]]
        nodes = np.concatenate((trees.met[nodes], trees.unmet[nodes]))
    return found


def read_trees(path: Path, told: TreeSums, *, players: int, outputs: int) -> TreeArrays:
    """Read and check the file of a manifest that says this of it.

    Raises:
        BundleError: it is not in the format.
    """
    with opened_arrays(path) as arrays:
        trees = TreeArrays(**{field.name: arrays[field.name] for field in fields(TreeArrays)})
        # The first one only: each rests on those before it.
        faults = chain(_shape_faults(trees), _node_faults(trees), _leaf_faults(trees, players, outputs))
        for fault in faults:
            raise BundleError(f"{path.name} has {fault}")
        if told != trees.told(probabilities=told.probabilities):
            raise BundleError(f"{path.name} has other trees than the manifest says")
    return trees


def write_trees(path: Path, trees: TreeArrays) -> None:
    """Write the file."""
    np.savez_compressed(path, **vars(trees))


def _shape_faults(trees: TreeArrays) -> Iterator[str]:
    lengths: dict[str, int] = {}
    same = {
        **dict.fromkeys(("modes", "features", "thresholds", "met", "unmet", "missing_met"), "nodes"),
        **dict.fromkeys(("leaf_nodes", "leaf_outputs", "leaf_weights"), "weights"),
    }
    for name, array in vars(trees).items():
        if array.dtype not in _TYPES[name]:
            yield f"{name} of type {array.dtype}"
        if array.ndim != 1 or len(array) != lengths.setdefault(same.get(name, name), len(array)):
            yield f"{name} of shape {array.shape}"
    if trees.members.dtype != trees.thresholds.dtype:
        yield "members of another type than thresholds"


def _node_faults(trees: TreeArrays) -> Iterator[str]:
    splits, nodes = trees.splits, len(trees.modes)
    if not len(trees.roots) or trees.modes.max(initial=0) >= len(MODES):
        yield "no trees, or conditions of an unknown mode"
    children = np.concatenate((trees.met[splits], trees.unmet[splits]))
    parents = np.tile(np.flatnonzero(splits), 2)
    if (children <= parents).any() or (children >= nodes).any():
        yield "children that are not behind their parents"
    every = np.concatenate((trees.roots, children))
    if (trees.roots < 0).any() or not np.array_equal(np.sort(every), np.arange(nodes)):
        yield "nodes that are not in exactly one place of one tree"
    read = trees.features[splits]
    if (read < 0).any() or (read >= len(trees.owners)).any():
        yield "conditions on features that there are not"
    yield from _member_faults(trees)


def _member_faults(trees: TreeArrays) -> Iterator[str]:
    offsets, of_sets = trees.member_offsets, trees.thresholds[trees.modes == MEMBER]
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(trees.members) or (np.diff(offsets) < 0).any():
        yield "member_offsets that do not fit members"
    if not (np.isin(of_sets, np.arange(len(offsets) - 1)).all() and np.isfinite(trees.members).all()):
        yield "conditions on sets of members that there are not"
    if np.isnan(trees.thresholds[trees.splits]).any():
        yield "thresholds that are not numbers"


def _leaf_faults(trees: TreeArrays, players: int, outputs: int) -> Iterator[str]:
    nodes, places = trees.leaf_nodes, trees.leaf_outputs
    if (nodes < 0).any() or (nodes >= len(trees.modes)).any() or trees.splits[nodes].any():
        yield "weights of nodes that are not leaves"
    if len(trees.offset) != outputs or (places < 0).any() or (places >= outputs).any():
        yield f"weights or an offset of other outputs than the {outputs} of the manifest"
    if len(np.unique(nodes.astype(np.int64) * outputs + places)) != len(nodes):
        yield "weights that repeat"
    if not (np.isfinite(trees.leaf_weights).all() and np.isfinite(trees.offset).all()):
        yield "weights that are not finite numbers"
    if (trees.owners < 0).any() or (trees.owners >= players).any():
        yield f"features of other players than the {players} of the manifest"
