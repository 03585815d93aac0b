"""The gate refuses a worsened model against a good one: 20 % wrong labels in training, and a broken int8 variant."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.tree import DecisionTreeClassifier

from explicate_bundle.standard.verdicts import Verdict
from explicate_export.errors import StandardNotMet
from explicate_export.estimators.brought import GivenTable, bring
from explicate_export.estimators.fitted_model import fitted_model
from explicate_export.estimators.frame import as_frame
from explicate_export.export import ExportOptions
from explicate_export.sources.bundling import publish_brought
from explicate_standards.evaluated_model import open_published
from explicate_standards.standard.check import Checked, judge
from explicate_standards.standard.plan import named_margin
from explicate_standards.standard.standard import read_standard
from support.judged_bundles import GOOD, publish_version, rows_file, standard_file
from support.measured_models import table_line, write_rows

COLUMNS, TRAINED, TESTED = 4, 600, 400
NOISE = 0.2
NO_WORSE = '{ id = "no-worse", metric = "accuracy", against = "live", margin = %s }'
Floats = NDArray[np.float64]


def drawn(rows: int, seed: int) -> tuple[Floats, NDArray[np.intp]]:
    """Rows, and what is right for them: the sign of a product of the columns."""
    values = np.random.Generator(np.random.Philox(seed)).normal(size=(rows, COLUMNS)).round(3)
    return values, (values[:, 0] * values[:, 1] + values[:, 2] > 0).astype(np.intp)


def publish(repository: Path, noise: float, standard: Path | None, rows: Path) -> Path:
    """A tree that learnt rows of which a share has the wrong label, published if it meets a standard."""
    values, right = drawn(TRAINED, seed=1)
    wrong = np.random.Generator(np.random.Philox(2)).random(TRAINED) < noise
    tree = DecisionTreeClassifier(random_state=0).fit(values, np.where(wrong, 1 - right, right))
    frame, as_array = as_frame(values, [f"c{number}" for number in range(COLUMNS)])
    fitted = fitted_model(tree, ["no", "yes"])
    given = GivenTable(frame, as_array, [None] * TRAINED, "class")
    brought = bring(fitted, given, background_rows=16, seed=0, say=lambda _: None)
    options = ExportOptions("tree", standard=standard, kept_rows=20)
    return publish_brought(brought, repository, options, say=lambda _: None).folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values, right = drawn(TESTED, seed=3)
    lines = [table_line(row.tolist(), label=["no", "yes"][label]) for row, label in zip(values, right, strict=True)]
    return write_rows(tmp_path_factory.mktemp("tested") / "rows.jsonl", lines)


def test_a_model_of_wrong_labels_is_refused_beside_one_of_right_ones(rows: Path, tmp_path: Path) -> None:
    margin = named_margin(0.12, TESTED, 0.95)
    standard = standard_file(rows.parent / "standard.toml", NO_WORSE % margin, f'test = "{rows.name}"\n')
    repository = tmp_path / "repository"
    good = publish(repository, 0.0, standard, rows)
    with pytest.raises(StandardNotMet, match="nothing was published"):
        publish(repository, NOISE, standard, rows)
    assert [path.name for path in good.parent.iterdir()] == ["1"]
    worse = publish(repository, NOISE, None, rows)
    judged = judge(read_standard(standard), open_published(worse), rows, live=good, say=lambda _: None)
    assert judged.verdict is Verdict.NOT_MET
    again = publish(repository, 0.0, None, rows)
    judged = judge(read_standard(standard), open_published(again), rows, live=good, say=lambda _: None)
    assert judged.verdict is Verdict.MET


def broken_int8(graph: Path) -> None:
    """Weights as int8 with a scale so coarse that all but the largest are lost: what a wrong calibration leaves."""
    model = onnx.load(str(graph))
    (weights,) = [each for each in model.graph.initializer if each.name == "weights"]
    values = numpy_helper.to_array(weights)
    scale = np.abs(values).max()
    weights.CopyFrom(numpy_helper.from_array((np.trunc(values / scale) * scale).astype(np.float32), "weights"))
    onnx.save(model, str(graph))


def test_a_broken_precision_is_refused_beside_the_graph_that_it_was_made_of(tmp_path: Path) -> None:
    rows = rows_file(tmp_path / "rows.jsonl")
    good = publish_version(tmp_path / "repository", GOOD, 1)
    standard = read_standard(standard_file(tmp_path / "standard.toml", NO_WORSE % 0.05))
    whole = open_published(good)
    graph = tmp_path / "model.int8.onnx"
    graph.write_bytes((good / "model.onnx").read_bytes())

    def judged() -> Checked:
        return judge(standard, whole.with_graph(graph), rows, live=good, say=lambda _: None)

    assert judged().verdict is Verdict.MET  # the same numbers
    broken_int8(graph)
    assert judged().verdict is Verdict.NOT_MET
