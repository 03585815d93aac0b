"""Decision trees in one form, whoever grew them, and as the node of a graph.

Every condition is "feature <= threshold" with a side for missing values, in 64 bits. A condition on a set of categories
reads a feature of its own, which is 1 where the category goes right and 0 where it goes left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate_export.estimators.graph_builder import ML_DOMAIN, GraphBuilder

LEAF = -1
_Floats = NDArray[np.float64]
_Places = NDArray[np.intp]


@dataclass(frozen=True)
class CategorySplit:
    """A condition on the code that a feature has: which of its values go right."""

    feature: int
    listed: frozenset[int]  # some of its values 0, 1, 2, ...
    others_right: bool  # whether the listed values go left and all others right, or the other way
    missing_right: bool

    def sides(self, values: _Floats) -> _Floats:
        """1 where a value goes right, else 0; float64 of float64."""
        whole = np.where(np.isnan(values), -1, values)
        listed = np.isin(whole.astype(np.int64), list(self.listed)) & (whole >= 0)
        right = ~listed if self.others_right else listed
        return np.where(np.isnan(values), self.missing_right, right).astype(np.float64)


@dataclass(frozen=True)
class Trees:
    """Trees whose leaves are summed, all their nodes one after the other.

    `feature` is LEAF of a leaf; of a condition on a category it is the number of features plus the place in `splits`.
    """

    roots: _Places  # [trees]
    feature: _Places  # [nodes]
    threshold: _Floats  # [nodes]: goes left where feature <= threshold
    missing_left: NDArray[np.bool_]  # [nodes]
    left: _Places  # [nodes]
    right: _Places  # [nodes]
    value: _Floats  # [nodes, outputs], of leaves
    base: _Floats  # [outputs]
    features: int
    splits: Sequence[CategorySplit] = ()

    def leaves(self, rows: _Floats) -> _Floats:
        """The sum of the leaves float64[rows, outputs] for features float64[rows, features], without the base."""
        rows = np.column_stack([rows, *(split.sides(rows[:, split.feature]) for split in self.splits)])
        total = np.zeros((len(rows), self.value.shape[1]))
        everyone = np.arange(len(rows))
        for root in self.roots:
            node = np.full(len(rows), root)
            while (inner := self.feature[node] != LEAF).any():
                at, who = node[inner], everyone[inner]
                values = rows[who, self.feature[at]]
                left = np.where(np.isnan(values), self.missing_left[at], values <= self.threshold[at])
                node[inner] = np.where(left, self.left[at], self.right[at])
            total += self.value[node]
        return total

    def for_both_classes(self) -> "Trees":
        """Those of a log-odds as logits of two classes: half of it below and above 0."""
        halves = np.array([-0.5, 0.5])
        return replace(self, value=self.value * halves, base=self.base * halves)


@dataclass(frozen=True)
class Settled:
    """Trees whose conditions part the features of a graph as the model's own part its own."""

    trees: Trees
    moved: int  # conditions whose threshold had to move
    torn: NDArray[np.bool_]  # [rows], those that no threshold can send where the model does


def settle(trees: Trees, own: _Floats, graph: NDArray[np.float32]) -> Settled:
    """Thresholds in 32 bits for the features of a graph.

    A threshold between two numbers of the rows may fall together with one of them once both are rounded. It moves to
    where the rows still go their own way. Where two rows of different sides become the same number, one is torn.

    Args:
        trees: with thresholds of the model's own features.
        own: the model's features of some rows, float64[rows, features].
        graph: what the graph makes of the same rows, float32[rows, features].
    """
    down = _rounded_down(trees.threshold)
    torn = np.zeros(len(own), dtype=np.bool_)
    moved = 0
    settled = down.astype(np.float64)
    for feature in range(trees.features):
        nodes = np.flatnonzero(trees.feature == feature)
        known = np.flatnonzero(~np.isnan(own[:, feature]) & ~np.isnan(graph[:, feature]))
        if not len(nodes) or not len(known):
            continue
        order = known[np.argsort(own[known, feature], kind="stable")]
        mine, theirs = own[order, feature], graph[order, feature].astype(np.float64)
        highest = np.concatenate(([-np.inf], np.maximum.accumulate(theirs)))
        lowest = np.concatenate((np.minimum.accumulate(theirs[::-1])[::-1], [np.inf]))
        split = np.searchsorted(mine, trees.threshold[nodes], side="right")
        least, most = highest[split], lowest[split]  # left of the threshold, and right of it
        right = (settled[nodes] >= least) & (settled[nodes] < most)
        moved += int((~right).sum())
        settled[nodes] = np.where(right, settled[nodes], least)
        for node in np.flatnonzero(least >= most):
            torn[order[split[node] :][theirs[split[node] :] <= least[node]]] = True
    return Settled(replace(trees, threshold=settled), moved, torn)


