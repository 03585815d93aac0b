"""Models of scikit-learn, XGBoost and LightGBM on a real server: frames are predicted as by it, and explained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

import explicate
import explicate_export
from explicate.v1 import bundle_pb2
from explicate_bundle.table_arrays import read_background
from support.fitted_models import fitted
from support.harness import running_server

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about the models
SERVED = {
    "logistic": "logistic",
    "forest": "forest",
    "histogram": "histogram boosting with categories",
    "calibrated": "calibrated",
    "vectors": "support vectors",
    "xgboost": "xgboost, three classes",
    "xgboost-number": "xgboost of numbers",
    "lightgbm": "lightgbm",
    "lightgbm-number": "lightgbm of numbers",
    "counts": "xgboost of counts",
    "early": "xgboost, stopped early",
}
BY_TREES = {"forest", "histogram", "xgboost", "xgboost-number", "lightgbm", "lightgbm-number", "early"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    for name, model in SERVED.items():
        one = fitted(model)
        explicate_export.from_sklearn(one.model, one.rows, repository=folder, name=name, quiet=True)
    return folder


async def test_a_frame_is_predicted_as_by_its_library_and_explained(repository: Path) -> None:
    async with running_server(repository, threads=2) as running, explicate.AsyncClient(running.target) as client:
        for name, model in SERVED.items():
            one = fitted(model)
            told = await client.predict_table(name, one.rows)
            classes = hasattr(one.model, "classes_")
            np.testing.assert_allclose(served_answers(told, classes=classes), one.answers, atol=tolerance(one, classes))
            result = await client.explain(name, cells(one.rows, 3), method="auto", quality="full")
            explained = result.explanation.attributions[0]
            assert explained.baseline_value + sum(explained.values) == pytest.approx(
                explained.instance_value, abs=10 * tolerance(one, classes)
            )
            assert (result.explanation.options.method == "tree-shap") == (name in BY_TREES)


async def test_log_odds_are_explained_as_by_shap(repository: Path) -> None:
    """A booster's margin: shap's interventional values on the bundle's background, of one class against the other."""
    one = fitted(SERVED["early"])
    folder = repository / "early" / "1"
    manifest = json_format.Parse((folder / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    background = read_background(folder / "background.npz", manifest.tabular)
    rows = one.rows.iloc[:3].astype(np.float32).astype(float)
    best = one.model.get_booster()[: one.model.best_iteration + 1]
    every = np.stack([weighted(best, row, background) for row in rows.to_numpy()])
    async with running_server(repository, threads=2) as running, explicate.AsyncClient(running.target) as client:
        for place in range(len(rows)):
            contrast = explicate.Contrast("1", "0")
            result = await client.explain("early", cells(rows, place), method="tree-shap", target=contrast)
            np.testing.assert_allclose(result.explanation.attributions[0].values, every[place], atol=1e-5)


def weighted(booster: Any, row: Any, background: Any) -> Any:
    """shap has no weights of background rows: the weighted mean of its values for each of them alone."""
    import shap  # which warns when it is imported

    values = [
        shap.TreeExplainer(booster, one[np.newaxis], feature_perturbation="interventional").shap_values(
            row[np.newaxis]
        )[0]
        for one in background.numbers.astype(float)
    ]
    return background.weights @ np.array(values)


def cells(rows: Any, place: int) -> dict[str, Any]:
    row = rows.astype(object).iloc[place].to_dict()
    return {name: None if value != value else value for name, value in row.items()}


def tolerance(one: Any, classes: bool) -> float:
    return 1e-5 if classes else 1e-5 * float(one.answers.std())


def served_answers(told: Any, *, classes: bool) -> Any:
    if not classes:
        return np.asarray(told.values, dtype=float).reshape(-1, 1)
    return np.asarray(told.probabilities, dtype=float)
