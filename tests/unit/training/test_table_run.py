"""Whole runs on small tables: the run directory, repeatability, resumption, odd tables, and one real demo set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from explicate.errors import UsageError
from explicate_training.config.config_file import load_config, parse_config
from explicate_training.config.sections import OutputConfig
from explicate_training.table.config import TableConfig, TableDataConfig
from explicate_training.table.saved_network import load_network
from explicate_training.train import train
from support.training_runs import MARKUP

NUMBER = "COLUMN_TYPE_NUMBER"


@pytest.fixture
def config(table_config: TableConfig) -> TableConfig:
    return table_config


def answers(run: Path) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """What the saved network answers on held_out.jsonl, encoded by run.json alone, and the labels."""
    columns = json.loads((run / "run.json").read_text())["tabular"]["columns"]
    held_out = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    numbers, codes = [], []
    for line in held_out:
        cells = [(column, line["row"][column["name"]]) for column in columns]
        numbers.append([np.nan if cell is None else cell for column, cell in cells if column["type"] == NUMBER])
        names = [
            (column["categories"], {True: "true", False: "false"}.get(cell, cell) if cell is not None else None)
            for column, cell in cells
            if column["type"] != NUMBER
        ]
        codes.append([1 if name is None else 2 + known.index(name) if name in known else 0 for known, name in names])
    with torch.no_grad():
        outputs = load_network(run / "model")(
            torch.tensor(numbers, dtype=torch.float32), torch.tensor(codes, dtype=torch.int64)
        )
    np.testing.assert_allclose([line["outputs"] for line in held_out], outputs.numpy(), rtol=1e-4, atol=1e-5)
    return outputs.numpy(), [line["label"] for line in held_out]


def test_run_directory_holds_all_that_export_needs(config: TableConfig, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(config)
    assert sorted(entry.name for entry in run.iterdir()) == [
        "background.npz", "config.toml", "data.json", "diagnosis.json", "held_out.jsonl", "lime.npz", "metrics.json", "model",
        "report.html", "run.json",
    ]  # fmt: skip
    assert parse_config((run / "config.toml").read_text()) == config
    description = json.loads((run / "run.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    data = json.loads((run / "data.json").read_text())
    assert (description["objective"], description["target_name"]) == ("classification", "stays")
    assert (description["labels"], description["base_model"]) == (["no", "yes"], "tabular-network")
    assert description["data_sha256"] == data["sha256"]
    assert data["reading"] == ["customers.csv: separator comma, UTF-8"]
    assert data["reading"][0] in (run / "report.html").read_text()
    assert description["tabular"]["columns"] == [
        {"name": "price", "type": "COLUMN_TYPE_NUMBER", "may_be_missing": True},
        {"name": "city", "type": "COLUMN_TYPE_CATEGORY", "categories": [MARKUP, "oslo", "rome"],
         "may_be_missing": True},
        {"name": "adult", "type": "COLUMN_TYPE_BOOLEAN", "categories": ["false", "true"], "group": "person",
         "may_be_missing": True},
        {"name": "size", "type": "COLUMN_TYPE_ORDINAL", "categories": ["small", "large"], "group": "person",
         "may_be_missing": True},
    ]  # fmt: skip
    assert data["columns_left_out"] == {
        "number": "counts the rows", "spend": "the config says ignore", "country": "is the same in every row"
    }  # fmt: skip
    assert {name: split["rows"] for name, split in data["splits"].items()} == {
        "train": 173, "validation": 31, "test": 36,
    }  # fmt: skip

    logits, labels = answers(run)
    right = np.array(labels) == np.array(description["labels"])[logits.argmax(axis=1)]
    assert metrics["test"]["accuracy"] == pytest.approx(right.mean())
    stays = np.array(labels) == "yes"
    assert metrics["test"]["auroc"] == pytest.approx(roc_auc_score(stays, logits[:, 1] - logits[:, 0]))
    assert metrics["test"]["auroc"] > 0.8  # it did learn
    assert metrics["gradient_boosted_trees"]["test"]["auroc"] > 0.8

    background = np.load(run / "background.npz")
    assert description["tabular"]["background_rows"] == len(background["weights"])
    assert description["tabular"]["lime_statistics"]
    assert background["numbers"].dtype == np.float32
    assert background["codes"].dtype == np.int64
    assert background["weights"].dtype == np.float64
    assert background["numbers"].shape == (len(background["weights"]), 1)
    assert background["codes"].shape == (len(background["weights"]), 3)

    report = (run / "report.html").read_text()
    assert "<script>" not in report
    assert "&lt;script&gt;" in report
    assert "http" not in report.replace("http://www.w3.org", "")
    said = capfd.readouterr()
    assert said.out == ""
    assert "  country  not read  is the same in every row\n" in said.err
    assert "Warning" not in said.err


def test_regression_run_answers_in_the_unit_of_its_target(config: TableConfig) -> None:
    data = replace(config.data, label_column="spend", columns={"stays": "ignore"})
    training = replace(config.training, epochs=15, loss="huber", best_metric="r2")
    run = train(replace(config, data=data, training=training))
    description = json.loads((run / "run.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert description["objective"] == "regression"
    assert "labels" not in description
    values, targets = answers(run)
    assert values.shape == (len(targets), 1)
    errors = values[:, 0] - np.array(targets)
    assert metrics["test"]["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert metrics["test"]["r2"] > 0.5
    assert metrics["gradient_boosted_trees"]["test"]["r2"] > 0.3
    assert "Predicted against true values" in (run / "report.html").read_text()


def test_table_of_one_column_and_of_several_classes_is_learnt(config: TableConfig, tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    lines = [f"{stream.normal() + 3 * (index % 3):.4f},{index % 3}" for index in range(90)]
    (tmp_path / "one.csv").write_text("\n".join(["only,class", *lines]))
    data = TableDataConfig(table=str(tmp_path / "one.csv"), label_column="class")
    run = train(replace(config, data=data, training=replace(config.training, imbalance="class-weights")))
    assert json.loads((run / "run.json").read_text())["labels"] == ["0", "1", "2"]
    logits, labels = answers(run)
    assert roc_auc_score(np.array(labels) == "2", logits[:, 2]) > 0.8


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        ({"loss": "mae"}, "training.loss is mae, but this is a classification: use cross-entropy"),
        ({"best_metric": "r2"}, "training.best_metric is r2, but this is a classification: use loss, accuracy"),
    ],
)
def test_options_that_do_not_fit_the_task_are_named(
    config: TableConfig, training: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        train(replace(config, training=replace(config.training, **training)))
    regression = replace(config.data, label_column="spend", columns={})
    with pytest.raises(UsageError, match=r"training\.imbalance is over-sampling, but this is a regression"):
        train(replace(config, data=regression, training=replace(config.training, imbalance="over-sampling")))


def test_five_hundred_columns_are_trained(config: TableConfig, tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    values = stream.normal(size=(60, 500))
    lines = [",".join([*(f"{cell:.3f}" for cell in row), "up" if row[:5].sum() > 0 else "down"]) for row in values]
    (tmp_path / "wide.csv").write_text("\n".join([",".join([*(f"c{index}" for index in range(500)), "label"]), *lines]))
    data = TableDataConfig(table=str(tmp_path / "wide.csv"), leakage_threshold=1.0)
    run = train(replace(config, data=data, training=replace(config.training, epochs=1)))
    assert answers(run)[0].shape == (9, 2)


@pytest.mark.slow
def test_breast_cancer_is_told_apart(tmp_path: Path) -> None:
    config = load_config("breast-cancer")
    assert isinstance(config, TableConfig)
    run = train(replace(config, output=OutputConfig(str(tmp_path / "run"), explained=0)))
    assert json.loads((run / "metrics.json").read_text())["test"]["auroc"] >= 0.99
