"""Dimensions of a study: what a config file may say, what is varied if it says nothing, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from explicate.errors import UsageError
from explicate_studies.space import grid, point_of, read_space, with_point, with_section
from explicate_studies.tune_options import TuneOptions, read_tune
from explicate_training.config.config_file import AnyConfig, load_config, parse_config
from support.tuned_table import write_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AnyConfig:
    return load_config(str(write_config(tmp_path_factory.mktemp("data"))))


def test_ranges_choices_and_steps_become_distributions(config: AnyConfig) -> None:
    given = {
        "learning_rate": [1e-3, 1e-1],
        "dropout": [0, 0.3],
        "training": {"epochs": [1, 4], "schedule": ["linear", "cosine"]},
        "batch_size": {"choices": [16, 32]},
        "model.width": {"low": 8, "high": 32, "step": 8},
    }
    assert read_space(config, given) == {
        "training.learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
        "model.dropout": FloatDistribution(0.0, 0.3),
        "training.epochs": IntDistribution(1, 4),
        "training.schedule": CategoricalDistribution(["linear", "cosine"]),
        "training.batch_size": CategoricalDistribution([16, 32]),
        "model.width": IntDistribution(8, 32, step=8),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lerning_rate": [1, 2]}, "tune.lerning_rate is not an option of this config: did you mean learning_rate?"),
        ({"learning_rate": 1e-3}, "tune.learning_rate must be a range [low, high], a list of choices, or"),
        ({"learning_rate": [1e-1, 1e-3]}, "tune.learning_rate must have its low end below its high end"),
        ({"learning_rate": ["fast", "slow"]}, "tune.learning_rate must have numbers, not 'fast'"),
        ({"learning_rate": [0.1, 2.0]}, "tune.training.learning_rate: 2.0 does not do: the config: training."),
        ({"learning_rate": {"low": 0.0, "high": 0.1, "log": True}}, "cannot be searched by its logarithm from 0.0"),
        ({"learning_rate": {"low": 0.1, "up": 0.2}}, "tune.learning_rate does not have 'up'"),
        ({"epochs": [1.5, 3]}, "tune.epochs must have whole numbers, not 1.5"),
        ({"epochs": {"low": 1, "high": 3, "step": 5}}, "tune.epochs has a step of 5, which is longer than its range"),
        ({"schedule": ["linear", "steep"]}, "tune.training.schedule: 'steep' does not do"),
        ({"schedule": ["linear", "linear"]}, "tune.schedule has a choice twice"),
        ({"seed": [0, 9]}, "tune.seed cannot be varied: a seed changes the split"),
        ({"data": {"validation_fraction": [0.1, 0.2]}}, "tune.data.validation_fraction cannot be varied: runs can be"),
        ({"epochs": [1, 2], "training": {"epochs": [1, 2]}}, "tune.training.epochs and another dimension are both"),
    ],
)
def test_a_wrong_dimension_is_one_sentence(config: AnyConfig, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_space(config, given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_varied_without_a_word_lies_around_the_config(config: AnyConfig) -> None:
    space = read_space(config, {})
    assert {"training.learning_rate", "training.epochs", "training.weight_decay", "model.dropout"} <= set(space)
    own = point_of(config, space)
    assert own is not None
    assert own["training.epochs"] == config.training.epochs
    assert with_point(config, own) == config


def test_a_study_of_two_objectives_varies_what_makes_models_easier_to_explain(config: AnyConfig) -> None:
    assert with_section(config, {}, TuneOptions(objectives=("metric",))) == config
    for given, objectives in (({}, ("metric", "evaluations_per_player")), ({"additivity": [0, 0.1]}, ("metric",))):
        wider = with_section(config, given, TuneOptions(objectives=objectives))
        assert "interpretability.additivity" in read_space(wider, given)
        assert with_section(wider, given, TuneOptions()) == wider
    assert read_space(wider, {})["interpretability.form"] == CategoricalDistribution(["free", "pairs", "additive"])


def test_a_grid_has_every_combination_once(config: AnyConfig) -> None:
    space = read_space(config, {"learning_rate": [1e-3, 1e-1], "epochs": [1, 3], "schedule": ["linear", "cosine"]})
    points = grid(space)
    assert len(points) == 3 * 3 * 2 == len({tuple(point.items()) for point in points})
    assert sorted({point["training.learning_rate"] for point in points}) == pytest.approx([1e-3, 1e-2, 1e-1])


def test_a_train_command_does_not_mind_what_a_study_varies() -> None:
    assert parse_config('[data]\ndemo = "credit"\n[tune]\nepochs = [1, 2]') == parse_config('[data]\ndemo = "credit"')


def test_flags_go_before_the_file() -> None:
    text = '[tune]\ntrials = 3\nmetric = "auroc"\nepochs = [1, 2]\n[tune.floors]\naccuracy = 1'
    options, dimensions = read_tune(text, {"trials": 5, "objectives": "metric"})
    assert (options.trials, options.metric, options.objectives) == (5, "auroc", ("metric",))
    assert (dict(options.floors), dimensions) == ({"accuracy": 1.0}, {"epochs": [1, 2]})


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("tune = 3", {}, "tune must be a section"),
        ("[tune]\ntrials = 0", {}, "tune.trials must be at least 1, not 0"),
        ("[tune]\ntrials = 2.5", {}, "tune.trials must be a whole number, not 2.5"),
        ('[tune]\nsampler = "best"', {}, "tune.sampler must be one of tpe, random, grid, not 'best'"),
        ("", {"objectives": "metric,speed"}, "tune.objectives must be metric or metric,evaluations_per_player, not"),
        ("", {"pruner": "median"}, "tune.pruner is median, but a run cannot be stopped early by two objectives"),
        ('[tune.floors]\naccuracy = "high"', {}, "tune.floors.accuracy must be a number, not 'high'"),
        ("[tune]\nminutes = nan", {}, "tune.minutes must be at least 0, not nan"),
    ],
)
def test_a_wrong_option_is_one_sentence(text: str, flags: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_tune(text, flags)
    assert said in str(caught.value)


def test_defaults_are_right() -> None:
    TuneOptions().check()


def test_ready_dimensions_go_with_the_config(tmp_path: Path) -> None:
    free = read_space(with_section(load_config(str(write_config(tmp_path))), {}, TuneOptions()), {})
    assert free["interpretability.form"] == CategoricalDistribution(("free", "pairs", "additive"))
    monotone = '\n[interpretability]\nform = "pairs"\n[interpretability.monotone]\nprice = "increasing yes"\n'
    path = tmp_path / "monotone.toml"
    path.write_text(write_config(tmp_path).read_text(encoding="utf-8") + monotone, encoding="utf-8")
    kept = read_space(load_config(str(path)), {})
    assert kept["interpretability.form"] == CategoricalDistribution(["pairs", "additive"])  # free promises nothing
    assert "training.learning_rate" in kept
