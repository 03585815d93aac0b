"""Runs with `[interpretability]`: what it adds to training of every kind, and that without it nothing changes."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explicate_training.config.config_file import format_config, parse_config
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
    cut = to_folder(config, "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=looks[-2]["step"] + 1))
    resumed = train(cut, resume=True)
    for name, weight in weights(whole).items():
        np.testing.assert_array_equal(weight, weights(resumed)[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_with_everything_off_is_no_section(config: Any) -> None:
    plain = train(to_folder(config, "plain"))
    section = parse_config('[data]\ntrain = "a.csv"\n[interpretability]\nmasked_fraction = 0').interpretability
    off = train(to_folder(replace(config, interpretability=section), "off"))
    for name in ("metrics.json", "model/model.safetensors"):
        assert (plain / name).read_bytes() == (off / name).read_bytes()
    assert "interpretability" not in (off / "config.toml").read_text()


def test_the_section_survives_being_written_and_read_again() -> None:
    config = parse_config('[data]\ntrain = "a.csv"\n[interpretability]\nmasked_fraction = 0.25')
    assert "masked_fraction = 0.25" in format_config(config)
    assert parse_config(format_config(config)) == config