def _rounded_down(values: _Floats) -> NDArray[np.float32]:
    """The largest float32 that is not above each value, so that no float32 changes sides; none is subnormal."""
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    down = np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)
    tiny = np.finfo(np.float32).tiny
    flat = np.where(down < 0, -tiny, np.float32(0))
    bounded = np.where(np.abs(down) < tiny, flat, down)
    limit = np.finfo(np.float32).max
    return np.clip(bounded, -limit, limit).astype(np.float32)


def ensemble_node(graph: GraphBuilder, features: str, trees: Trees) -> str:
    """The node that answers float32 [batch, outputs] of features float32 [batch, features and category conditions]."""
    owner = np.searchsorted(trees.roots, np.arange(len(trees.feature)), side="right") - 1
    own_id = np.arange(len(owner)) - trees.roots[owner]
    leaf = trees.feature == LEAF
    children = [np.where(leaf, 0, own_id[side]) for side in (trees.left, trees.right)]
    weighted, target = np.nonzero((trees.value != 0) & leaf[:, np.newaxis])
    silent = np.setdiff1d(np.flatnonzero(leaf), weighted)
    weighted, target = np.concatenate((weighted, silent)), np.concatenate((target, np.zeros_like(silent)))
    order = np.argsort(weighted, kind="stable")
    weighted, target = weighted[order], target[order]
    return graph.node(
        "TreeEnsembleRegressor",
        features,
        domain=ML_DOMAIN,
        n_targets=trees.value.shape[1],
        post_transform="NONE",
        aggregate_function="SUM",
        base_values=trees.base.astype(np.float32).tolist(),
        nodes_treeids=owner.tolist(),
        nodes_nodeids=own_id.tolist(),
        nodes_featureids=np.where(leaf, 0, trees.feature).tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values=np.where(leaf, 0, trees.threshold).astype(np.float32).tolist(),
        nodes_truenodeids=children[0].tolist(),
        nodes_falsenodeids=children[1].tolist(),
        nodes_missing_value_tracks_true=(trees.missing_left & ~leaf).astype(np.int64).tolist(),
        target_treeids=owner[weighted].tolist(),
        target_nodeids=own_id[weighted].tolist(),
        target_ids=target.tolist(),
        target_weights=trees.value[weighted, target].astype(np.float32).tolist(),
    )


@dataclass(frozen=True)
class OneTree:
    """A tree that was read, its children by their place in it."""

    feature: Sequence[int] | NDArray[Any]
    threshold: Sequence[float] | NDArray[Any]
    missing_left: Sequence[bool] | NDArray[Any]
    left: Sequence[int] | NDArray[Any]
    right: Sequence[int] | NDArray[Any]
    value: _Floats  # [nodes, outputs]


def joined(trees: Sequence[OneTree], base: _Floats, *, features: int, splits: Sequence[CategorySplit] = ()) -> Trees:
    """All nodes one after the other."""
    sizes = [len(tree.feature) for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    shifts = np.repeat(roots, sizes)
    told = (np.concatenate([getattr(tree, name) for tree in trees]) for name in ("left", "right"))
    left, right = (np.maximum(side.astype(np.intp), 0) + shifts for side in told)
    feature = np.concatenate([tree.feature for tree in trees]).astype(np.intp)
    threshold = np.concatenate([tree.threshold for tree in trees]).astype(np.float64)
    missing_left = np.concatenate([tree.missing_left for tree in trees]).astype(np.bool_)
    value = np.concatenate([tree.value for tree in trees]).astype(np.float64)
    return Trees(roots, feature, threshold, missing_left, left, right, value, base, features, tuple(splits))
