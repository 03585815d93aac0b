"""A table's model whose outputs are sums of decision trees: what its bundle claims of them, checked, and then told.

The trees and what they read come from a file and from an output of the graph, and are believed once the graph itself
agrees: what a feature is depends on its player's columns alone, and the leaves sum to the graph's answers. Both are
asked of golden and background rows, of rows whose cells come from all over them, and of mixtures of two.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.columns import FIRST_CATEGORY_CODE, TableColumns
from explicate_bundle.errors import BundleError
from explicate_bundle.files.tree_arrays import TREE_FEATURES, TreeArrays
from explicate_server.explain.trees.conditions import Conditions, LeafSums, tree_sums
from explicate_server.explain.trees.tree_game import TreeBackground, TreeFeatures
from explicate_server.modalities.rows.table_claims import PART_OF_GOLDEN, ROUNDED, TableGraph, known_rows, rounding

TREES = "trees"
"""What methods need that explain by the trees."""
_Floats = NDArray[np.float64]
# Rows that are asked at most about features, and places of rows in trees that sums may take: 0.3 s or so each.
_MOST_ROWS, _MOST_PLACES = 8192, 1 << 22
_LEAST_ROWS, _PROBES = 16, 64
_CHANGED_CELLS = 0.2


@dataclass(frozen=True)
class CheckedTrees:
    """The trees of a bundle that are what it claims, and the scale that they sum to."""

    trees: TreeArrays
    space: str


class ToldTrees:
    """The trees beside the background rows, and a graph that tells what they read of any row."""

    def __init__(self, graph: TableGraph, trees: TreeArrays, background: _Floats, weights: _Floats) -> None:
        self._graph = graph
        players = len(graph.columns.players)
        self._background = TreeBackground(trees, features_of(graph, background)[1], weights, players=players)

    def against(self, background: _Floats, weights: _Floats) -> "ToldTrees":
        """The same with other background rows."""
        other = copy(self)
        other._background = self._background.against(features_of(self._graph, background)[1], weights)
        return other

    def beside(self, row: _Floats) -> TreeFeatures:
        """With what the trees read of a model row float64[1, columns]."""
        return self.beside_all([row])

    def beside_all(self, blocks: Sequence[_Floats]) -> TreeFeatures:
        """With what the trees read of model rows, which come in blocks float64[…, columns]."""
        read = [self._graph.of(rows, [TREE_FEATURES])[TREE_FEATURES] for rows in blocks]
        return TreeFeatures(self._background, np.concatenate(read))


def features_of(graph: TableGraph, rows: _Floats) -> tuple[_Floats, _Floats]:
    """The outputs float64[rows, outputs] and what the trees read, float64[rows, features]."""
    outputs, features = graph.told(rows, TREE_FEATURES)
    return outputs, features


def checked_trees(bundle: VerifiedBundle, graph: TableGraph) -> CheckedTrees | None:
    """The trees of a bundle that says of them what its graph says; None of one that tells none.

    Raises:
        BundleError: the graph gives other answers.
    """
    trees = bundle.trees()
    if trees is None:
        return None
    manifest, objective = bundle.manifest, bundle.kind.predicts
    probabilities = manifest.tabular.trees.probabilities
    tolerance = PART_OF_GOLDEN * manifest.golden_tolerance
    scores = objective.scores if probabilities else _as_they_are
    check_trees(graph, trees, known_rows(bundle, graph.columns), scores=scores, tolerance=tolerance)
    return CheckedTrees(trees, objective.spaces[0 if probabilities else -1])


def _as_they_are(outputs: _Floats) -> _Floats:
    return outputs


def check_trees(
    graph: TableGraph, trees: TreeArrays, rows: _Floats, *, scores: Callable[[_Floats], _Floats], tolerance: float
) -> None:
    """Check trees on model rows float64[rows, columns]; ``scores`` puts outputs on the scale that they sum to.

    ``tolerance`` is that of an output on this scale. Raises BundleError, in a sentence, for a claim that does not hold.
    """
    if TREE_FEATURES not in graph.graph.names:
        raise BundleError(f"model.onnx has no output {TREE_FEATURES!r}, which the manifest promises")
    rows = np.concatenate((rows, probes(graph.columns, rows, count=max(_PROBES, len(rows)))))
    mixed = _check_features(graph, trees, rows)
    conditions, sums = Conditions(trees), LeafSums(trees)
    most = max(_LEAST_ROWS, _MOST_PLACES // max(1, len(trees.modes)), _MOST_PLACES // (64 * len(trees.roots)))
    for asked in (rows, mixed):
        outputs, features = features_of(graph, spread(asked, most))
        told = scores(outputs)
        off = float(np.abs(tree_sums(conditions, sums, features) - told).max(initial=0.0))
        if not off <= tolerance + rounding(told):  # NaN is not
            raise BundleError(
                f"model.onnx does not answer the sums of trees that trees.npz holds: they are off by {off:.3g}, "
                f"{tolerance:.3g} is allowed"
            )


def _check_features(graph: TableGraph, trees: TreeArrays, rows: _Floats) -> _Floats:
    """Check that features are functions of their own player's columns; returns the mixtures of rows that were asked."""
    columns, mixtures = graph.columns, []
    rows = spread(rows, max(_LEAST_ROWS, _MOST_ROWS // len(columns.players)))
    others = np.roll(rows, 1, axis=0)
    _, told = features_of(graph, rows)
    if told.shape != (len(rows), len(trees.owners)):
        raise BundleError(
            f"model.onnx answers {TREE_FEATURES} of shape {told.shape}, not {(len(rows), len(trees.owners))}"
        )
    behind = np.roll(told, 1, axis=0)
    for player, (name, _) in enumerate(columns.players):
        mixtures.append(np.where(columns.owners == player, rows, others))
        _, answered = features_of(graph, mixtures[-1])
        if differ(answered, np.where(trees.owners == player, told, behind)).any():
            raise BundleError(
                f"model.onnx gives its trees features that are not functions of one player's columns: {name!r} and "
                "others change what the manifest says does not depend on them"
            )
    return np.concatenate(mixtures)


def differ(these: _Floats, those: _Floats) -> NDArray[np.bool_]:
    """Whether features [rows, features] differ by more than the rounding of numbers of their size, missing ones being
    equal; bool of their shape.
    """
    sizes = np.abs(np.where(np.isfinite(those), those, 0.0)).max(axis=0, initial=0.0)
    with np.errstate(invalid="ignore"):
        close = np.abs(these - those) <= ROUNDED * sizes
    return np.asarray(~(close | (these == those) | (np.isnan(these) & np.isnan(those))))


def spread(rows: _Floats, most: int) -> _Floats:
    """At most so many of the rows, the first and the last among them."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows)))
    return rows[np.unique(places.round().astype(np.intp))]


def probes(columns: TableColumns, rows: _Floats, *, count: int, seed: int = 0) -> _Floats:
    """Model rows float64[count, columns] whose cells come from all over these rows, with missing values and any codes
    among them.
    """
    stream = np.random.Generator(np.random.Philox(seed))
    drawn = rows[stream.integers(0, len(rows), (count, rows.shape[1])), np.arange(rows.shape[1])]
    anything = np.full(drawn.shape, np.nan)
    for place, categories in enumerate(columns.category_counts, columns.numbers):
        anything[:, place] = stream.integers(0, FIRST_CATEGORY_CODE + categories, count)
    return np.where(stream.random(drawn.shape) < _CHANGED_CELLS, anything, drawn)
