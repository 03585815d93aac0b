"""An objective that the product does not have is trained, measured and reported by its own file alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_bundle.columns import TableRows
from explicate_training.config.config_file import load_config, parse_config
from explicate_training.table.fitting import predict_table
from explicate_training.table.saved_network import load_network
from explicate_training.tasks.registry import register, registered
from explicate_training.text.config import Config, TrainingConfig
from explicate_training.train import train
from support.ordinal import NAME, Ordinal, ranks


@pytest.fixture(autouse=True)
def ordinal() -> None:
    if NAME not in registered("names"):
        register(Ordinal())


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Stars from 1 to 10, of which the network must know that 10 is more than 9."""
    stream = np.random.default_rng(0)
    rows = []
    for taste, price in stream.normal(size=(400, 2)).tolist():
        stars = int(np.clip(round(9 + 1.2 * taste - 0.6 * price), 7, 10))
        rows.append({"taste": taste, "price": price, "stars": stars})
    (tmp_path / "stars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    file = tmp_path / "stars.toml"
    file.write_text(
        f"""
        [data]
        table = "stars.jsonl"
        task = "{NAME}"
        label_column = "stars"
        [model]
        width = 16
        blocks = 1
        members = 2
        bins = 4
        [training]
        epochs = 25
        learning_rate = 0.01
        best_metric = "rank_mae"
        [output]
        directory = "{tmp_path / "run"}"
        explained = 6
        """,
        encoding="utf-8",
    )
    return file


def test_a_new_objective_goes_from_a_config_to_a_run_directory(
    config_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(load_config(str(config_file)))
    description, metrics = (json.loads((run / f"{name}.json").read_text()) for name in ("run", "metrics"))
    assert (description["objective"], description["labels"]) == ("ordinal", ["7", "8", "9", "10"])
    held_out = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    numbers = np.array([[line["row"]["taste"], line["row"]["price"]] for line in held_out], dtype=np.float32)
    answers = predict_table(load_network(run / "model"), TableRows(numbers, np.empty((len(numbers), 0), np.int64)))
    assert answers.shape == (len(held_out), 4)
    places = ranks(answers)
    wanted = np.array([description["labels"].index(line["label"]) for line in held_out])
    assert metrics["test"]["rank_mae"] == pytest.approx(np.abs(places - wanted).mean(), rel=1e-4)
    assert metrics["test"]["rank_mae"] < 0.4  # always answering the middle is off by one
    assert metrics["gradient_boosted_trees"]["test"]["rank_mae"] < 0.4
    best = min(entry["validation_rank_mae"] for entry in metrics["history"] if "validation_rank_mae" in entry)
    assert metrics["validation"]["rank_mae"] == pytest.approx(best, rel=1e-4)  # smaller is better
    report = (run / "report.html").read_text()
    assert "to place rows among 4 classes. It is off by" in report
    assert "mean distance in ranks" in report
    assert "mean distance in ranks" in capfd.readouterr().err


def test_a_new_objective_is_learnt_from_texts_too(text_config: Config) -> None:
    data = replace(text_config.data, task=NAME)
    run = train(
        replace(text_config, data=data, training=TrainingConfig(epochs=4, learning_rate=2e-3, precision="fp32"))
    )
    labels = json.loads((run / "run.json").read_text())["labels"]
    told = json.loads((run / "model" / "config.json").read_text())["id2label"]
    assert told == {str(index): label for index, label in enumerate(labels)}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["rank_mae"] < 0.5  # of three classes
    assert "Worst mistakes" in (run / "report.html").read_text()


def test_its_options_are_checked_as_those_of_any_other(config_file: Path) -> None:
    toml = config_file.read_text()
    config_file.write_text(toml.replace("epochs = 25", "imbalance = 'over-sampling'"))
    with pytest.raises(UsageError, match=r"training\.imbalance is over-sampling, but this is a ordinal: leave it out"):
        train(load_config(str(config_file)))
    with pytest.raises(UsageError, match=r"training\.loss must be one of .*'rank-error'"):
        parse_config(toml.replace("epochs = 25", "loss = 'ranking'"))
