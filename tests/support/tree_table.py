"""Tiny bundles of models that are sums of decision trees, written with the onnx package alone, and played by hand.

A number column is a feature of its own, NaN where missing; another column is one feature for each of its codes, 1 where
it has that code. Trees are nested here, as nobody stores them, so that nothing is shared with what reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableColumns
from explicate_bundle.objective import OBJECTIVES
from explicate_bundle.writing import describe_files
from explicate_export.trees import add_trees
from support.tiny_table_bundle import COLUMNS, LABELS, Floats, TinyTable, tiny_table

ML = "ai.onnx.ml"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
_LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Split:
    """A condition and what follows; of a member one `threshold` is the tuple of them."""

    feature: int
    mode: str
    threshold: Any
    missing_met: bool
    met: "Node"
    unmet: "Node"

    def is_met(self, values: Floats) -> NDArray[np.bool_]:
        """By the definition of the operator."""
        compared = {
            "BRANCH_LEQ": lambda: values <= self.threshold,
            "BRANCH_LT": lambda: values < self.threshold,
            "BRANCH_GTE": lambda: values >= self.threshold,
            "BRANCH_GT": lambda: values > self.threshold,
            "BRANCH_EQ": lambda: values == self.threshold,
            "BRANCH_NEQ": lambda: values != self.threshold,
            "BRANCH_MEMBER": lambda: np.isin(values, self.threshold),
        }[self.mode]()
        return np.asarray(compared | (np.isnan(values) & self.missing_met))


Node = Split | tuple[float, ...]
"""A condition, or what a leaf adds to each output."""


def tree_value(node: Node, features: Floats) -> Floats:
    """What a tree adds, float64[rows, outputs], to rows of features [rows, features]."""
    if not isinstance(node, Split):
        return np.tile(np.array(node), (len(features), 1))
    met = node.is_met(features[:, node.feature])[:, np.newaxis]
    return np.where(met, tree_value(node.met, features), tree_value(node.unmet, features))


def random_tree(
    stream: np.random.Generator,
    *,
    features: int,
    depth: int,
    outputs: int,
    modes: Sequence[str] = MODES[:1],
    forest: bool = False,
    stop: float = 0.1,
) -> Node:
    """Thresholds are multiples of a quarter, exact in float32; leaves of a forest are probabilities."""
    if depth == 0 or stream.random() < stop:
        leaf = stream.dirichlet(np.ones(outputs)) if forest else stream.normal(size=outputs)
        return tuple(leaf.astype(np.float32).tolist())
    mode = str(stream.choice(modes))
    places = np.round(stream.normal(size=3) * 4) / 4
    more = {
        "depth": depth - 1,
        "features": features,
        "outputs": outputs,
        "modes": modes,
        "forest": forest,
        "stop": stop,
    }
    return Split(
        int(stream.integers(features)),
        mode,
        tuple(np.unique(places).tolist()) if mode == "BRANCH_MEMBER" else float(places[0]),
        bool(stream.random() < 0.5),
        random_tree(stream, **more),
        random_tree(stream, **more),
    )


def listed(node: Node) -> list[Node]:
    """All nodes, a parent first, then all that follows where it is met."""
    return [node, *listed(node.met), *listed(node.unmet)] if isinstance(node, Split) else [node]


def regressor_node(trees: Sequence[Node], read: str, told: str, **more: Any) -> onnx.NodeProto:
    """TreeEnsembleRegressor, of any mode but that of members."""
    attributes: dict[str, list[Any]] = {
        f"nodes_{name}": []
        for name in (
            *("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"),
            "missing_value_tracks_true",
        )
    } | {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    outputs = len(next(node for node in listed(trees[0]) if not isinstance(node, Split)))
    for number, tree in enumerate(trees):
        for place, node in enumerate(listed(tree)):
            is_split = isinstance(node, Split)
            met = place + 1 if is_split else 0
            of_node = {
                "treeids": number,
                "nodeids": place,
                "featureids": node.feature if is_split else 0,
                "modes": node.mode if is_split else "LEAF",
                "values": node.threshold if is_split else 0.0,
                "truenodeids": met,
                "falsenodeids": met + len(listed(node.met)) if is_split else 0,
                "missing_value_tracks_true": int(is_split and node.missing_met),
            }
            for name, value in of_node.items():
                attributes[f"nodes_{name}"].append(value)
            for output, weight in enumerate(() if is_split else node):
                at_leaf = {"treeids": number, "nodeids": place, "ids": output, "weights": weight}
                for name, value in at_leaf.items():
                    attributes[f"target_{name}"].append(value)
    return helper.make_node(
        "TreeEnsembleRegressor", [read], [told], domain=ML, n_targets=outputs, **{**attributes, **more}
    )


def ensemble_node(trees: Sequence[Node], read: str, told: str, **more: Any) -> onnx.NodeProto:
    """TreeEnsemble of version 5, of one output and any mode; no tree is a leaf."""
    nodes: dict[str, list[Any]] = {
        name: []
        for name in (
            *("splits", "featureids", "modes", "truenodeids", "falsenodeids", "trueleafs", "falseleafs"),
            "missing_value_tracks_true",
        )
    }
    weights: list[float] = []
    members: list[float] = []
    roots = []
    for tree in trees:
        splits = [node for node in listed(tree) if isinstance(node, Split)]
        first = len(nodes["modes"])
        place = {id(node): first + number for number, node in enumerate(splits)}
        roots.append(first)
        for node in splits:
            member = node.mode == "BRANCH_MEMBER"
            members += [*node.threshold, np.nan] if member else []
            nodes["splits"].append(0.0 if member else node.threshold)
            nodes["featureids"].append(node.feature)
            nodes["modes"].append(MODES.index(node.mode))
            nodes["missing_value_tracks_true"].append(int(node.missing_met))
            for side, child in (("true", node.met), ("false", node.unmet)):
                is_leaf = not isinstance(child, Split)
                nodes[f"{side}leafs"].append(int(is_leaf))
                nodes[f"{side}nodeids"].append(len(weights) if is_leaf else place[id(child)])
                weights += [*child] if isinstance(child, tuple) else []
    tensor = numpy_helper.from_array
    attributes = {f"nodes_{name}": values for name, values in nodes.items()}
    attributes["nodes_splits"] = tensor(np.array(nodes["splits"], np.float32))
    attributes["nodes_modes"] = tensor(np.array(nodes["modes"], np.uint8))
    if members:
        attributes["membership_values"] = tensor(np.array(members, np.float32))
    return helper.make_node(
        "TreeEnsemble",
        [read],
        [told],
        domain=ML,
        tree_roots=roots,
        leaf_targetids=[0] * len(weights),
        leaf_weights=tensor(np.array(weights, np.float32)),
        n_targets=1,
        **{**attributes, **more},
    )


@dataclass(frozen=True, kw_only=True)
class TreeTable(TinyTable):
    """A sum of trees.

    Attributes:
        trees: of leaves with as many numbers as there are outputs.
        forest: whether these are parts of probabilities, whose logarithms the graph answers.
        leak: whether the trees read the product of the first two numbers where they would read the first.
    """

    trees: tuple[Node, ...]
    forest: bool = False
    leak: bool = False

    def features(self, numbers: Floats, codes: NDArray[np.int64]) -> Floats:
        """What the trees read, float64[rows, features]."""
        read = numbers.astype(np.float64).copy()
        if self.leak:
            read[:, 0] = (numbers[:, 0].astype(np.float32) * numbers[:, 1].astype(np.float32)).astype(np.float64)
        coded = [codes[:, [place]] == np.arange(size) for place, size in enumerate(self._sizes)]
        return np.concatenate((read, *coded), axis=1).astype(np.float64)

    @property
    def _sizes(self) -> list[int]:
        return [2 + len(column.categories) for column in self.others]

    def answers(self, numbers: Floats, codes: NDArray[np.int64]) -> Floats:
        """What the model gives, float64[n, outputs]."""
        features = self.features(numbers, codes)
        sums = np.sum([tree_value(tree, features) for tree in self.trees], axis=0)
        return np.log(np.clip(sums, _LEAST_PROBABILITY, 1)) if self.forest else np.asarray(sums)

    def tree_nodes(self) -> list[onnx.NodeProto]:
        """From "features" to "sums": two nodes of which the second has one tree, added."""
        return [
            regressor_node(self.trees[:-1], "features", "most"),
            regressor_node(self.trees[-1:], "features", "last"),
            helper.make_node("Add", ["most", "last"], ["sums"]),
        ]

    def _graph(self) -> onnx.ModelProto:
        node, name = helper.make_node, "logits" if self.labels else "values"
        constants: dict[str, NDArray[np.generic]] = {
            "one": np.array([1]),
            "least": np.array(_LEAST_PROBABILITY, np.float32),
        }
        nodes, parts = [], ["numbers"]
        if self.leak:
            constants |= {"first": np.array([0]), "second": np.array([1]), "others": np.arange(1, len(self.numbers))}
            nodes += [
                *(
                    node("Gather", ["numbers", place], [f"{place}_number"], axis=1)
                    for place in ("first", "second", "others")
                ),
                node("Mul", ["first_number", "second_number"], ["product"]),
            ]
            parts = ["product", "others_number"]
        for place, size in enumerate(self._sizes):
            constants |= {f"place_{place}": np.array([place]), f"codes_{place}": np.arange(size)[np.newaxis]}
            nodes += [
                node("Gather", ["codes", f"place_{place}"], [f"code_{place}"], axis=1),
                node("Equal", [f"code_{place}", f"codes_{place}"], [f"is_{place}"]),
                node("Cast", [f"is_{place}"], [f"one_hot_{place}"], to=TensorProto.FLOAT),
            ]
            parts.append(f"one_hot_{place}")
        nodes += [node("Concat", parts, ["features"], axis=1), *self.tree_nodes()]
        end = [node("Clip", ["sums", "least"], ["clipped"]), node("Log", ["clipped"], [name])]
        nodes += end if self.forest else [node("Identity", ["sums"], [name])]
        information = helper.make_tensor_value_info
        inputs = [information("numbers", TensorProto.FLOAT, ["batch", len(self.numbers)])]
        if self.others:
            inputs.append(information("codes", TensorProto.INT64, ["batch", len(self.others)]))
        graph = helper.make_graph(
            nodes,
            "tree-table",
            inputs,
            [information(name, TensorProto.FLOAT, ["batch", len(self.labels) or 1])],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        imports = [helper.make_opsetid("", 18), helper.make_opsetid(ML, 3)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def publish(self, repository: Path, model: str, *, version: int = 1) -> Path:
        """Writes the bundle, with its trees told if they can be; returns its folder."""
        folder = super().publish(repository, model, version=version)
        path = folder / "manifest.json"
        manifest = json_format.Parse(path.read_text(encoding="utf-8"), bundle_pb2.Bundle())
        rows = np.concatenate(self.rows(64, seed=5), axis=1)
        objective = OBJECTIVES[self._predicts().lower().replace("_", "-")]
        add_trees(folder / "model.onnx", manifest.tabular, rows=rows, objective=objective, tolerance=1e-5)
        write_manifest(folder, manifest)
        return folder

    def players_of_features(self) -> list[int]:
        """The player of each feature."""
        columns = TableColumns(self.schema())
        owners = columns.owners.tolist()
        numbers = len(self.numbers)
        return [*owners[:numbers], *np.repeat(owners[numbers:], self._sizes).tolist()]


def write_manifest(folder: Path, manifest: bundle_pb2.Bundle) -> None:
    """Writes the manifest with the digests of what lies in the folder."""
    del manifest.files[:]
    names = sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")
    manifest.files.extend(describe_files(folder, names))
    text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def tree_table(
    columns: Sequence[bundle_pb2.ColumnSchema] = COLUMNS,
    *,
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    count: int = 7,
    depth: int = 4,
    forest: bool = False,
    modes: Sequence[str] = MODES[:6],
    background_rows: int = 5,
    multi_label: bool = False,
    **more: Any,
) -> TreeTable:
    """A model of random trees; without labels it is a regression."""
    plain = tiny_table(columns, labels=labels, seed=seed, multi_label=multi_label, background_rows=background_rows)
    stream = np.random.Generator(np.random.Philox(seed + 200))
    sizes = [2 + len(column.categories) for column in plain.others]
    features, outputs = len(plain.numbers) + sum(sizes), len(labels) or 1
    shape = {"features": features, "depth": depth, "outputs": outputs, "modes": modes, "forest": forest}
    trees = tuple(random_tree(stream, **shape, stop=0.05) for _ in range(count))
    if forest:
        trees = tuple(scaled(tree, 1 / count) for tree in trees)
    own: dict[str, Any] = {"output_weights": np.zeros((1, outputs)), "trees": trees, "forest": forest}
    return TreeTable(**{**vars(plain), **own, **more})


def scaled(node: Node, factor: float) -> Node:
    """The same tree with leaves times a factor, exact in float32."""
    if not isinstance(node, Split):
        return tuple(np.float32(np.array(node) * factor).astype(np.float64).tolist())
    return Split(
        node.feature, node.mode, node.threshold, node.missing_met, scaled(node.met, factor), scaled(node.unmet, factor)
    )


def build_tree_repository(directory: Path) -> Path:
    """A repository with "loans" (three classes), "forest" (two, of probabilities), "tags" (three labels), "losses" (a
    regression).
    """
    tree_table().publish(directory, "loans")
    tree_table(labels=LABELS[:2], seed=2, forest=True).publish(directory, "forest")
    tree_table(seed=3, multi_label=True).publish(directory, "tags")
    tree_table(labels=(), seed=1).publish(directory, "losses")
    return directory
