"""Which weights move, and how fast: rates by layer, gradual unfreezing, SGD."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from explicate.errors import UsageError
from explicate_training.image.config import ImageConfig
from explicate_training.image.model import load_image_model, load_processor
from explicate_training.loop.optimisers import GradualUnfreezing, layer_distances, told, weight_groups
from explicate_training.loop.progress import StepProgress
from explicate_training.table.config import TableConfig
from explicate_training.text.config import Config, ModelConfig, TrainingConfig
from explicate_training.text.model import load_text_model
from explicate_training.train import train
from support.training_runs import Interruption, to_folder, weights


@pytest.fixture
def model(base: Path) -> torch.nn.Module:
    return load_text_model(ModelConfig(base=str(base)), ["a", "b"], seed=0).model


def test_distances_count_from_the_head_to_the_embeddings(model: torch.nn.Module) -> None:
    distances = layer_distances(model)
    expected = {"classifier.": 0, "bert.pooler.": 1, "bert.encoder.layer.1.": 1, "bert.encoder.layer.0.": 2}
    expected["bert.embeddings."] = 3
    for prefix, distance in expected.items():
        assert {one for name, one in distances.items() if name.startswith(prefix)} == {distance}
    assert set(distances) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(("family", "blocks"), [("resnet", 4), ("vit", 2)])
def test_distances_of_image_models_follow_their_stages(
    image_config: ImageConfig, bases: Path, family: str, blocks: int
) -> None:
    config = replace(image_config.model, base=str(bases / family))
    network = load_image_model(
        config, load_processor(config), ["a", "b"], seed=0, problem_type="single_label_classification"
    ).network
    distances = layer_distances(network)
    assert {one for name, one in distances.items() if "classifier" in name} == {0}
    assert {one for name, one in distances.items() if "embed" in name} == {max(distances.values())}
    assert set(distances.values()) == set(range(max(distances.values()) + 1))


def test_rates_are_the_highest_times_the_decay_to_the_power_of_the_distance(model: torch.nn.Module) -> None:
    training = TrainingConfig(learning_rate=1e-3, layer_lr_decay=0.5, weight_decay=0.1)
    decayed = {name for name, _ in model.named_parameters() if not name.endswith("bias")}
    groups = weight_groups(model, training, decayed)
    of_weight = {id(weight): group for group in groups for weight in group["params"]}
    distances = layer_distances(model)
    for name, weight in model.named_parameters():
        group = of_weight[id(weight)]
        assert group["lr"] == pytest.approx(1e-3 * 0.5 ** distances[name])
        assert group["weight_decay"] == (0.1 if name in decayed else 0)
    assert groups[0]["lr"] == 1e-3  # the one that the log tells


def test_usual_options_make_the_two_groups_of_the_trainer_alone(model: torch.nn.Module) -> None:
    groups = weight_groups(model, TrainingConfig(), {"classifier.weight"})
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(5e-5, 0.01), (5e-5, 0.0)]
    assert told(model, TrainingConfig()) == []


class _Watch(StepProgress):
    """Keeps the weights as they were at the end of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, *arguments: Any, model: torch.nn.Module, **_: Any) -> None:
        self.steps.append({name: weight.detach().clone() for name, weight in model.named_parameters()})


def test_frozen_weights_do_not_move_until_their_layer_is_unfrozen(text_config: Config, model: torch.nn.Module) -> None:
    training = replace(
        text_config.training, epochs=2, gradual_unfreezing=0.5, early_stopping_patience=0, weight_decay=0.1
    )
    watch = _Watch()
    train(replace(text_config, training=training), progress=watch)
    distances = layer_distances(model)
    per_epoch = len(watch.steps) // 2
    assert per_epoch == 9
    first_move: dict[str, int] = {}
    for number, (before, after) in enumerate(zip(watch.steps, watch.steps[1:], strict=False), start=1):
        for name in after:
            if not torch.equal(before[name], after[name]):
                first_move.setdefault(name, number)
    for name, distance in distances.items():
        if name in first_move:  # a weight may have no gradient at all, such as embeddings of words that no text has
            assert first_move[name] >= distance * 0.5 * per_epoch, name
    moved = {distances[name] for name in first_move}
    assert moved == {0, 1, 2, 3}
    for distance in moved - {0}:  # and then they do
        earliest = min(step for name, step in first_move.items() if distances[name] == distance)
        assert earliest == int(np.ceil(distance * 0.5 * per_epoch))


