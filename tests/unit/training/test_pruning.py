"""Runs that take heads or channels out: what is told of it, what the run's files hold, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.config.config_file import format_config, parse_config
from explicate_training.interpretability.pruning import additive_r2
from explicate_training.interpretability.terms import absent
from explicate_training.loop.pruned import RECORD
from explicate_training.train import train
from support.training_runs import weights


def with_pruning(config: Any, **shares: float) -> Any:
    section = replace(absent(), pruning=shares)
    return replace(config, interpretability=section, training=replace(config.training, epochs=1))


def test_a_run_takes_heads_out_and_tells_what_that_did(text_config: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(with_pruning(text_config, heads=0.5))
    told = json.loads((run / "metrics.json").read_text())["interpretability"]["figures"]["pruning"]
    chosen = json.loads((run / "model" / "config.json").read_text())[RECORD]
    assert {name: len(units) for name, units in chosen.items()} == told["taken_out"]
    assert sum(told["taken_out"].values()) == 4  # of two layers of four heads
    assert told["weights_before"] - told["weights_after"] == 2 * (4 * 32 * 16 + 3 * 16)
    assert set(told["before"]) == set(told["after"]) >= {"accuracy", "masked_accuracy", "additive_r2"}
    assert told["rows_per_s_ratio"] > 0
    for name, units in chosen.items():
        output = weights(run)[f"{name.removesuffix('.self')}.output.dense.weight"]
        silent = [unit * 8 + place for unit in units for place in range(8)]
        assert not output[:, silent].any()
        assert output.any()
    said = capfd.readouterr().err
    assert "pruning took 4 of 8 heads or channels out" in said
    assert "accuracy: " in said


def test_a_run_of_images_takes_channels_out(image_config: Any) -> None:
    run = train(with_pruning(image_config, channels=0.25))
    told = json.loads((run / "metrics.json").read_text())["interpretability"]["figures"]["pruning"]
    assert told["weights_after"] < told["weights_before"]


def test_the_section_survives_being_written_and_read_again() -> None:
    text = '[data]\ntrain = "a.csv"\n[interpretability.pruning]\nheads = 0.25'
    config = parse_config(text)
    assert dict(config.interpretability.pruning) == {"heads": 0.25}  # type: ignore[attr-defined]
    assert parse_config(format_config(config)) == config


@pytest.mark.parametrize(
    ("data", "pruning", "said"),
    [
        ('train = "a.csv"', "heads = 0.95", "interpretability.pruning.heads must be from 0 to 0.9, not 0.95"),
        ('train = "a.csv"', "neurons = 0.1", "interpretability.pruning.neurons is not an option: known are heads"),
        ('train = "a.csv"', 'heads = "half"', "interpretability.pruning.heads must be a number, not 'half'"),
        ('table = "a.csv"', "heads = 0.1", "interpretability.pruning takes out heads or channels, and a table's"),
    ],
)
def test_wrong_shares_are_one_sentence(data: str, pruning: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_config(f"[data]\n{data}\n[interpretability.pruning]\n{pruning}")
    assert said in str(caught.value)


def test_a_model_without_channels_is_refused_before_training(text_config: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pruning\.channels: this model has no channels .*; it has heads, so leave"):
        train(with_pruning(text_config, channels=0.25))
    assert not Path(text_config.output.directory).exists()


def test_the_r2_of_a_sum_is_one_and_that_of_an_exclusive_or_is_not() -> None:
    present = np.random.default_rng(0).random((400, 4)) < 0.5
    assert additive_r2(present, present @ np.array([1.0, -2.0, 0.5, 3.0])) == pytest.approx(1.0)
    assert additive_r2(present, (present[:, 0] ^ present[:, 1]).astype(float)) < 0.1
    assert additive_r2(present, np.ones(400)) == 1.0
