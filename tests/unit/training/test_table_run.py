"""Whole runs on small tables: the run directory, repeatability, resumption, odd tables, and one real demo set."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score
from transformers import TrainerControl, TrainerState

from explicate.cli.main import main
from explicate.errors import UsageError
from explicate_training.config.config_file import load_config, parse_config
from explicate_training.config.options import OutputConfig
from explicate_training.loop.progress import StepProgress
from explicate_training.run import train
from explicate_training.table.config import TableConfig, TableDataConfig, TableModelConfig, TableTrainingConfig
from explicate_training.table.network import load_network

ROWS = 240
HOSTILE = "<script>alert('$x$')</script>"


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers who leave when they pay much or live in a certain city; cells are missing; one city is markup."""
    path = tmp_path_factory.mktemp("data") / "customers.csv"
    stream = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "price", "city", "adult", "size", "spend", "stays", "country"])
        for number in range(ROWS):
            price, city = stream.normal() * 10 + 50, stream.choice(["rome", "oslo", HOSTILE])
            score = (price - 50) / 10 + 2 * (city == "oslo") + 0.3 * stream.normal()
            cells = [f"{price:.3f}", city, stream.choice(["true", "false"]), stream.choice(["small", "large"])]
            cells = [cell if stream.random() > 0.1 else "" for cell in cells]
            writer.writerow([number, *cells, f"{100 + 20 * score:.2f}", "no" if score > 0.7 else "yes", "it"])
    return path


@pytest.fixture
def config(customers: Path, tmp_path: Path) -> TableConfig:
    return TableConfig(
        data=TableDataConfig(
            table=str(customers),
            label_column="stays",
            columns={"size": ["small", "large"], "spend": "ignore"},
            groups={"person": ["adult", "size"]},
            background_rows=5,
        ),
        model=TableModelConfig(width=16, blocks=1, members=2),
        training=TableTrainingConfig(epochs=6, batch_size=32, learning_rate=1e-2),
        output=OutputConfig(str(tmp_path / "run")),
    )


def to_folder(config: TableConfig, name: str) -> TableConfig:
    return replace(config, output=OutputConfig(str(Path(config.output.directory).parent / name)))


class Interruption(StepProgress):
    """Somebody presses Ctrl-C at a step."""

    def __init__(self, at_step: int) -> None:
        super().__init__()
        self.at_step = at_step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step == self.at_step:
            raise KeyboardInterrupt


def answers(run: Path) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """What the saved network answers on held_out.jsonl, encoded by run.json alone, and the labels."""
    columns = json.loads((run / "run.json").read_text())["columns"]
    held_out = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    numbers, codes = [], []
    for line in held_out:
        cells = [(column, line["row"][column["name"]]) for column in columns]
        numbers.append([np.nan if cell is None else cell for column, cell in cells if column["type"] == "number"])
        names = [
            (column["categories"], {True: "true", False: "false"}.get(cell, cell) if cell is not None else None)
            for column, cell in cells
            if column["type"] != "number"
        ]
        codes.append([1 if name is None else 2 + known.index(name) if name in known else 0 for known, name in names])
    with torch.no_grad():
        outputs = load_network(run / "model")(
            torch.tensor(numbers, dtype=torch.float32), torch.tensor(codes, dtype=torch.int64)
        )
    return outputs.numpy(), [line["label"] for line in held_out]


