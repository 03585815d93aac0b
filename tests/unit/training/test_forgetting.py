"""What a run says of what its model forgot."""

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.config.config_file import format_config, load_config, parse_config
from explicate_training.image.config import ImageConfig
from explicate_training.loop.forgetting import Forgetting, Remembered, forgetting_line, probed
from explicate_training.table.config import TableConfig
from explicate_training.text.config import Config
from explicate_training.train import train
from support.tiny_text_model import WORDS
from support.training_runs import to_folder


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 texts of two topics: of coffee, or of cheese."""
    path = tmp_path_factory.mktemp("data") / "topics.csv"
    stream = random.Random(1)
    plain = [word for word in WORDS if word not in ("coffee", "cheese")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["words", "topic"])
        for index in range(120):
            topic = ("coffee", "cheese")[index % 2]
            writer.writerow([" ".join([*stream.sample(plain, 5), topic, topic, topic]), topic])
    return path


def test_change_is_that_of_the_means_with_its_paired_interval() -> None:
    answers = iter([np.ones(100), np.repeat([1.0, 0.0], [80, 20])])
    forgetting = Forgetting([Remembered("probe", "a probe", "accuracy", lambda: next(answers))])
    found = forgetting.after()["probe"]
    assert (found["before"], found["after"], found["rows"]) == (1.0, 0.8, 100)
    assert found["change"] == pytest.approx(-0.2)
    lower, upper = found["change_interval"]
    # The bootstrap of a share of .2 of 100 rows: ± 1.96 · √(.2 · .8 / 100)
    assert (lower, upper) == (pytest.approx(-0.2 - 0.078, abs=0.02), pytest.approx(-0.2 + 0.078, abs=0.02))
    assert forgetting_line(found).startswith("a probe: accuracy 1.000 before the training and 0.800 after it, -0.200 [")


def test_a_probe_finds_what_features_say_and_nothing_else() -> None:
    stream = np.random.default_rng(0)
    targets = stream.integers(0, 2, 400)
    saying = targets[:, np.newaxis] + stream.normal(0, 0.1, (400, 3))
    silent = stream.normal(0, 1, (400, 3))
    assert probed(saying[:200], targets[:200], saying[200:], targets[200:]).mean() == 1
    assert 0.35 < probed(silent[:200], targets[:200], silent[200:], targets[200:]).mean() < 0.65


def test_a_run_measures_a_second_task_before_and_after(
    text_config: Config, topics: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    probe = {"data": str(topics), "label": "topic", "text": "words"}
    training = replace(text_config.training, epochs=1, forgetting=probe)
    run = train(replace(text_config, training=training))
    found = json.loads((run / "metrics.json").read_text())["forgetting"]["second_task"]
    assert found["about"] == "a linear probe for 'topic' of topics.csv"
    assert found["rows"] == 60
    assert found["before"] >= 0.8  # the words are there, whatever the random encoder makes of them
    assert found["change"] == pytest.approx(found["after"] - found["before"])
    assert "a linear probe for 'topic' of topics.csv: accuracy" in capfd.readouterr().err
    assert "What it forgot" in (run / "report.html").read_text()
    # The training itself is that of a run without it.
    plain = train(to_folder(replace(text_config, training=replace(training, forgetting={})), "plain"))
    assert (plain / "model" / "model.safetensors").read_bytes() == (run / "model" / "model.safetensors").read_bytes()
    assert "forgetting" not in json.loads((plain / "metrics.json").read_text())
    assert "What it forgot" not in (plain / "report.html").read_text()


def test_a_run_that_continues_another_measures_what_that_held_out(
    text_config: Config, topics: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    training = replace(text_config.training, epochs=6, learning_rate=5e-3, early_stopping_patience=0)
    data = replace(text_config.data, train=str(topics), text_column="words", label_column="topic", test_fraction=0.4)
    config = replace(text_config, training=training, data=data)
    first = train(to_folder(config, "first"))
    swapped = tmp_path / "swapped.csv"  # other texts in which the words mean the opposite
    with topics.open(encoding="utf-8") as file, swapped.open("w", newline="", encoding="utf-8") as written:
        header, *rows = csv.reader(file)
        other = {"coffee": "cheese", "cheese": "coffee"}
        csv.writer(written).writerows([header, *([f"it is {text}", other[topic]] for text, topic in rows)])
    model = replace(config.model, base=str(first))
    second = train(to_folder(replace(config, data=replace(data, train=str(swapped)), model=model), "second"))
    found = json.loads((second / "metrics.json").read_text())["forgetting"]["earlier_run"]
    assert found["about"] == "what the run first held out"
    assert found["measured"] == "answered rightly"
    assert found["rows"] == 48
    assert found["before"] == pytest.approx(json.loads((first / "metrics.json").read_text())["test"]["accuracy"])
    assert found["before"] > 0.8
    assert found["change_interval"][1] < 0
    capfd.readouterr()
    # Learning from the same rows again would not tell what it forgets: they are left out.
    third = train(to_folder(replace(config, model=model, training=replace(training, seed=5, epochs=1)), "third"))
    left = json.loads((third / "metrics.json").read_text())["forgetting"]["earlier_run"]["rows"]
    assert 0 < left < 48
    assert f"note: {48 - left} of the 48 rows that the run first held out are learnt from now" in capfd.readouterr().err


def test_images_have_both_measures(image_config: ImageConfig, shapes: Path, capfd: pytest.CaptureFixture[str]) -> None:
    training = replace(image_config.training, epochs=1, forgetting={"data": str(shapes)})
    first = train(to_folder(replace(image_config, training=training), "first"))
    found = json.loads((first / "metrics.json").read_text())["forgetting"]
    assert list(found) == ["second_task"]
    assert found["second_task"]["about"] == "a linear probe for 'label' of shapes"
    model = replace(image_config.model, base=str(first))
    training = replace(training, forgetting={}, seed=0)
    second = train(to_folder(replace(image_config, model=model, training=training), "second"))
    earlier = json.loads((second / "metrics.json").read_text())["forgetting"]["earlier_run"]
    held_out = (first / "held_out.jsonl").read_text().splitlines()
    assert earlier["rows"] == len(held_out)  # the same seed held the same images out
    assert earlier["before"] == pytest.approx(json.loads((first / "metrics.json").read_text())["test"]["accuracy"])
    capfd.readouterr()


def test_a_run_with_other_classes_says_that_nothing_is_measured(
    text_config: Config, topics: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = train(to_folder(replace(text_config, training=replace(text_config.training, epochs=1)), "first"))
    data = replace(text_config.data, train=str(topics), text_column="words", label_column="topic")
    model = replace(text_config.model, base=str(first))
    training = replace(text_config.training, epochs=1)
    second = train(to_folder(replace(text_config, data=data, model=model, training=training), "second"))
    assert "note: the run first predicts something else, so what is forgotten of it is not measured" in (
        capfd.readouterr().err
    )
    assert "forgetting" not in json.loads((second / "metrics.json").read_text())


def test_paths_of_the_section_are_those_of_the_config_and_it_survives_being_written(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        '[data]\ntrain = "a.csv"\n[training]\nepochs = 1\n[training.forgetting]\ndata = "b.csv"\nlabel = "c"\n'
    )
    config = load_config(str(path))
    assert config.training.forgetting == {"data": str(tmp_path / "b.csv"), "label": "c"}
    assert parse_config(format_config(config)) == config


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"label": "topic"}, r"training\.forgetting\.data must be set: the data of another task"),
        (
            {"data": "a.csv", "column": "b"},
            r"training\.forgetting\.column is not an option: known are data, label, text",
        ),
        ({"data": ["a.csv"]}, r"training\.forgetting\.data must be a string that is not empty"),
        ({"data": "nowhere.csv"}, r"training\.forgetting: data\.train: nowhere\.csv does not exist"),
        ({"data": "TOPICS", "label": "topics"}, r"training\.forgetting: .*has no column 'text'"),
        ({"data": "TOPICS", "label": "none", "text": "words"}, r"training\.forgetting: .*has no column 'none'"),
    ],
)
def test_a_section_that_says_something_else_is_one_sentence(
    text_config: Config, topics: Path, section: dict[str, str | list[str]], sentence: str
) -> None:
    given = {key: str(topics) if value == "TOPICS" else value for key, value in section.items()}
    config = replace(text_config, training=replace(text_config.training, forgetting=given))

    def run() -> None:
        config.check()
        train(config)

    with pytest.raises(UsageError, match=sentence):
        run()


def test_a_table_has_nothing_to_forget(table_config: TableConfig) -> None:
    training = replace(table_config.training, forgetting={"data": "a.csv"})
    with pytest.raises(UsageError, match="but a table's network is new: leave it out"):
        replace(table_config, training=training).check()
