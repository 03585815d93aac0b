"""`explicate bundle` on files of XGBoost and LightGBM, and on pickles, which it does not read."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format
from unit.export.estimators.test_fitted_models import answers_of

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_export import cli
from support.fitted_models import Fitted, fitted

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about the models


def bundle(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    args = parser.parse_args(["bundle", *words])
    return int(args.run(args))


def bundled(path: Path, model: Fitted, folder: Path, *words: str) -> tuple[Path, bundle_pb2.Bundle]:
    """Bundles a file with the rows of a model, its labels in a column."""
    rows = folder / "rows.csv"
    model.rows.assign(label=model.target).to_csv(rows, index=False)
    repository = folder / "repository"
    assert bundle(str(path), "--inputs", str(rows), "--repository", str(repository), "--name", "own", *words) == 0
    found = repository / "own" / "1"
    manifest = json_format.Parse((found / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    return found, manifest


def saved(name: str, path: Path) -> Fitted:
    """A model's file as its library writes it."""
    model = fitted(name)
    if name.startswith("xgboost"):
        model.model.get_booster().save_model(path)
    else:
        model.model.booster_.save_model(path)
    return model


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("xgboost", "model.json"),
        ("xgboost, three classes", "model.ubj"),
        ("xgboost of numbers", "model.json"),
        ("xgboost of counts", "model.ubj"),
        ("lightgbm", "model.txt"),
        ("lightgbm, three classes", "model.txt"),
        ("lightgbm of numbers", "model.txt"),
    ],
)
def test_a_file_answers_as_the_model_that_was_saved(name: str, file: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path / file)
    if name == "xgboost, three classes" or name == "xgboost":
        model = Fitted(model.model, model.rows, pd.Series(model.target))
    words = ["--labels", "no,yes"] if name == "xgboost" else []
    if name.startswith("lightgbm") and hasattr(model.model, "classes_"):
        words = ["--labels", ",".join(map(str, model.model.classes_))]
    folder, manifest = bundled(tmp_path / file, model, tmp_path, *words)
    own = model.answers
    off = np.abs(answers_of(folder, manifest, model) - own).max()
    assert off / (1.0 if manifest.class_labels else own.std()) <= 1e-5
    assert manifest.metrics
    if name == "xgboost":
        assert list(manifest.class_labels) == ["no", "yes"]


@pytest.mark.parametrize("ending", ["pkl", "joblib", "skops", "PICKLE"])
def test_a_pickle_is_refused_with_lines_to_paste(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"Churn.{ending}"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(UsageError, match="runs code") as refused:
        bundle(str(path), "--inputs", "rows.csv", "--repository", str(tmp_path / "r"), "--name", "churn")
    assert "explicate_export.from_sklearn(model, X, repository='repository', name='churn')" in str(refused.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "r").exists()


def refused(path: Path, rows: str, tmp_path: Path, **options: str) -> str:
    file = tmp_path / "rows.csv"
    file.write_text(rows, encoding="utf-8")
    words: list[Any] = [path, "--inputs", file, "--repository", tmp_path / "r", "--name", "own"]
    for name, value in options.items():
        words += [f"--{name}", value]
    with pytest.raises(UsageError) as error:
        bundle(*map(str, words))
    assert not (tmp_path / "r").exists()
    return str(error.value)


def test_wrong_files_and_rows_are_named(tmp_path: Path) -> None:
    for file, text in (("a.json", "{}"), ("b.txt", "hello"), ("c.ubj", "{"), ("d.txt", "tree\nversion=v4\n")):
        (tmp_path / file).write_text(text, encoding="utf-8")
        assert file in refused(tmp_path / file, "x\n1\n", tmp_path)
    model = saved("xgboost of numbers", tmp_path / "model.json")
    csv = model.rows.to_csv(index=False)
    path = tmp_path / "model.json"
    assert "200" in refused(path, "\n".join(csv.splitlines()[:50]), tmp_path)
    assert "'age'" in refused(path, csv.replace("age,", "years,", 1), tmp_path)
    assert "'thirty'" in refused(path, csv.replace("\n,", "\nthirty,", 1), tmp_path)
    assert "regression" in refused(path, csv, tmp_path, objective="classification")
    assert "labels" in refused(path, csv, tmp_path, labels="a,b")
