"""The trees in nodes of ai.onnx.ml: TreeEnsembleClassifier, TreeEnsembleRegressor (versions 1 to 3), TreeEnsemble (5).

What is read is what a node sums up before its `post_transform`; base values are a constant and are left out. See
https://onnx.ai/onnx/operators/index_ai.onnx.ml.html.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any  # attributes of several types; float32 or float64

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from explicate_bundle.files.tree_arrays import LEAF, MEMBER, MODES, TreeArrays, levels

_DOMAIN = "ai.onnx.ml"
_OPERATORS = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")
_SUMS = {"SUM": False, "AVERAGE": True, 1: False, 0: True}
"""Whether sums are divided by the number of trees, by what a node calls its aggregate."""
_LEAF_FLAGS = (("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs"))


class UntoldError(Exception):
    """Why trees cannot be told, as the end of a sentence about the model."""


def tree_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of trees of a model.

    Raises:
        UntoldError: some are in a function or in the body of another node.
    """
    bodies = [*(node for function in model.functions for node in function.node), *_bodies(model.graph.node)]
    if any(map(_is_trees, bodies)):
        raise UntoldError("it has decision trees in a function, a loop or a condition of its graph")
    return [node for node in model.graph.node if _is_trees(node)]


def _is_trees(node: onnx.NodeProto) -> bool:
    return node.domain == _DOMAIN and node.op_type in _OPERATORS


