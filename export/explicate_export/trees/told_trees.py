"""Trees of a finished graph told beside it, so that a server explains the model by them.

Nothing of the graph's other nodes is taken for granted. Which columns change a feature of the trees is asked of the
graph; how its outputs are made of what the trees sum to is found by least squares, on the scale of its outputs or of
probabilities; and both are then checked as a server will.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any  # float32 or float64

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.columns import CODES_NAME, FIRST_CATEGORY_CODE, NUMBERS_NAME, TableColumns
from explicate_bundle.errors import BundleError
from explicate_bundle.files.tree_arrays import TREE_FEATURES, TreeArrays, write_trees
from explicate_bundle.objective import Objective
from explicate_bundle.writing import TREES_NAME
from explicate_export.trees.ensemble_nodes import UntoldError, joined, read_node, tree_nodes
from explicate_server.explain.trees.conditions import Conditions, LeafSums, tree_sums
from explicate_server.explain.trees.leaf_paths import LeafPaths
from explicate_server.explain.trees.tree_walk import MOST_SLOTS
from explicate_server.modalities.rows.table_claims import TableGraph, grid_of, rounding
from explicate_server.modalities.rows.table_trees import check_trees, differ, features_of, probes, spread
from explicate_server.runtime.graph_outputs import GraphOutputs

_Floats = NDArray[np.float64]
# Rows that least squares see: for each sum of trees several, and enough to tell a sum from something else.
_LEAST_ROWS, _ROWS_PER_SUM, _MOST_SUMS = 512, 4, 1024
# Rows that are asked with one column changed, in all, and for each column from how many rows and to how many values.
_MOST_CHANGED, _BASES, _VALUES = 50_000, 8, 64
# Weights this close to a multiple of a half are that: least squares see float32.
_SNAP = 1e-6
# The array file takes about 30 bytes a node, and unpacked must be below its own limit.
_MOST_NODES = 4_000_000
_MATRIX = 2


def add_trees(
    graph_path: Path,
    schema: TabularSchema,
    *,
    rows: _Floats,
    objective: Objective,
    tolerance: float,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Adds to a graph what its trees read, writes them beside it and says so in the schema; without any does nothing.

    Where they cannot be told the schema says why, and the graph stays as it is.

    Args:
        graph_path: model.onnx of a bundle in the making.
        schema: its schema, complete but for `trees`.
        rows: float64[rows, columns], some model rows (see `TableColumns`).
        objective: what its outputs mean.
        tolerance: by how much the sums of the trees may be off the outputs, as far as rounding does not explain it.
        say: gets a line that says what was found.
    """
    schema.ClearField("trees")
    model, columns = onnx.load(graph_path), TableColumns(schema)
    try:
        nodes = tree_nodes(model)
        if not nodes:
            return
        trees = _read(model, nodes, columns, rows)
        graph = TableGraph(GraphOutputs(model.SerializeToString()), columns)
        trees = replace(trees, owners=_owners(graph, rows, len(trees.owners)))
        trees, probabilities = _as_sums(trees, graph, rows, objective, tolerance)
        _refuse_many_players(trees)
        scores = objective.scores if probabilities else _as_they_are
        check_trees(graph, trees, rows, scores=scores, tolerance=tolerance)
    except (UntoldError, BundleError) as untold:
        schema.trees.missing = str(untold)
        say(f"explanations do not use its decision trees: {untold}")
        return
    graph_path.write_bytes(model.SerializeToString(deterministic=True))
    write_trees(graph_path.with_name(TREES_NAME), trees)
    schema.trees.CopyFrom(trees.told(probabilities=probabilities))
    told = schema.trees
    say(
        f"{told.trees:,} decision trees with {told.leaves:,} leaves sum to its "
        f"{objective.spaces[0 if probabilities else -1]}: explanations by them are exact"
    )


def _refuse_many_players(trees: TreeArrays) -> None:
    slots = LeafPaths.of(trees).players.shape[1]
    if slots > MOST_SLOTS:
        raise UntoldError(f"a leaf of its decision trees depends on {slots} columns or groups; {MOST_SLOTS} may be")


def _as_they_are(outputs: _Floats) -> _Floats:
    return outputs


def _read(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], columns: TableColumns, rows: _Floats) -> TreeArrays:
    """The trees of all nodes; gives the model its output of what they read."""
    inputs = list(dict.fromkeys(node.input[0] for node in nodes))
    widths, doubles = _shapes(model, inputs, columns, rows)
    try:
        trees = [read_node(node) for node in nodes]
    except (KeyError, ValueError, IndexError, TypeError) as error:  # numpy's, of attributes that do not fit together
        raise UntoldError(f"its decision trees cannot be read ({type(error).__name__}: {error})") from error
    kind = np.float64 if doubles or any(each.thresholds.dtype == np.float64 for each in trees) else np.float32
    _tell_features(model, inputs, kind, sum(widths.values()))
    firsts = dict(zip(inputs, np.cumsum([0, *(widths[name] for name in inputs)]).tolist(), strict=False))
    for each, node in zip(trees, nodes, strict=True):
        if len(each.owners) > widths[node.input[0]]:
            raise UntoldError("its decision trees read features that there are not")
    parts = [(each, firsts[node.input[0]]) for each, node in zip(trees, nodes, strict=True)]
    joint = joined(parts, sum(widths.values()), kind)
    if len(joint.modes) > _MOST_NODES:
        raise UntoldError(f"its decision trees have {len(joint.modes):,} nodes; {_MOST_NODES:,} may be")
    return joint


