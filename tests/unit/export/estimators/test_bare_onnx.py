"""`explicate bundle` on a bare ONNX file of a table with its bundle.toml, and what is refused, by its key."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from google.protobuf import json_format
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from unit.export.estimators.test_fitted_models import answers_of
from unit.export.estimators.test_model_files import bundle

from explicate.v1 import bundle_pb2
from explicate_export.errors import ConversionError, UsageError
from support.fitted_models import Fitted

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about the models
STREAM = np.random.default_rng(3)
ROWS = pd.DataFrame(
    {
        "age": STREAM.integers(18, 80, 210).astype(float),
        "city": STREAM.choice(["Bern", "Oslo", "Rome"], 210),
        "member": STREAM.random(210) < 0.5,
    }
)
CODES = {"Bern": 0, "Oslo": 1, "Rome": 2}
MATRIX = np.column_stack((ROWS["age"], ROWS["city"].map(CODES), ROWS["member"])).astype(np.float32)
TARGET = np.where(ROWS["age"] + 20 * (ROWS["city"] == "Rome") + STREAM.normal(size=210) * 9 > 55, "late", "paid")
COLUMNS = """
[[columns]]
name = "age"
[[columns]]
name = "city"
type = "category"
categories = ["Bern", "Oslo", "Rome"]
values = [0, 1, 2]
missing = -1
[[columns]]
name = "member"
type = "boolean"
"""
CLASSES = f"""
kind = "table"
labels = ["late", "paid"]
output = "probabilities"
output_name = "probabilities"
{COLUMNS}
"""


def files(folder: Path, model: Any, description: str) -> list[str]:
    """Writes a model, its description and the rows; returns the words of the command."""
    path, rows = folder / "model.onnx", folder / "rows.csv"
    if isinstance(model, bytes):
        path.write_bytes(model)
    else:
        onnx.save(model, path)
    (folder / "bundle.toml").write_text(description, encoding="utf-8")
    ROWS.assign(label=TARGET).to_csv(rows, index=False)
    return [str(path), "--inputs", str(rows), "--repository", str(folder / "repository"), "--name", "own"]


def bundled(folder: Path, model: Any, description: str) -> tuple[Path, bundle_pb2.Bundle]:
    assert bundle(*files(folder, model, description)) == 0
    found = folder / "repository" / "own" / "1"
    return found, json_format.Parse((found / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())


def forest() -> tuple[RandomForestClassifier, Any]:
    model = RandomForestClassifier(6, random_state=0).fit(MATRIX, TARGET)
    return model, to_onnx(model, MATRIX[:1], options={"zipmap": False}, target_opset=17)


def test_a_matrix_of_numbers_and_categories(tmp_path: Path) -> None:
    model, graph = forest()
    folder, manifest = bundled(tmp_path, graph, CLASSES)
    answers = answers_of(folder, manifest, Fitted(model, ROWS, TARGET))
    assert np.abs(answers - model.predict_proba(MATRIX)).max() <= 1e-5
    assert manifest.metrics["accuracy"] == pytest.approx(model.score(MATRIX, TARGET))
    assert manifest.tabular.trees.trees == 6


CITIES = {"cats_strings": ["Bern", "Rome"]}


def own_graph() -> Any:
    """A graph with an input for each column, texts among them, in opset 21: w · age, and a number for each city."""
    nodes = [
        helper.make_node("CategoryMapper", ["city"], ["code"], domain="ai.onnx.ml", cats_int64s=[5, 9], **CITIES),
        helper.make_node("Cast", ["code"], ["coded"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["age", "w"], ["weighted"]),
        helper.make_node("Cast", ["member"], ["flag"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["weighted", "coded", "flag"], ["price"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "own",
        [
            helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("city", TensorProto.STRING, ["n", 1]),
            helper.make_tensor_value_info("member", TensorProto.BOOL, ["n", 1]),
        ],
        [helper.make_tensor_value_info("price", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array([0.5], dtype=np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


NUMBER = f"""
objective = "regression"
target = "price in €"
{COLUMNS.replace("values = [0, 1, 2]", "").replace("missing = -1", 'missing = "none"')}
"""


def test_an_input_for_each_column_and_texts(tmp_path: Path) -> None:
    words = files(tmp_path, own_graph(), NUMBER)
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    assert bundle(*words) == 0
    folder = tmp_path / "repository" / "own" / "1"
    manifest = json_format.Parse((folder / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    assert manifest.target_name == "price in €"
    asked = ROWS.iloc[[0, 0, 0, 0]].assign(city=["Bern", "Rome", "Lima", None], member=[True, False, False, True])
    wanted = asked["age"] / 2 + [5, 9, -1, -1] + [1, 0, 0, 1]
    np.testing.assert_allclose(answers_of(folder, manifest, Fitted(None, asked, None))[:, 0], wanted, atol=1e-5)


def test_log_odds_and_logits(tmp_path: Path) -> None:
    model = LogisticRegression().fit(MATRIX, TARGET)
    graph = to_onnx(model, MATRIX[:1], options={"zipmap": False, "raw_scores": True}, target_opset=15)
    raw = CLASSES.replace('output = "probabilities"', 'output = "log-odds"')
    wide = ConversionError, UsageError
    with pytest.raises(wide, match="shape"):  # skl2onnx answers -m and m
        bundle(*files(tmp_path, graph, raw))
    line = LinearRegression().fit(MATRIX, model.decision_function(MATRIX))
    folder, manifest = bundled(tmp_path, to_onnx(line, MATRIX[:1], target_opset=15), raw.replace("output_name", "# "))
    answers = answers_of(folder, manifest, Fitted(model, ROWS, TARGET))
    assert np.abs(answers - model.predict_proba(MATRIX)).max() <= 1e-5


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('kind = "table"', 'kind = "text"', "kind"),
        ('kind = "table"', 'kinds = "table"', "kinds is not known"),
        ('labels = ["late", "paid"]', 'labels = ["late"]', "labels"),
        ('labels = ["late", "paid"]', 'labels = ["late", "late"]', "labels repeat"),
        ('labels = ["late", "paid"]', 'labels = ["late", "paid", "c"]', "see labels"),
        ('output = "probabilities"', 'output = "values"', "output is 'values'"),
        ('output_name = "probabilities"', "", "output_name is missing"),
        ('output_name = "probabilities"', 'output_name = "p"', "label, probabilities"),
        ('type = "boolean"', 'type = "bool"', r"columns\[2\] \('member'\).type is 'bool'"),
        ("values = [0, 1, 2]", "values = [0, 1]", r"columns\[1\] \('city'\).values"),
        ("values = [0, 1, 2]", 'values = [0, 1, "x"]', "all numbers or all texts"),
        ("values = [0, 1, 2]\nmissing = -1", "", "values of the categories"),
        ('name = "age"', 'name = "city"', "'city' twice"),
        ('name = "age"', 'name = "years"', "'years'"),
        ('name = "age"', 'name = "age"\ninput = "Y"', r"columns\[0\] \('age'\).input is 'Y'"),
        ('[[columns]]\nname = "age"\n', "", "which has 3"),
        ('kind = "table"', "kind = table", "line 2"),
    ],
)
def test_a_wrong_description_is_named_by_its_key_or_line(old: str, new: str, named: str, tmp_path: Path) -> None:
    assert old in CLASSES
    with pytest.raises(UsageError, match=named):
        bundle(*files(tmp_path, forest()[1], CLASSES.replace(old, new, 1)))
    assert not (tmp_path / "repository").exists()


def test_graphs_that_no_server_takes_are_refused_before_work(tmp_path: Path) -> None:
    own = own_graph()
    own.graph.node[2].domain = "my.company"
    own.opset_import.append(helper.make_opsetid("my.company", 1))
    with pytest.raises(ConversionError, match=r"my\.company"):
        bundle(*files(tmp_path, own, NUMBER))
    with pytest.raises(UsageError, match="not an ONNX graph"):
        bundle(*files(tmp_path, b"hello", NUMBER))
    outside = own_graph()
    onnx.save(outside, tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0, location="weights")
    with pytest.raises((ConversionError, UsageError), match="another file"):
        bundle(*files(tmp_path, (tmp_path / "model.onnx").read_bytes(), NUMBER))
    model, _ = forest()
    zipped = to_onnx(model, MATRIX[:1], target_opset=17)
    with pytest.raises(UsageError, match="zipmap"):
        bundle(*files(tmp_path, zipped, CLASSES.replace('"probabilities"\n\n', '"output_probability"\n\n', 1)))
    words = files(tmp_path, own_graph(), NUMBER)
    (tmp_path / "bundle.toml").unlink()
    with pytest.raises(UsageError, match=r"\[\[columns\]\]"):
        bundle(*words)
    assert not (tmp_path / "repository").exists()
