"""Runs with `[interpretability]`: what it adds to training of every kind, and that without it nothing changes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_training.config.config_file import format_config, parse_config
from explicate_training.interpretability.measurement import held_out_r2
from explicate_training.interpretability.terms import InterpretabilityConfig
from explicate_training.train import train
from support.training_runs import Interruption, to_folder, weights

KINDS = ("text", "table", "image")


@pytest.fixture
def config(request: pytest.FixtureRequest, kind: str) -> Any:
    config = request.getfixturevalue(f"{kind}_config")
    return replace(config, training=replace(config.training, epochs=2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_the_section_is_validated_on_masked_rows_too_and_resumes_to_the_same_model(config: Any) -> None:
    config = replace(config, interpretability=InterpretabilityConfig())
    whole = train(to_folder(config, "whole"))
    history = json.loads((whole / "metrics.json").read_text())["history"]
    looks = [entry for entry in history if "validation_loss" in entry]
    for look in looks:
        both = (look["validation_loss"] + look["validation_masked_loss"]) / 2
        assert look["validation_both_loss"] == pytest.approx(both)
        assert look["validation_masked_loss"] != look["validation_loss"]
    assert "term_additivity" in history[0]
    _check_told(whole, history)
    cut = to_folder(config, "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=looks[-2]["step"] + 1))
    resumed = train(cut, resume=True)
    for name, weight in weights(whole).items():
        np.testing.assert_array_equal(weight, weights(resumed)[name])


def _check_told(run: Path, history: list[dict[str, float]]) -> None:
    """What metrics.json, run.json and the report say of the terms."""
    metrics = json.loads((run / "metrics.json").read_text())
    told = metrics["interpretability"]
    assert told["settings"] == {"masked_fraction": "0.5", "additivity": "0.05"}
    assert told["terms"]["additivity"]["first"] == pytest.approx(history[0]["term_additivity"])
    assert 0 < told["terms"]["additivity"]["share_of_time"] < 1
    scores = told["masked"]["by_share_removed"]
    assert list(scores) == ["0", "0.1", "0.3", "0.5", "0.7", "0.9"]
    # Nothing removed: the figure of the clean rows themselves, on which the verdict is.
    assert scores["0"] == pytest.approx(metrics["test"]["accuracy"])
    assert told["masked"]["mean"] == pytest.approx(np.mean(list(scores.values())[1:]))
    best = next(one for one in history if one["step"] == metrics["best_step"] and "validation_both_loss" in one)
    assert told["chosen_by"]["masked"] in best.values()
    record = json_format.Parse((run / "run.json").read_text(), TrainingRun()).interpretability
    assert dict(record.settings) == told["settings"]
    assert [(one.removed, one.value) for one in record.masked] == [(float(at), value) for at, value in scores.items()]
    page = (run / "report.html").read_text()
    assert "What makes it easier to explain" in page
    assert "additivity = 0.05" in page


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_with_everything_off_is_no_section(config: Any) -> None:
    plain = train(to_folder(config, "plain"))
    section = parse_config(
        '[data]\ntrain = "a.csv"\n[interpretability]\nmasked_fraction = 0\nadditivity = 0'
    ).interpretability
    off = train(to_folder(replace(config, interpretability=section), "off"))
    for name in ("metrics.json", "model/model.safetensors"):
        assert (plain / name).read_bytes() == (off / name).read_bytes()
    for name in ("config.toml", "metrics.json", "run.json"):
        assert "interpretability" not in (off / name).read_text()
    assert "easier to explain" not in (off / "report.html").read_text()


def test_the_held_out_fit_of_an_additive_game_is_perfect_and_that_of_noise_is_not() -> None:
    stream = np.random.default_rng(0)
    present = stream.random((60, 6)) < 0.5
    additive = np.stack([present @ np.arange(6.0) + 1, 2 - present @ np.ones(6)], axis=1)
    assert held_out_r2(present, additive) == pytest.approx(1, abs=1e-9)
    assert (held_out_r2(present, stream.random((60, 1))) or 0) < 0.3
    assert held_out_r2(present, np.ones((60, 1))) is None


def test_the_section_survives_being_written_and_read_again() -> None:
    config = parse_config('[data]\ntrain = "a.csv"\n[interpretability]\nmasked_fraction = 0.25')
    assert "masked_fraction = 0.25" in format_config(config)
    assert parse_config(format_config(config)) == config
