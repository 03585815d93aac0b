"""The trees of fitted models: scikit-learn's, XGBoost's and LightGBM's, read from what these tell of them.

Sources of the semantics: scikit-learn `tree/_tree.pyx` and `ensemble/_hist_gradient_boosting/_predictor.pyx`; XGBoost
`src/common/categorical.h` (a category in the set goes right) and doc/tutorials/saving_model; LightGBM
`include/LightGBM/tree.h` (NumericalDecision, CategoricalDecision).
"""

import json
from collections.abc import Callable
from typing import Any  # models of libraries without types

import numpy as np
from numpy.typing import NDArray

from explicate_export.errors import UsageError
from explicate_export.estimators.forest.ensemble import LEAF, CategorySplit, OneTree, Trees, joined

_Floats = NDArray[np.float64]


class _Splits:
    """The conditions on categories, each once; a node reads the feature behind all others."""

    def __init__(self, features: int) -> None:
        self._features = features
        self._places: dict[CategorySplit, int] = {}

    def feature(self, split: CategorySplit) -> int:
        return self._features + self._places.setdefault(split, len(self._places))

    @property
    def all(self) -> list[CategorySplit]:
        return list(self._places)


def sklearn_trees(trees: list[Any], features: int, value_of: Callable[[int, _Floats], _Floats], base: _Floats) -> Trees:
    """Trees of scikit-learn (`estimator.tree_`).

    Args:
        trees: in order.
        features: how many the model has.
        value_of: what the leaves of a tree add to the outputs, [nodes, outputs], by its index and its values [nodes, 1
            or classes].
        base: float64[outputs].
    """
    read = []
    for index, tree in enumerate(trees):
        leaf = tree.children_left == tree.children_right
        missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, dtype=np.uint8))
        read.append(
            OneTree(
                np.where(leaf, LEAF, tree.feature),
                tree.threshold,
                missing.astype(np.bool_),
                tree.children_left,
                tree.children_right,
                value_of(index, tree.value[:, 0, :]),
            )
        )
    return joined(read, base, features=features)


def histogram_trees(model: Any, features: int) -> Trees:
    """Those of HistGradientBoosting, with the raw prediction as output."""
    splits, read = _Splits(features), []
    outputs = model._predictors[0].__len__()
    known_bitsets, index_of = model._bin_mapper.make_known_categories_bitsets()
    for iteration in model._predictors:
        for output, predictor in enumerate(iteration):
            nodes = predictor.nodes
            feature = nodes["feature_idx"].astype(np.int64)
            threshold = nodes["num_threshold"].astype(np.float64)
            missing_left = nodes["missing_go_to_left"].astype(np.bool_)
            for place in np.flatnonzero(nodes["is_categorical"] & (nodes["is_leaf"] == 0)):
                left = _members(predictor.raw_left_cat_bitsets[nodes[place]["bitset_idx"]])
                known = _members(known_bitsets[index_of[feature[place]]])
                # What is not known goes where missing values go.
                left_if_missing = bool(missing_left[place])
                right = known - left if left_if_missing else left
                split = CategorySplit(int(feature[place]), frozenset(right), not left_if_missing, not left_if_missing)
                feature[place], threshold[place] = splits.feature(split), 0.5
            value = np.zeros((len(nodes), outputs))
            value[:, output] = nodes["value"]
            feature[nodes["is_leaf"] == 1] = LEAF
            read.append(OneTree(feature, threshold, missing_left, nodes["left"], nodes["right"], value))
    return joined(read, np.ravel(model._baseline_prediction).astype(np.float64), features=features, splits=splits.all)


def _members(bitset: NDArray[np.uint32]) -> frozenset[int]:
    bits = np.unpackbits(np.ascontiguousarray(bitset).view(np.uint8), bitorder="little")
    return frozenset(np.flatnonzero(bits).tolist())


