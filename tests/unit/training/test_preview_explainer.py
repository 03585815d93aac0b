"""The preview explainer: sets by the Shapley kernel, guesses that add up, and a run that teaches it something."""

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from explicate.errors import UsageError
from explicate_training.config.config_file import parse_config
from explicate_training.interpretability.terms import absent
from explicate_training.interpretability.texts.explainer_network import (
    ExplainerConfig,
    ExplainerNetwork,
    load_explainer,
)
from explicate_training.interpretability.texts.preview_explainer import guesses, kernel_sets
from explicate_training.train import train


def test_sizes_of_sets_are_those_of_the_shapley_kernel_and_each_has_its_complement() -> None:
    sets = kernel_sets(np.full(2000, 5), 2, np.random.default_rng(0))
    np.testing.assert_array_equal(sets[1::2], ~sets[::2])
    sizes = Counter(sets.sum(axis=1).tolist())
    weights = {k: 1 / (k * (5 - k)) for k in range(1, 5)}
    for size, weight in weights.items():
        expected = weight / sum(weights.values())
        assert sizes[size] / len(sets) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / len(sets)))


def test_places_beyond_a_texts_words_are_never_present() -> None:
    sets = kernel_sets(np.array([2, 6]), 4, np.random.default_rng(0))
    assert not sets[:4, 2:].any()
    assert sets[:4].any(axis=1).all()


def test_guesses_sum_to_what_they_must_and_special_tokens_get_nothing() -> None:
    torch.manual_seed(0)
    network = ExplainerNetwork(ExplainerConfig(vocabulary=20, outputs=2))
    torch.nn.init.normal_(network.last.weight)
    batch = {
        "input_ids": torch.tensor([[1, 5, 6, 7, 2], [1, 8, 2, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "players": torch.tensor([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]]),
    }
    total = torch.randn(2, 4)
    found = guesses(network, batch, torch.tensor([0, 1]), total)
    torch.testing.assert_close(found.sum(dim=1), total)
    assert not found[1, 1].any()  # the second text has one word
    torch.testing.assert_close(found[1, 0], total[1])


def test_a_run_leaves_an_explainer_that_agrees_with_the_model(
    text_config: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    section = replace(absent(), explainer=True)
    config = replace(text_config, interpretability=section, training=replace(text_config.training, epochs=3))
    run = train(config)
    told = json.loads((run / "metrics.json").read_text())["interpretability"]["figures"]["explainer"]
    assert told["steps"] == 150
    assert told["agreement"] > 0.5  # the words "great" and "bad" are the label
    assert "explainer: guesses attributions after 150 steps" in capfd.readouterr().err
    network = load_explainer(run / "model")
    assert network is not None
    assert network.config.outputs == 3


def test_only_texts_have_one() -> None:
    with pytest.raises(UsageError, match=r"interpretability\.explainer is for texts"):
        parse_config('[data]\ntable = "a.csv"\n[interpretability]\nexplainer = true')
    with pytest.raises(UsageError, match=r"interpretability\.explainer must be true or false, not 1"):
        parse_config('[data]\ntrain = "a.csv"\n[interpretability]\nexplainer = 1')
