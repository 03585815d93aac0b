"""Whole runs on several labels, on numbers and on pairs of texts: what they leave for export, and what they report."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate_training.config.config_file import parse_config
from explicate_training.config.sections import OutputConfig
from explicate_training.table.config import (
    TableConfig,
    TableDataConfig,
    TableModelConfig,
    TableTrainingConfig,
)
from explicate_training.text.config import Config, DataConfig, ModelConfig, TrainingConfig
from explicate_training.train import train
from support.tiny_text_model import WORDS

PLAIN = [word for word in WORDS if word not in ("great", "bad", "late")]
HOSTILE = "<b>late</b>"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def text_config(base: Path, folder: Path, data: DataConfig, **training: Any) -> Config:
    settings = {"epochs": 2, "learning_rate": 2e-3, "precision": "fp32", **training}
    return Config(
        data=data,
        model=ModelConfig(base=str(base), max_tokens=32),
        training=TrainingConfig(**settings),
        output=OutputConfig(str(folder / "run"), explained=0),
    )


def read(run: Path) -> tuple[Any, Any, Any, list[Any], str]:
    """run.json, metrics.json, data.json, the held-out rows and the report."""
    values = [json.loads((run / f"{name}.json").read_text()) for name in ("run", "metrics", "data")]
    held_out = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    return (*values, held_out, (run / "report.html").read_text())


def in_transformers(run: Path, rows: list[dict[str, str]]) -> np.ndarray[Any, Any]:
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").train(False)
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    texts = [[row[name] for row in rows] for name in ("text", "text_pair") if name in rows[0]]
    encoded = tokenizer(*texts, truncation=True, max_length=32, padding=True, return_tensors="pt")
    return np.asarray(model(**encoded).logits.detach().numpy())


def test_a_run_on_several_labels_leaves_labels_metrics_and_a_report(base: Path, tmp_path: Path) -> None:
    stream = random.Random(0)
    rows = []
    for _ in range(160):
        labels = [name for name in ("great", "bad", HOSTILE) if stream.random() < 0.4]
        rows.append({"text": " ".join(stream.sample(PLAIN, 6) + labels), "label": labels})
    data = DataConfig(train=write_lines(tmp_path / "topics.jsonl", rows), task="multi-label", minimum_class_count=5)
    config = text_config(base, tmp_path, data, class_weights="balanced", label_smoothing=0.05)
    run = train(config)
    assert parse_config((run / "config.toml").read_text()) == config
    description, metrics, report_data, held_out, report = read(run)
    assert description["objective"] == "multi-label"
    assert description["labels"] == [HOSTILE, "bad", "great"]
    assert description["text"] == {"max_tokens": 32}
    assert all(set(row) == {"text", "labels", "outputs"} for row in held_out)
    assert all(set(row["labels"]) <= set(description["labels"]) for row in held_out)
    logits = in_transformers(run, held_out)
    np.testing.assert_allclose([row["outputs"] for row in held_out], logits, atol=1e-5)
    predicted = logits >= 0
    true = np.array([[name in row["labels"] for name in description["labels"]] for row in held_out])
    assert metrics["test"]["hamming_loss"] == pytest.approx((predicted != true).mean())
    assert metrics["test"]["subset_accuracy"] == pytest.approx((predicted == true).all(axis=1).mean())
    train_split = report_data["splits"]["train"]
    assert set(train_split["classes"]) == set(description["labels"])
    assert train_split["without_label"] > 0
    assert "F1, all labels together" in report
    assert HOSTILE not in report
    assert "&lt;b&gt;late" in report


def test_a_run_on_pairs_with_a_number_answers_in_its_unit(base: Path, tmp_path: Path) -> None:
    stream = random.Random(1)
    rows = [
        {
            "text": " ".join(stream.sample(PLAIN, 5)),
            "answer": " ".join(stream.sample(PLAIN, 4)),
            "label": 1000 + 50 * stream.gauss(0, 1),
        }
        for _ in range(120)
    ]
    path = write_lines(tmp_path / "pairs.jsonl", rows)
    data = DataConfig(train=path, task="regression", text_pair_column="answer")
    run = train(text_config(base, tmp_path, data, loss="huber"))
    description, metrics, report_data, held_out, report = read(run)
    assert description["objective"] == "regression"
    assert "labels" not in description
    assert description["text"] == {"max_tokens": 32, "pairs": True}
    assert description["target_name"] == "label"
    targets = [row["label"] for row in rows]
    mean, spread = description["target_scale"]["mean"], description["target_scale"]["spread"]
    assert mean == pytest.approx(np.mean(targets), abs=5)
    assert spread == pytest.approx(np.std(targets), rel=0.15)
    assert all(set(row) == {"text", "text_pair", "value", "outputs"} for row in held_out)
    answers = in_transformers(run, held_out)[:, 0] * spread + mean
    np.testing.assert_allclose([row["outputs"] for row in held_out], answers[:, np.newaxis], atol=1e-5 * spread)
    errors = np.abs(answers - [row["value"] for row in held_out])
    assert metrics["test"]["mae"] == pytest.approx(errors.mean(), rel=1e-4)
    assert report_data["splits"]["test"]["minimum"] == min(row["value"] for row in held_out)
    assert "furthest off" in report
    history = [entry for entry in metrics["history"] if "validation_mae" in entry]
    assert all(20 < entry["validation_mae"] < 100 for entry in history)  # in the target's unit, not in standard ones


@pytest.mark.parametrize("as_columns", [False, True])
def test_a_run_on_a_table_learns_several_labels(tmp_path: Path, as_columns: bool) -> None:
    stream = np.random.default_rng(0)
    numbers = stream.normal(size=(400, 2))
    flags = {"late": numbers[:, 0] > 0.5, "rude": numbers[:, 1] < 0}
    rows = []
    for row in range(400):
        names = [name for name, flag in flags.items() if flag[row]]
        label = {name: int(name in names) for name in flags} if as_columns else {"label": names}
        rows.append({"delay": float(numbers[row, 0]), "tone": float(numbers[row, 1]), "note": "abc"[row % 3], **label})
    config = TableConfig(
        data=TableDataConfig(
            table=write_lines(tmp_path / "calls.jsonl", rows),
            task="multi-label",
            label_columns="late, rude" if as_columns else "",
            leakage_threshold=1.0,
        ),
        model=TableModelConfig(width=16, blocks=1, members=2, bins=4),
        training=TableTrainingConfig(epochs=15, learning_rate=0.01, imbalance="class-weights"),
        output=OutputConfig(str(tmp_path / "run"), explained=0),
    )
    run = train(config)
    assert parse_config((run / "config.toml").read_text()) == config
    description, metrics, report_data, held_out, report = read(run)
    assert (description["objective"], description["labels"]) == ("multi-label", ["late", "rude"])
    assert [column["name"] for column in description["tabular"]["columns"]] == ["delay", "tone", "note"]
    assert metrics["test"]["auroc"] > 0.95
    assert metrics["gradient_boosted_trees"]["test"]["auroc"] > 0.95
    assert all(set(row) == {"row", "labels", "outputs"} for row in held_out)
    assert any(row["labels"] == [] for row in held_out)
    assert all((row["row"]["tone"] < 0) == ("rude" in row["labels"]) for row in held_out)
    assert report_data["splits"]["test"]["without_label"] == sum(row["labels"] == [] for row in held_out)
    assert "average precision" in report