def test_an_interrupted_run_that_unfreezes_resumes_to_the_same_model(text_config: Config) -> None:
    training = replace(text_config.training, gradual_unfreezing=0.6, layer_lr_decay=0.9, early_stopping_patience=0)
    whole = train(to_folder(replace(text_config, training=training), "whole"))
    cut = to_folder(replace(text_config, training=training), "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, progress=Interruption(at_step=8))  # two of four layers learn then
    resumed = train(cut, resume=True)
    for name, weight in weights(whole).items():
        np.testing.assert_array_equal(weight, weights(resumed)[name])


def test_sgd_moves_the_weights_by_rate_times_momentum_sum_of_gradients() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    module = torch.nn.Module()
    module.weight = weight
    training = TrainingConfig(optimiser="sgd", learning_rate=0.1, weight_decay=0.0)
    optimiser = torch.optim.SGD(weight_groups(module, training, set()), momentum=training.momentum)
    for expected in (0.9, 0.71):  # 1 - .1 · 1, then - .1 · (1 + .9)
        weight.grad = torch.ones(1)
        optimiser.step()
        assert weight.item() == pytest.approx(expected)


def test_a_run_with_sgd_and_falling_rates_learns_and_says_how(
    text_config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    training = replace(
        text_config.training, optimiser="sgd", momentum=0.8, learning_rate=5e-2, layer_lr_decay=0.9, epochs=4
    )
    run = train(replace(text_config, training=training))
    said = capfd.readouterr().err
    assert "the weights move by SGD with momentum 0.8\n" in said
    assert "learning rates fall by 0.9 a layer, from 0.05 of the head to 0.036 of the embeddings" in said
    history = json.loads((run / "metrics.json").read_text())["history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    assert max(entry.get("learning_rate", 0) for entry in history) <= 0.05
    assert all(np.isfinite(one).all() for one in weights(run).values())


def test_what_is_told_of_layers_that_stay_frozen_and_of_a_slow_sgd(model: torch.nn.Module) -> None:
    lines = told(model, TrainingConfig(optimiser="sgd", gradual_unfreezing=1, epochs=2))
    assert lines[0].endswith("5e-05 is a rate of AdamW's size, try 0.01")
    assert (
        "the 2 epochs reach 1 of them and the rest stays as it was (all would begin to learn after 3 epochs)"
        in lines[1]
    )


def test_unfreezing_is_a_function_of_the_step_so_that_a_resumed_run_goes_on() -> None:
    callback: TrainerCallback = GradualUnfreezing({}, epochs=1 / 3, steps_per_epoch=9)
    assert isinstance(callback, GradualUnfreezing)
    assert [callback.reached(step) for step in (0, 2, 3, 5, 6, 9)] == [0, 0, 1, 1, 2, 3]


def test_options_of_layers_are_refused_where_nothing_was_learnt_before(
    table_config: TableConfig, image_config: ImageConfig
) -> None:
    table = replace(table_config, training=replace(table_config.training, layer_lr_decay=0.9))
    with pytest.raises(
        UsageError, match=r"training\.layer_lr_decay is for .* but a table's network is new: leave it out"
    ):
        table.check()
    slow = replace(image_config.training, gradual_unfreezing=1.0)
    for model, why in (
        (replace(image_config.model, base="", architecture="resnet"), "this one is new"),
        (replace(image_config.model, trained="head"), "model.trained is head"),
    ):
        with pytest.raises(UsageError, match=rf"training\.gradual_unfreezing .*{why}"):
            replace(image_config, model=model, training=slow).check()
