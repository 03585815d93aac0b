"""Fitted models as bundles: the graph answers a client's cells as the model's own library answers the frame."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from google.protobuf import json_format
from scipy.special import softmax

import explicate_export
from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import check_bundle
from explicate_bundle.columns import TableColumns
from support.fitted_models import FITTED, Fitted, fitted, people

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about the models


def published(model: Fitted, repository: Path, **options: Any) -> tuple[Path, bundle_pb2.Bundle]:
    folder = explicate_export.from_sklearn(
        model.model, model.rows, repository=repository, name="own", quiet=True, **options
    )
    manifest = json_format.Parse((folder / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    return folder, manifest


def cells_of(model: Fitted, schema: bundle_pb2.TabularSchema) -> list[dict[str, Any]]:
    """The frame as a client sends it: JSON values, None where missing."""
    names = [column.name for column in schema.columns]
    rows = model.rows.astype(object).to_dict("records") if hasattr(model.rows, "to_dict") else None
    if rows is None:
        rows = [{f"x{place}": value for place, value in enumerate(row)} for row in model.rows.tolist()]
    return [{name: None if row[name] != row[name] else row[name] for name in names} for row in rows]


def answers_of(folder: Path, manifest: bundle_pb2.Bundle, model: Fitted) -> np.ndarray[Any, Any]:
    """What the graph answers for the cells, by ONNX Runtime and the bundle's own reading of cells."""
    rows = TableColumns(manifest.tabular).encoded(cells_of(model, manifest.tabular))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    told = session.run([session.get_outputs()[0].name], rows.feeds())[0].astype(np.float64)
    return np.asarray(softmax(told, axis=1) if manifest.class_labels else told)


@pytest.mark.parametrize("name", FITTED)
def test_the_bundle_answers_cells_as_the_model_answers_the_frame(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    folder, manifest = published(model, tmp_path, y=model.target)
    check_bundle(folder, model="own", version=1)
    answers, own = answers_of(folder, manifest, model), model.answers
    spread = 1.0 if manifest.class_labels else own.std()
    assert np.abs(answers - own).max() / spread <= 1e-5
    assert manifest.metrics
    if manifest.class_labels:
        assert list(manifest.class_labels) == [str(one) for one in model.model.classes_]
        likeliest = model.model.classes_[own.argmax(axis=1)]  # which a model of support vectors may not predict
        assert manifest.metrics["accuracy"] == pytest.approx(np.mean(likeliest == model.target))


TREES = [
    name
    for name in FITTED
    if any(word in name for word in ("forest", "trees", "boosting", "xgboost", "lightgbm", "bags"))
    and not any(word in name for word in ("counts", "calibrated"))  # an exponential, or something else, follows
]


@pytest.mark.parametrize("name", TREES)
def test_the_trees_of_a_model_are_told(name: str, tmp_path: Path) -> None:
    _, manifest = published(fitted(name), tmp_path)
    told = manifest.tabular.trees
    assert told.missing == ""
    assert told.trees > 0
    classes, forest = bool(manifest.class_labels), any(word in name for word in ("forest", "trees,", "bags"))
    assert told.probabilities == (classes and forest and not name.startswith("lightgbm"))


def test_neither_torch_nor_transformers_is_imported(tmp_path: Path) -> None:
    script = f"""
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ImportError(name + " is not to be imported")
sys.meta_path.insert(0, Without())
import explicate_export
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = RandomForestClassifier(3).fit(X, y)
print(explicate_export.from_sklearn(model, X, y=y, repository={str(tmp_path)!r}, name="cells"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "cells" / "1")
    assert "off by" in done.stderr


def test_the_background_is_nobody(tmp_path: Path) -> None:
    model = fitted("an array")
    folder, manifest = published(model, tmp_path, background_rows=10)
    with np.load(folder / "background.npz") as arrays:
        background = arrays["numbers"]
    assert 1 < len(background) == manifest.tabular.background_rows <= 10
    rows = model.rows.astype(np.float32)
    assert not any((rows == row).all(axis=1).any() for row in background)


def test_a_signed_version_and_labels_of_ones_own(tmp_path: Path) -> None:
    model = fitted("logistic")
    _, manifest = published(model, tmp_path, labels={"no": "stays", "yes": "leaves"}, target_name="decision", version=7)
    assert list(manifest.class_labels) == ["stays", "leaves"]
    assert manifest.version == 7
    assert "decision" in (tmp_path / "own" / "7" / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_what_the_pipeline_drops_may_be_sent_and_is_not_read(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from support.fitted_models import prepared

    frame, targets = people()
    rows = frame.assign(id=np.arange(len(frame)).astype(str), when=np.datetime64("2020-01-01"))
    model = make_pipeline(prepared(), LogisticRegression()).fit(rows, targets["two"])
    _, manifest = published(Fitted(model, rows, targets["two"]), tmp_path)
    assert [(one.name, one.forbidden) for one in manifest.tabular.left_out] == [("id", True), ("when", True)]