def test_run_directory_holds_all_that_export_needs(config: TableConfig, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(config)
    assert sorted(entry.name for entry in run.iterdir()) == [
        "background.npz", "config.toml", "data.json", "held_out.jsonl", "lime.npz", "metrics.json", "model",
        "report.html", "run.json",
    ]  # fmt: skip
    assert parse_config((run / "config.toml").read_text()) == config
    description = json.loads((run / "run.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    data = json.loads((run / "data.json").read_text())
    assert (description["kind"], description["target_name"]) == ("tabular-classification", "stays")
    assert (description["labels"], description["base_model"]) == (["no", "yes"], "tabular-network")
    assert description["data_sha256"] == data["sha256"]
    assert description["columns"] == [
        {"name": "price", "type": "number", "categories": [], "group": "", "may_be_missing": True},
        {"name": "city", "type": "category", "categories": [HOSTILE, "oslo", "rome"], "group": "",
         "may_be_missing": True},
        {"name": "adult", "type": "boolean", "categories": ["false", "true"], "group": "person",
         "may_be_missing": True},
        {"name": "size", "type": "ordinal", "categories": ["small", "large"], "group": "person",
         "may_be_missing": True},
    ]  # fmt: skip
    assert data["columns_left_out"] == {
        "number": "counts the rows", "spend": "the config says ignore", "country": "is the same in every row"
    }  # fmt: skip
    assert {name: split["rows"] for name, split in data["splits"].items()} == {
        "train": 172, "validation": 31, "test": 36,
    }  # fmt: skip

    logits, labels = answers(run)
    right = np.array(labels) == np.array(description["labels"])[logits.argmax(axis=1)]
    assert metrics["test"]["accuracy"] == pytest.approx(right.mean())
    stays = np.array(labels) == "yes"
    assert metrics["test"]["auroc"] == pytest.approx(roc_auc_score(stays, logits[:, 1] - logits[:, 0]))
    assert metrics["test"]["auroc"] > 0.8  # it did learn
    assert metrics["gradient_boosted_trees"]["test"]["auroc"] > 0.8

    background = np.load(run / "background.npz")
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
    assert "left out: country, which is the same in every row" in said.err
    assert "Warning" not in said.err


def test_regression_run_answers_in_the_unit_of_its_target(config: TableConfig) -> None:
    data = replace(config.data, label_column="spend", columns={"stays": "ignore"})
    training = replace(config.training, epochs=15, loss="huber", best_metric="r2")
    run = train(replace(config, data=data, training=training))
    description = json.loads((run / "run.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert (description["kind"], description["labels"]) == ("tabular-regression", [])
    values, targets = answers(run)
    assert values.shape == (len(targets), 1)
    errors = values[:, 0] - np.array(targets)
    assert metrics["test"]["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert metrics["test"]["r2"] > 0.5
    assert metrics["gradient_boosted_trees"]["test"]["r2"] > 0.3
    assert "Predicted against true values" in (run / "report.html").read_text()


def test_same_seed_gives_the_same_metrics_and_weights_and_another_seed_others(config: TableConfig) -> None:
    first, second = train(to_folder(config, "a")), train(to_folder(config, "b"))
    other = train(replace(to_folder(config, "c"), training=replace(config.training, seed=1)))
    for name in ("metrics.json", "held_out.jsonl"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert (first / name).read_bytes() != (other / name).read_bytes()
    for name, weight in load_file(first / "model" / "model.safetensors").items():
        np.testing.assert_array_equal(weight, load_file(second / "model" / "model.safetensors")[name])
    for name, array in np.load(first / "background.npz").items():
        np.testing.assert_array_equal(array, np.load(second / "background.npz")[name])


@pytest.mark.parametrize("imbalance", ["over-sampling", "under-sampling"])
def test_interrupted_run_resumes_to_the_same_model(config: TableConfig, imbalance: str) -> None:
    config = replace(config, training=replace(config.training, imbalance=imbalance))
    whole = train(to_folder(config, "whole"))
    cut = to_folder(config, "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=15))
    assert not Path(cut.output.directory).exists()
    resumed = train(cut, resume=True)
    for name, weight in load_file(whole / "model" / "model.safetensors").items():
        np.testing.assert_array_equal(weight, load_file(resumed / "model" / "model.safetensors")[name])
    assert (whole / "metrics.json").read_bytes() == (resumed / "metrics.json").read_bytes()


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


def test_check_reads_types_and_splits_without_training(
    customers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.toml").write_text(f"[data]\ntable = '{customers}'\nlabel_column = 'stays'\n")
    assert main(["train", str(tmp_path / "my.toml"), "--check"]) == 0
    said = capsys.readouterr()
    assert "columns: 2 number, 2 category, 1 boolean" in said.err
    assert "missing: " in said.err
    assert "test           36 rows: " in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["my.toml"]


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
    run = train(replace(config, output=OutputConfig(str(tmp_path / "run"))))
    assert json.loads((run / "metrics.json").read_text())["test"]["auroc"] >= 0.99