def xgboost_trees(booster: Any) -> Trees:
    """Those of an XGBoost booster with one margin for each output; the base is not part of them."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    boosted = learner["gradient_booster"]
    if boosted["name"] not in ("gbtree", "dart"):
        raise UsageError(f"the booster {boosted['name']!r} has no trees: fit one with booster='gbtree'")
    weights = boosted.get("weight_drop")
    model = boosted["gbtree"]["model"] if boosted["name"] == "dart" else boosted["model"]
    features = int(learner["learner_model_param"]["num_feature"])
    outputs = max(1, int(learner["learner_model_param"]["num_class"]))
    splits, read = _Splits(features), []
    for index, (tree, output) in enumerate(zip(model["trees"], model["tree_info"], strict=True)):
        if int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise UsageError("the model has trees with several outputs (multi_output_tree), which cannot be exported")
        leaf = np.array(tree["left_children"]) == -1
        conditions = np.array(tree["split_conditions"], dtype=np.float32)
        feature = np.array(tree["split_indices"], dtype=np.int64)
        missing_left = np.array(tree["default_left"], dtype=np.bool_)
        # x < t of 32-bit numbers; the number before 0 would be subnormal, which processors may take for 0.
        before = np.nextafter(conditions, np.float32(-np.inf))
        threshold = np.where(conditions == 0, -np.finfo(np.float32).tiny, before).astype(np.float64)
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        ):
            right = frozenset(tree["categories"][start : start + size])
            split = CategorySplit(int(feature[node]), right, others_right=False, missing_right=not missing_left[node])
            feature[node], threshold[node] = splits.feature(split), 0.5
        value = np.zeros((len(leaf), outputs))
        value[:, output] = np.where(leaf, conditions, 0) * (weights[index] if weights else 1)
        feature[leaf] = LEAF
        read.append(OneTree(feature, threshold, missing_left, tree["left_children"], tree["right_children"], value))
    return joined(read, np.zeros(outputs), features=features, splits=splits.all)


def lightgbm_trees(booster: Any) -> Trees:
    """Those of a LightGBM booster, with the raw score as output; raises UsageError."""
    dump = booster.dump_model()
    features, outputs = dump["max_feature_idx"] + 1, dump["num_tree_per_iteration"]
    splits, infos = _Splits(features), dump["tree_info"]
    scale = outputs / len(infos) if dump["average_output"] else 1.0
    if "linear_tree: 1" in booster.model_to_string():
        raise UsageError("the model has linear functions in its leaves (linear_tree), which cannot be exported")
    read = [
        _lightgbm_tree(tree["tree_structure"], index % outputs, outputs, scale, splits)
        for index, tree in enumerate(infos)
    ]
    return joined(read, np.zeros(outputs), features=features, splits=splits.all)


def _lightgbm_tree(root: Any, output: int, outputs: int, scale: float, splits: _Splits) -> OneTree:
    nodes: list[Any] = [root]
    told: list[tuple[int, float, bool, int, int, float]] = []
    for node in nodes:  # grows
        if "split_feature" not in node:
            told.append((LEAF, 0.0, False, 0, 0, float(node["leaf_value"])))
        else:
            nodes += [node["left_child"], node["right_child"]]
            told.append((*_lightgbm_condition(node, splits), len(nodes) - 2, len(nodes) - 1, 0.0))
    feature, threshold, missing_left, left, right, value = map(np.array, zip(*told, strict=True))
    of_output = np.zeros((len(nodes), outputs))
    of_output[:, output] = value * scale
    return OneTree(feature, threshold, missing_left, left, right, of_output)


def _lightgbm_condition(node: Any, splits: _Splits) -> tuple[int, float, bool]:
    """Feature, threshold and whether missing values go left."""
    feature = int(node["split_feature"])
    if node["decision_type"] == "==":
        left = frozenset(map(int, node["threshold"].split("||")))
        return splits.feature(CategorySplit(feature, left, others_right=True, missing_right=True)), 0.5, False
    if node["missing_type"] == "Zero":
        raise UsageError("the model takes 0 for a missing value (zero_as_missing), which cannot be exported")
    threshold = float(node["threshold"])
    if node["missing_type"] == "NaN":
        return feature, threshold, bool(node["default_left"])
    return feature, threshold, threshold >= 0  # a missing value is 0