def _shapes(
    model: onnx.ModelProto, inputs: Sequence[str], columns: TableColumns, rows: _Floats
) -> tuple[dict[str, int], bool]:
    """How many features each input of trees has, and whether there are doubles among them."""
    of_graph = {NUMBERS_NAME: columns.numbers, CODES_NAME: len(columns.all) - columns.numbers}
    widths = {name: of_graph[name] for name in inputs if name in of_graph}
    inner = [name for name in inputs if name not in of_graph]
    if not inner:
        return widths, False
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = GraphOutputs(asked.SerializeToString())
    found = TableGraph(session, columns).of(rows[:2], inner)
    if any(each.ndim != _MATRIX for each in found.values()):
        raise UntoldError("its decision trees do not read a matrix of features")
    widths |= {name: each.shape[1] for name, each in found.items()}
    return widths, any(session.types[name] == "tensor(double)" for name in inner)


def _tell_features(model: onnx.ModelProto, inputs: Sequence[str], kind: type[np.floating[Any]], width: int) -> None:
    """Adds the output: the inputs of the trees, of one type and one beside the other."""
    number = TensorProto.DOUBLE if kind is np.float64 else TensorProto.FLOAT
    names = [f"{TREE_FEATURES}_{place}" for place in range(len(inputs))]
    casts = [helper.make_node("Cast", [name], [cast], to=number) for name, cast in zip(inputs, names, strict=True)]
    together = helper.make_node("Concat", names, [TREE_FEATURES], axis=1)
    model.graph.node.extend((*casts, together))
    model.graph.output.append(helper.make_tensor_value_info(TREE_FEATURES, number, ["batch", width]))


def _owners(graph: TableGraph, rows: _Floats, features: int) -> NDArray[np.int32]:
    """The player that each feature belongs to; one that no column changes goes with the first."""
    columns, found = graph.columns, np.full(features, -1)
    bases = np.concatenate((spread(rows, _BASES), probes(columns, rows, count=_BASES)))
    bases = spread(bases, max(2, min(len(bases), _MOST_CHANGED // (_VALUES * len(columns.all)))))
    _, told = features_of(graph, bases)
    by_place = {column.place: column.name for column in columns.all}
    for place, player in enumerate(columns.owners.tolist()):
        values = _values(columns, rows, place)
        changed = np.repeat(bases[:, np.newaxis], len(values), axis=1)
        changed[:, :, place] = values
        _, answered = features_of(graph, changed.reshape(-1, rows.shape[1]))
        moved = differ(answered, np.repeat(told, len(values), axis=0)).any(axis=0)
        others = found[moved & (found >= 0) & (found != player)]
        if len(others):
            mixed = f"{columns.players[int(others[0])][0]!r} and {by_place[place]!r}"
            raise UntoldError(f"its decision trees read a feature that is made of {mixed}, which are two players")
        found[moved] = player
    return np.asarray(np.maximum(found, 0), np.int32)


def _values(columns: TableColumns, rows: _Floats, place: int) -> _Floats:
    """What a column may be: numbers around and among the known ones and a missing one, or all codes."""
    if place < columns.numbers:
        grid = grid_of(rows[:, place])
        return np.append(spread(grid, _VALUES - 1), np.nan)
    codes = FIRST_CATEGORY_CODE + columns.category_counts[place - columns.numbers]
    return np.arange(codes, dtype=np.float64)


def _as_sums(
    trees: TreeArrays, graph: TableGraph, rows: _Floats, objective: Objective, tolerance: float
) -> tuple[TreeArrays, bool]:
    """The trees with weights of the model's outputs, and whether these are probabilities."""
    sums = len(trees.offset)
    if sums > _MOST_SUMS:
        raise UntoldError(f"its decision trees have {sums:,} sums; {_MOST_SUMS:,} may be")
    count = max(_LEAST_ROWS, _ROWS_PER_SUM * sums)
    outputs, features = features_of(graph, np.concatenate((rows, probes(graph.columns, rows, count=count, seed=1))))
    told = tree_sums(Conditions(trees), LeafSums(trees), features)
    for probabilities in (False, True) if len(objective.spaces) > 1 else (False,):
        wanted = objective.scores(outputs) if probabilities else outputs
        mix, offset = _least_squares(told, wanted)
        if np.abs(told @ mix + offset - wanted).max() <= tolerance + rounding(wanted):
            return _mixed(trees, mix, offset), probabilities
    scales = " or ".join(f"a {space}" for space in reversed(objective.spaces))
    raise UntoldError(f"its outputs are no sum of its decision trees as {scales}: something else is done with them")


def _least_squares(told: _Floats, wanted: _Floats) -> tuple[_Floats, _Floats]:
    """Of wanted ≈ told · mix + offset, float64[sums, outputs] and float64[outputs]."""
    middle, height = told.mean(axis=0), wanted.mean(axis=0)
    mix = np.linalg.lstsq(told - middle, wanted - height, rcond=None)[0]
    halves = np.round(2 * mix) / 2
    mix = np.where(np.abs(mix - halves) <= _SNAP * np.maximum(1, np.abs(halves)), halves, mix)
    return mix, np.asarray(height - middle @ mix)


def _mixed(trees: TreeArrays, mix: _Floats, offset: _Floats) -> TreeArrays:
    """The trees with the weights of each sum put on the outputs that it is part of."""
    sums = LeafSums(trees, mix.T)
    added = sums.weights.tocoo()
    leaf, output = added.coords
    there = added.data != 0
    nodes = np.flatnonzero(~trees.splits)
    return replace(
        trees,
        leaf_nodes=nodes[leaf[there]].astype(np.int32),
        leaf_outputs=output[there].astype(np.int32),
        leaf_weights=added.data[there].astype(np.float64),
        offset=offset,
    )
