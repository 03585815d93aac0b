"""Trees read from graphs, whoever made them: what they sum to, whose their features are, and why some are not told."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)

import explicate_export
from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import COLUMN_TYPE_NUMBER, ColumnSchema, TabularSchema
from explicate_bundle.bundle import check_bundle
from explicate_bundle.files.tree_arrays import TREE_FEATURES, read_trees
from explicate_bundle.objective import CLASSIFICATION, REGRESSION
from explicate_export.table.table_card import absence
from explicate_export.trees import add_trees
from explicate_export.trees.ensemble_nodes import UntoldError, read_node
from explicate_server.explain.trees.conditions import Conditions, LeafSums, tree_sums
from explicate_server.explain.trees.tree_game import TreeFeatures, TreeGame
from explicate_server.modalities.table import TabularModality
from explicate_server.runtime.graph_outputs import GraphOutputs
from explicate_server.settings import Settings
from support.tree_table import ML, MODES, Node, Split, ensemble_node, random_tree, regressor_node

Floats = NDArray[np.float64]
FEATURES = 4


def numbers_schema(*groups: str | None) -> TabularSchema:
    """Number columns, each of a group or of none."""
    columns = [
        ColumnSchema(name=f"x{place}", type=COLUMN_TYPE_NUMBER, group=group) for place, group in enumerate(groups)
    ]
    return TabularSchema(columns=columns, background_rows=1)


SCHEMA = numbers_schema(None, None, None, None)


def rows_of(count: int, *, seed: int = 0) -> Floats:
    """Multiples of a quarter with missing ones among them."""
    stream = np.random.default_rng(seed)
    rows = np.round(stream.normal(size=(count, FEATURES)) * 4) / 4
    rows[stream.random(rows.shape) < 0.1] = np.nan
    return rows


def trees_of(outputs: int = 1, *, seed: int = 0, modes: tuple[str, ...] = MODES[:6], **more: Any) -> list[Node]:
    stream = np.random.Generator(np.random.Philox(seed))
    shape: dict[str, Any] = {"features": FEATURES, "depth": 4, "outputs": outputs, "modes": modes, "stop": 0.0}
    return [random_tree(stream, **{**shape, **more}) for _ in range(3)]


def saved(folder: Path, nodes: list[onnx.NodeProto], *, outputs: int = 1, ml: int = 3, **constants: Any) -> Path:
    """A graph of these nodes from "numbers" to "values"."""
    information = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "trees",
        [information("numbers", TensorProto.FLOAT, ["batch", FEATURES])],
        [information("values", TensorProto.FLOAT, ["batch", outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(ML, ml)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return path


def told(path: Path, *, schema: TabularSchema = SCHEMA, objective: Any = REGRESSION) -> TabularSchema:
    """The schema once the trees of a graph are told."""
    schema = TabularSchema.FromString(schema.SerializeToString())
    add_trees(path, schema, rows=rows_of(100), objective=objective, tolerance=1e-5)
    assert schema.trees.missing or (path.with_name("trees.npz")).exists()
    return schema


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
def test_the_sums_of_a_node_are_those_of_onnx_runtime(tmp_path: Path, aggregate: str) -> None:
    node = regressor_node(
        trees_of(2, modes=MODES[:1]), "numbers", "values", aggregate_function=aggregate, base_values=[1.0, -2.0]
    )
    path, rows = saved(tmp_path, [node], outputs=2), rows_of(300)
    (answered,) = GraphOutputs(path).run({"numbers": rows.astype(np.float32)}, ["values"])
    trees = read_node(node)
    sums = tree_sums(Conditions(trees), LeafSums(trees), rows)
    np.testing.assert_allclose(sums + np.array([1.0, -2.0]), answered, atol=1e-5)


def test_sets_of_members_are_those_of_onnx_runtime(tmp_path: Path) -> None:
    """It takes whole numbers only."""
    inner = Split(1, MODES[-1], (2.0, 5.0, 9.0), True, (1.0,), (-2.0,))
    trees: list[Node] = [
        Split(0, MODES[-1], (1.0, 3.0), False, inner, (0.5,)),
        Split(2, MODES[0], 4.0, False, inner, (3.0,)),
    ]
    node = ensemble_node(trees, "numbers", "values", aggregate_function=1)
    path, rows = saved(tmp_path, [node], ml=5), np.floor(np.random.default_rng(2).uniform(-1, 11, (300, FEATURES)))
    rows[::7] = np.nan
    (answered,) = GraphOutputs(path).run({"numbers": rows.astype(np.float32)}, ["values"])
    told_trees = read_node(node)
    np.testing.assert_allclose(tree_sums(Conditions(told_trees), LeafSums(told_trees), rows), answered, atol=1e-5)


@pytest.mark.parametrize("mode", MODES[:6])
def test_every_other_mode_of_the_newer_operator_is_that_of_onnx_runtime(tmp_path: Path, mode: str) -> None:
    node = ensemble_node(trees_of(modes=(mode,)), "numbers", "values", aggregate_function=1)
    path, rows = saved(tmp_path, [node], ml=5), rows_of(300)
    (answered,) = GraphOutputs(path).run({"numbers": rows.astype(np.float32)}, ["values"])
    trees = read_node(node)
    np.testing.assert_allclose(tree_sums(Conditions(trees), LeafSums(trees), rows), answered, atol=1e-5)


def test_nodes_that_are_summed_by_the_graph_are_told_together(tmp_path: Path) -> None:
    """The second node reads the columns in another order, and counts a third."""
    nodes = [
        helper.make_node("Gather", ["numbers", "order"], ["turned"], axis=1),
        regressor_node(trees_of(seed=1), "numbers", "one"),
        regressor_node(trees_of(seed=2), "turned", "other"),
        helper.make_node("Mul", ["other", "third"], ["scaled"]),
        helper.make_node("Add", ["one", "scaled"], ["values"]),
    ]
    path = saved(tmp_path, nodes, order=np.array([3, 1, 0, 2]), third=np.float32(1 / 3))
    schema = told(path)
    assert (schema.trees.trees, schema.trees.features, schema.trees.missing) == (6, 8, "")
    trees = read_trees(path.with_name("trees.npz"), schema.trees, players=4, outputs=1)
    assert trees.owners.tolist() == [0, 1, 2, 3, 3, 1, 0, 2]
    graph, rows = GraphOutputs(path), rows_of(100, seed=3)
    answered, features = graph.run({"numbers": rows.astype(np.float32)}, ["values", TREE_FEATURES])
    np.testing.assert_array_equal(features, np.concatenate((rows, rows[:, [3, 1, 0, 2]]), axis=1))
    np.testing.assert_allclose(tree_sums(Conditions(trees), LeafSums(trees), features), answered, atol=1e-5)


def test_a_forest_sums_to_probabilities_and_boosting_to_logits(tmp_path: Path) -> None:
    forest = trees_of(2, forest=True)
    logs = [
        regressor_node(forest, "numbers", "sums", aggregate_function="AVERAGE"),
        helper.make_node("Clip", ["sums", "least"], ["clipped"]),
        helper.make_node("Log", ["clipped"], ["values"]),
    ]
    schema = told(saved(tmp_path, logs, outputs=2, least=np.float32(1e-7)), objective=CLASSIFICATION)
    assert schema.trees.probabilities
    margins = [
        regressor_node(trees_of(1), "numbers", "margin"),
        helper.make_node("MatMul", ["margin", "halves"], ["values"]),
    ]
    path = saved(tmp_path, margins, outputs=2, halves=np.array([[-0.5, 0.5]], np.float32))
    schema = told(path, objective=CLASSIFICATION)
    assert (schema.trees.probabilities, schema.trees.missing) == (False, "")
    trees = read_trees(path.with_name("trees.npz"), schema.trees, players=4, outputs=2)
    by_output = [trees.leaf_weights[trees.leaf_outputs == output] for output in (0, 1)]
    np.testing.assert_array_equal(by_output[0], -by_output[1])


def sigmoid_after() -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    return [regressor_node(trees_of(), "numbers", "sum"), helper.make_node("Sigmoid", ["sum"], ["values"])], {}


def least_of_trees() -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    return [regressor_node(trees_of(modes=MODES[:1]), "numbers", "values", aggregate_function="MIN")], {}


def difference_of_two() -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    turn = np.eye(FEATURES, dtype=np.float32)
    turn[0, 2] = -1.0
    return [
        helper.make_node("IsNaN", ["numbers"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numbers"], ["whole"]),
        helper.make_node("MatMul", ["whole", "turn"], ["turned"]),
        regressor_node(trees_of(), "turned", "values"),
    ], {"turn": turn, "zero": np.float32(0)}


def in_a_condition() -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    branches = {}
    for name in ("then_branch", "else_branch"):
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1])
        branches[name] = helper.make_graph([regressor_node(trees_of(), "numbers", name)], name, [], [output])
    return [helper.make_node("If", ["yes"], ["values"], **branches)], {"yes": np.array(True)}


def without_features() -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    node = regressor_node(trees_of(modes=MODES[:1]), "numbers", "values")
    (found,) = [each for each in node.attribute if each.name == "nodes_missing_value_tracks_true"]
    del found.ints[3:]
    return [node], {}


UNTOLD: dict[str, tuple[Callable[[], Any], str]] = {
    "a sigmoid": (sigmoid_after, "its outputs are no sum of its decision trees as a value"),
    "the least": (least_of_trees, "its trees are not summed up, but their MIN"),
    "two columns": (difference_of_two, "read a feature that is made of 'x0' and 'x2', which are two players"),
    "an attribute": (without_features, "its decision trees cannot be read"),
    "a condition": (in_a_condition, "it has decision trees in a function, a loop or a condition of its graph"),
}


@pytest.mark.parametrize("what", UNTOLD)
def test_what_cannot_be_told_is_said_in_a_sentence_and_leaves_the_graph_alone(tmp_path: Path, what: str) -> None:
    made, why = UNTOLD[what]
    nodes, constants = made()
    path = saved(tmp_path, nodes, **constants)
    before = path.read_bytes()
    schema = told(path)
    assert why in schema.trees.missing
    assert schema.trees == bundle_pb2.TreeSums(missing=schema.trees.missing)
    assert path.read_bytes() == before
    assert not path.with_name("trees.npz").exists()


def test_a_feature_of_two_columns_of_one_group_is_that_player_s(tmp_path: Path) -> None:
    nodes, constants = difference_of_two()
    path = saved(tmp_path, nodes, **constants)
    schema = told(path, schema=numbers_schema("both", None, "both", None))
    trees = read_trees(path.with_name("trees.npz"), schema.trees, players=3, outputs=1)
    assert trees.owners.tolist() == [0, 1, 0, 2]


def test_a_graph_without_trees_is_left_as_it_is(tmp_path: Path) -> None:
    path = saved(
        tmp_path, [helper.make_node("MatMul", ["numbers", "weights"], ["values"])], weights=np.ones((4, 1), "f")
    )
    before = path.read_bytes()
    schema = TabularSchema.FromString(SCHEMA.SerializeToString())
    add_trees(path, schema, rows=rows_of(50), objective=REGRESSION, tolerance=1e-5)
    assert not schema.HasField("trees")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("attribute", "change", "why"),
    [
        ("nodes_truenodeids", lambda ids: [0 if number else ids[0] for number in range(len(ids))], "share nodes"),
        (
            "nodes_truenodeids",
            lambda ids: [number + 1000 for number in ids],
            "nodes of decision trees that there are not",
        ),
        ("target_nodeids", lambda ids: [0] * len(ids), "weights of nodes that are not leaves"),
    ],
)
def test_nodes_that_are_not_trees_are_refused(attribute: str, change: Callable[[Any], Any], why: str) -> None:
    node = regressor_node(trees_of(), "numbers", "values")
    (found,) = [each for each in node.attribute if each.name == attribute]
    found.ints[:] = change(list(found.ints))
    with pytest.raises(UntoldError, match=why):
        read_node(node)


X, TARGET = np.random.default_rng(5).normal(size=(240, 5)).astype(np.float32), np.zeros(240)
TARGET = X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * X[:, 3]
TWO, THREE = TARGET > 0, np.digitize(TARGET, [-0.5, 0.5])
FAMILIES: dict[str, tuple[Any, Any]] = {
    "boosting, values": (GradientBoostingRegressor(n_estimators=20), TARGET),
    "boosting, two classes": (GradientBoostingClassifier(n_estimators=20), TWO),
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=20), TWO),
    "forest, values": (RandomForestRegressor(10), TARGET),
    "forest, three classes": (RandomForestClassifier(10), THREE),
    "extra trees": (ExtraTreesRegressor(10, max_depth=5), TARGET),
    "XGBoost": (xgboost.XGBClassifier(n_estimators=20, base_score=0.5), TWO),
    "LightGBM": (lightgbm.LGBMClassifier(n_estimators=20, verbose=-1), TWO),
    "LightGBM, values": (lightgbm.LGBMRegressor(n_estimators=20, verbose=-1), TARGET),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_values_are_those_of_shap_s_tree_explainer(tmp_path: Path, name: str) -> None:
    """Interventional, against the same background, each of whose rows counts as often as its weight says."""
    model, target = FAMILIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, target)
        folder = explicate_export.from_sklearn(model, X, repository=tmp_path, name="m", background_rows=8, quiet=True)
    bundle = check_bundle(folder, model="m", version=1)
    modality = TabularModality.open(bundle, Settings(repository=tmp_path))
    rows = X[:6].astype(np.float64)
    tells: Any = modality._tells
    features: TreeFeatures = tells.beside_all([rows])
    every = np.eye(max(1, len(bundle.manifest.class_labels)))
    game = TreeGame(features.background, features.background.explained(every), features.rows)
    ours = game.shapley().reshape(len(rows), len(every), X.shape[1])
    theirs = _shap_values(model, bundle.background(), rows)
    if theirs.shape[2] == 1 and len(every) == 2:  # the margin: the difference of two logits
        ours = ours[:, 1:] - ours[:, :1]
    np.testing.assert_allclose(ours, np.swapaxes(theirs, 1, 2), atol=1e-5)


def _shap_values(model: Any, background: Any, rows: Floats) -> Floats:
    """float64[rows, columns, outputs]."""
    counts = np.rint(background.weights * len(X)).astype(int)
    behind = np.repeat(background.numbers.astype(np.float64), counts, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap  # warns of what matplotlib will not have

        masker = shap.maskers.Independent(behind, max_samples=len(behind))  # of an array it would take 100
        explainer = shap.TreeExplainer(model, masker, feature_perturbation="interventional", model_output="raw")
        values = np.asarray(explainer.shap_values(rows, check_additivity=False))
    return values if values.ndim == 3 else values[..., np.newaxis]


def test_the_card_says_what_explanations_make_of_the_trees() -> None:
    schema = numbers_schema(None)
    assert "decision trees" not in absence(schema)
    schema.trees.CopyFrom(bundle_pb2.TreeSums(trees=1200, leaves=76800, features=4, depth=6))
    assert "are a sum of 1,200 decision trees (76,800 leaves)" in absence(schema)
    schema.trees.CopyFrom(bundle_pb2.TreeSums(missing="they are stacked"))
    assert absence(schema).endswith("do not use the model's decision trees: they are stacked.")
