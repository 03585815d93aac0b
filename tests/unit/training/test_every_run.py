"""What holds for runs of every kind: a seed repeats a run, an interrupted one resumes to the same model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.cli.main import main
from explicate_training.train import train
from support.training_runs import Interruption, to_folder, weights


@pytest.fixture
def config(request: pytest.FixtureRequest, kind: str) -> Any:
    return request.getfixturevalue(f"{kind}_config")


@pytest.mark.parametrize(
    ("kind", "of_the_seed"),
    [("text", ["held_out.jsonl"]), ("table", ["metrics.json", "held_out.jsonl"]), ("image", ["metrics.json"])],
)
def test_same_seed_gives_the_same_metrics_and_weights_and_another_seed_others(
    config: Any, of_the_seed: list[str]
) -> None:
    config = replace(config, training=replace(config.training, epochs=min(config.training.epochs, 2)))
    first, second = train(to_folder(config, "a")), train(to_folder(config, "b"))
    other = train(replace(to_folder(config, "c"), training=replace(config.training, seed=1)))
    for name in ("metrics.json", "held_out.jsonl", *(path.name for path in first.glob("*.npz"))):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    for name in of_the_seed:
        assert (first / name).read_bytes() != (other / name).read_bytes()
    for name, weight in weights(first).items():
        np.testing.assert_array_equal(weight, weights(second)[name])


@pytest.mark.parametrize(
    ("kind", "imbalance", "at_step"),
    [
        ("table", "over-sampling", 15),
        ("table", "under-sampling", 15),
        ("image", "over-sampling", 6),
        ("image", "class-weights", 6),
    ],
)
def test_interrupted_run_resumes_to_the_same_model(config: Any, imbalance: str, at_step: int) -> None:
    epochs = max(config.training.epochs, 3)
    config = replace(config, training=replace(config.training, imbalance=imbalance, epochs=epochs))
    whole = train(to_folder(config, "whole"))
    cut = to_folder(config, "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=at_step))
    assert not Path(cut.output.directory).exists()
    resumed = train(cut, resume=True)
    for name, weight in weights(whole).items():
        np.testing.assert_array_equal(weight, weights(resumed)[name])
    assert (whole / "metrics.json").read_bytes() == (resumed / "metrics.json").read_bytes()


@pytest.mark.parametrize(
    ("kind", "toml", "told"),
    [
        (
            "text",
            "[data]\ntrain = '{data.train}'\nminimum_class_count = 3",
            ["reviews.csv: separator comma, UTF-8", "read 206 rows of", "train", "texts: "],
        ),
        (
            "table",
            "[data]\ntable = '{data.table}'\nlabel_column = 'stays'",
            [
                "customers.csv: separator comma, UTF-8",
                "columns: 2 number, 2 category, 1 boolean",
                "missing: ",
                "test           36 rows: ",
            ],
        ),
        (
            "image",
            "[data]\nimages = '{data.images}'\n[model]\nbase = '{model.base}'",
            ["read 90 images of", "test           12 images: circle 4, square 4, stripe 4"],
        ),
    ],
)
def test_check_reads_and_splits_without_training(
    config: Any, toml: str, told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.toml").write_text(toml.format(data=config.data, model=config.model))
    assert main(["train", str(tmp_path / "my.toml"), "--check"]) == 0
    said = capsys.readouterr().err
    assert [words for words in told if words not in said] == []
    assert [path.name for path in tmp_path.iterdir()] == ["my.toml"]