def _bodies(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.node
                yield from _bodies(graph.node)


def read_node(node: onnx.NodeProto) -> TreeArrays:
    """The trees of a node: their outputs are its targets or classes, their features the columns of its input, all of
    which belong to player 0.

    Raises:
        UntoldError: they are not a sum of trees, or not trees.
    """
    told = {attribute.name: _value(attribute) for attribute in node.attribute}
    aggregate = told.get("aggregate_function", 1 if node.op_type == "TreeEnsemble" else "SUM")
    if aggregate not in _SUMS:
        raise UntoldError(f"its trees are not summed up, but their {aggregate}")
    trees = _ordered(_of_ensemble(told) if node.op_type == "TreeEnsemble" else _of_ids(told))
    return replace(trees, leaf_weights=trees.leaf_weights / (len(trees.roots) if _SUMS[aggregate] else 1))


def _value(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value.decode() if isinstance(value, bytes) else value


def _numbers(told: dict[str, Any], name: str, length: int, kind: Any = np.int64) -> NDArray[Any]:
    """An attribute of so many numbers, 0 where it is left out."""
    found = told.get(name, [])
    return np.asarray(found if len(found) else np.zeros(length), kind)


def _floats(told: dict[str, Any], name: str) -> NDArray[Any]:
    """An attribute of floats, or of a tensor of floats or doubles."""
    tensor = told.get(f"{name}_as_tensor")
    return np.asarray(told.get(name, []), np.float32) if tensor is None or not tensor.size else tensor


def _of_ids(told: dict[str, Any]) -> TreeArrays:
    """Of the operators that number the nodes of each tree."""
    ids = np.stack((told["nodes_treeids"], told["nodes_nodeids"]), axis=1).astype(np.int64)
    modes = np.array([MODES.index(mode.decode()) for mode in told["nodes_modes"]], np.uint8)
    splits = modes != LEAF
    places = {(tree, node): place for place, (tree, node) in enumerate(ids.tolist())}
    met, unmet = (np.full(len(modes), -1), np.full(len(modes), -1))
    for children, name in ((met, "nodes_truenodeids"), (unmet, "nodes_falsenodeids")):
        of_splits = zip(ids[splits, 0].tolist(), np.asarray(told[name])[splits].tolist(), strict=True)
        children[splits] = [_found(places, child) for child in of_splits]
    kind = "class" if "class_ids" in told else "target"
    at_leaves = zip(told[f"{kind}_treeids"], told[f"{kind}_nodeids"], strict=True)
    no_sets = np.zeros(0, np.float32)
    return _arrays(
        told,
        modes=modes,
        children=(met, unmet),
        thresholds=_floats(told, "nodes_values"),
        roots=np.setdiff1d(np.arange(len(modes)), np.concatenate((met, unmet))),
        sets=(no_sets, np.zeros(1, np.int64)),
        leaves=(np.array([_found(places, leaf) for leaf in at_leaves], np.int64), told[f"{kind}_ids"]),
        weights=_floats(told, f"{kind}_weights"),
    )


def _found(places: dict[tuple[int, int], int], node: tuple[int, int]) -> int:
    if node not in places:
        raise UntoldError("it names nodes of decision trees that there are not")
    return places[node]


def _of_ensemble(told: dict[str, Any]) -> TreeArrays:
    """Of the operator that lists nodes and leaves apart: a leaf becomes one node for each way to it."""
    modes = np.asarray(told["nodes_modes"], np.uint8) + 1
    leaves, count = [], len(modes)
    children = []
    for name, flags in _LEAF_FLAGS:
        ids, is_leaf = np.array(told[name], np.int64), np.asarray(told[flags], np.bool_)
        leaves.append(ids[is_leaf])
        ids[is_leaf] = count + np.arange(int(is_leaf.sum()))
        count += int(is_leaf.sum())
        children.append(ids)
    every = np.concatenate(leaves)
    nobody = np.full(len(every), -1)
    splits = np.array(told["nodes_splits"])
    is_set = modes == MEMBER
    splits[is_set] = np.arange(int(is_set.sum()))
    return _arrays(
        told,
        modes=np.concatenate((modes, np.full(len(every), LEAF, np.uint8))),
        children=(np.concatenate((children[0], nobody)), np.concatenate((children[1], nobody))),
        thresholds=np.concatenate((splits, np.zeros(len(every), splits.dtype))),
        roots=np.asarray(told["tree_roots"]),
        sets=_sets(np.asarray(told.get("membership_values", np.zeros(0, splits.dtype))), int(is_set.sum())),
        leaves=(len(modes) + np.arange(len(every)), np.asarray(told["leaf_targetids"])[every]),
        weights=np.asarray(told["leaf_weights"])[every],
    )


def _sets(values: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Members and where each set begins, of sets with NaN between them."""
    ends = np.flatnonzero(np.isnan(np.append(values, np.nan)))[:count]
    lengths = np.diff(np.concatenate(([-1], ends))) - 1
    if len(ends) != count:
        raise UntoldError("it lacks members of sets that its decision trees ask for")
    return values[~np.isnan(values)][: lengths.sum()], np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def _arrays(
    told: dict[str, Any],
    *,
    modes: NDArray[np.uint8],
    children: tuple[NDArray[Any], NDArray[Any]],
    thresholds: NDArray[Any],
    roots: NDArray[Any],
    sets: tuple[NDArray[Any], NDArray[np.int64]],
    leaves: tuple[NDArray[Any], Any],
    weights: NDArray[Any],
) -> TreeArrays:
    nodes, listed = len(modes), len(told["nodes_featureids"])
    features, missing = np.zeros(nodes, np.int32), np.zeros(nodes, np.bool_)
    features[:listed] = told["nodes_featureids"]
    missing[:listed] = _numbers(told, "nodes_missing_value_tracks_true", listed, np.bool_)
    targets = np.asarray(leaves[1], np.int32)
    kind = np.dtype(np.float64 if thresholds.dtype == np.float64 else np.float32)
    return TreeArrays(
        modes=modes,
        features=features,
        thresholds=thresholds.astype(kind),
        met=children[0].astype(np.int32),
        unmet=children[1].astype(np.int32),
        missing_met=missing & (modes != LEAF),
        roots=roots.astype(np.int32),
        members=sets[0].astype(kind),
        member_offsets=sets[1],
        leaf_nodes=leaves[0].astype(np.int32),
        leaf_outputs=targets,
        leaf_weights=weights.astype(np.float64),
        offset=np.zeros(int(targets.max(initial=0)) + 1),
        owners=np.zeros(int(features.max(initial=0)) + 1, np.int32),
    )


def _ordered(trees: TreeArrays) -> TreeArrays:
    """The same with every parent before its children, and each weight of a leaf once."""
    order = _from_the_roots(trees)
    place = np.full(len(trees.modes), -1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    reached = place[trees.leaf_nodes] >= 0  # a node that no way leads to adds nothing
    ends = np.stack((place[trees.leaf_nodes], trees.leaf_outputs), axis=1)[reached]
    ends, which = np.unique(ends, axis=0, return_inverse=True)
    if trees.splits[order][ends[:, 0]].any():
        raise UntoldError("its decision trees have weights of nodes that are not leaves")
    splits = trees.splits[order]
    return replace(
        trees,
        **{name: getattr(trees, name)[order] for name in ("modes", "features", "thresholds", "missing_met")},
        met=np.where(splits, place[trees.met[order]], -1).astype(np.int32),
        unmet=np.where(splits, place[trees.unmet[order]], -1).astype(np.int32),
        roots=place[trees.roots],
        leaf_nodes=ends[:, 0].astype(np.int32),
        leaf_outputs=ends[:, 1].astype(np.int32),
        leaf_weights=np.bincount(which.ravel(), trees.leaf_weights[reached], len(ends)).astype(np.float64),
    )


def _from_the_roots(trees: TreeArrays) -> NDArray[np.int32]:
    """All nodes that ways lead to, by their distance from the root."""
    if not len(trees.roots):
        raise UntoldError("its decision trees have no roots")
    order = np.concatenate(levels(trees, most=len(trees.modes)))
    if len(np.unique(order)) != len(order):
        raise UntoldError("its decision trees share nodes, or go round in circles")
    return order


def joined(parts: Sequence[tuple[TreeArrays, int]], features: int, kind: type[np.floating[Any]]) -> TreeArrays:
    """All trees of several nodes, as numbers of one type: the features of each node from a column on, its outputs
    behind those of the nodes before it.
    """
    nodes = np.cumsum([0, *(len(trees.modes) for trees, _ in parts)])
    outputs = np.cumsum([0, *(len(trees.offset) for trees, _ in parts)])
    sets = np.cumsum([0, *(len(trees.member_offsets) - 1 for trees, _ in parts)])
    members = np.cumsum([0, *(len(trees.members) for trees, _ in parts)])

    def moved(number: int, trees: TreeArrays, first: int) -> dict[str, NDArray[Any]]:
        splits = trees.splits
        return {
            "modes": trees.modes,
            "features": np.where(splits, trees.features + first, 0).astype(np.int32),
            "thresholds": (trees.thresholds + np.where(trees.modes == MEMBER, sets[number], 0)).astype(kind),
            "met": np.where(splits, trees.met + nodes[number], -1).astype(np.int32),
            "unmet": np.where(splits, trees.unmet + nodes[number], -1).astype(np.int32),
            "missing_met": trees.missing_met,
            "roots": (trees.roots + nodes[number]).astype(np.int32),
            "members": trees.members.astype(kind),
            "member_offsets": trees.member_offsets[:-1] + members[number],
            "leaf_nodes": (trees.leaf_nodes + nodes[number]).astype(np.int32),
            "leaf_outputs": (trees.leaf_outputs + outputs[number]).astype(np.int32),
            "leaf_weights": trees.leaf_weights,
        }

    every = [moved(number, trees, first) for number, (trees, first) in enumerate(parts)]
    arrays = {name: np.concatenate([each[name] for each in every]) for name in every[0]}
    arrays["member_offsets"] = np.append(arrays["member_offsets"], members[-1])
    return TreeArrays(**arrays, offset=np.zeros(int(outputs[-1])), owners=np.zeros(features, np.int32))
