"""What the conditions of decision trees say of rows, and what the trees sum to: as ai.onnx.ml defines it.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html: a condition compares a feature with a threshold, or asks
whether it is one of a set; a missing number meets it where `missing_met` says so, or where the comparison itself is
true of NaN, as "is not equal" is.
"""

from collections.abc import Callable
from typing import Any  # float32 or float64

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from explicate_bundle.files.tree_arrays import MEMBER, MODES, TreeArrays
from explicate_server.explain.attribution import Booleans, Floats, Indices

_COMPARED: dict[str, Callable[[NDArray[Any], NDArray[Any]], Booleans]] = {
    "BRANCH_LEQ": np.less_equal,
    "BRANCH_LT": np.less,
    "BRANCH_GTE": np.greater_equal,
    "BRANCH_GT": np.greater,
    "BRANCH_EQ": np.equal,
    "BRANCH_NEQ": np.not_equal,
}
# Places of rows and trees that are walked at a time.
_PLACES_AT_ONCE = 1 << 17


class Conditions:
    """The conditions of trees. Safe to use from several threads.

    Attributes:
        trees: the trees.
        type: of the numbers that are compared.
    """

    def __init__(self, trees: TreeArrays) -> None:
        self.trees = trees
        self.type = trees.thresholds.dtype
        self._modes = np.setdiff1d(np.unique(trees.modes), [0]).tolist()
        self._member_values = np.unique(trees.members)
        self._is_member = np.zeros((len(trees.member_offsets) - 1, len(self._member_values) + 1), np.bool_)
        sets = np.repeat(np.arange(len(self._is_member)), np.diff(trees.member_offsets))
        self._is_member[sets, np.searchsorted(self._member_values, trees.members)] = True
        self._follows_missing = bool(trees.missing_met[trees.splits].any())

    def met(self, nodes: NDArray[Any], values: NDArray[Any]) -> Booleans:
        """Whether values of their features meet the conditions of nodes, arrays that broadcast; the values are of
        `type`.
        """
        trees = self.trees
        modes, thresholds = trees.modes[nodes], trees.thresholds[nodes]
        if len(self._modes) == 1:
            met = self._compared(self._modes[0], values, thresholds)
        else:
            met = np.zeros(np.broadcast_shapes(modes.shape, values.shape), np.bool_)
            for mode in self._modes:
                met |= (modes == mode) & self._compared(mode, values, thresholds)
        return met | (np.isnan(values) & trees.missing_met[nodes]) if self._follows_missing else met

    def _compared(self, mode: int, values: NDArray[Any], thresholds: NDArray[Any]) -> Booleans:
        if mode != MEMBER:
            return np.asarray(_COMPARED[MODES[mode]](values, thresholds))
        places = np.searchsorted(self._member_values, values)
        known = np.append(self._member_values, np.nan).astype(self.type)[places] == values
        sets = np.minimum(thresholds, len(self._is_member) - 1).astype(np.intp)  # other modes have other thresholds
        return np.asarray(known & self._is_member[np.maximum(sets, 0), places])

    def leaves(self, features: NDArray[Any]) -> Indices:
        """The leaf of each tree that rows of features [rows, features] come to, intp[rows, trees]."""
        trees, rows = self.trees, np.arange(len(features))[:, np.newaxis]
        nodes = np.tile(trees.roots.astype(np.intp), (len(features), 1))
        while True:
            moving = trees.splits[nodes]
            if not moving.any():
                return nodes
            values = features[rows, np.where(moving, trees.features[nodes], 0)]
            onward = np.where(self.met(nodes, values), trees.met[nodes], trees.unmet[nodes])
            nodes = np.where(moving, onward, nodes)


class LeafSums:
    """What leaves add to explained outputs.

    Attributes:
        weights: sparse float64[leaves, outputs], those of each leaf.
        places: intp[nodes], the place of a leaf among the leaves.
        offset: float64[outputs].
    """

    def __init__(self, trees: TreeArrays, explained: Floats | None = None) -> None:
        """``explained`` float64[outputs, all outputs] says how explained outputs are made of all; None: as all."""
        explained = np.eye(len(trees.offset)) if explained is None else explained
        leaves = ~trees.splits
        self.places = np.cumsum(leaves) - 1
        ends = self.places[trees.leaf_nodes], trees.leaf_outputs
        of_all = csr_array((trees.leaf_weights, ends), shape=(int(leaves.sum()), len(trees.offset)))
        self.weights = csr_array(of_all @ csr_array(explained.T))
        self.offset = np.asarray(explained @ trees.offset, dtype=np.float64)


def tree_sums(conditions: Conditions, sums: LeafSums, features: NDArray[Any]) -> Floats:
    """The explained outputs float64[rows, outputs] of rows of features [rows, features]."""
    rows = max(1, _PLACES_AT_ONCE // len(conditions.trees.roots))
    features = features.astype(conditions.type, copy=False)
    told = np.empty((len(features), len(sums.offset)))
    for first in range(0, len(features), rows):
        places = sums.places[conditions.leaves(features[first : first + rows])]
        ends = np.arange(0, places.size + 1, places.shape[1])
        chosen = csr_array((np.ones(places.size), places.ravel(), ends), shape=(len(places), sums.weights.shape[0]))
        told[first : first + rows] = (chosen @ sums.weights).toarray() + sums.offset
    return told
