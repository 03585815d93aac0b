"""Heads and channels that a model does without: silenced and taken out, the answers are the same."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    MobileNetV2Config,
    ResNetConfig,
    ViTConfig,
)

from explicate_training.loop.pruned import RECORD, choose, layers, record, silence, take_out_silenced

TEXTS: dict[str, Any] = {
    "bert": BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32),
    "distilbert": DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=32),
}
IMAGES: dict[str, Any] = {
    "vit": ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, image_size=16,
                     patch_size=4),
    "resnet": ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
    "bottleneck": ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="bottleneck"),
    "mobilenet-v2": MobileNetV2Config(depth_multiplier=0.25, image_size=32, tf_padding=False),
}  # fmt: skip


def model_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    made = AutoModelForSequenceClassification if kind in TEXTS else AutoModelForImageClassification
    model: nn.Module = made.from_config((TEXTS | IMAGES)[kind]).eval()
    for module in model.modules():  # as if it were trained: no two channels are alike
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.get_buffer("running_mean").uniform_(-0.1, 0.1)
    return model


@torch.no_grad()
def answers(model: nn.Module, kind: str) -> torch.Tensor:
    stream = torch.Generator().manual_seed(1)
    if kind in TEXTS:
        ids = torch.randint(5, 50, (3, 9), generator=stream)
        mask = torch.tensor([[1] * 9, [1] * 6 + [0] * 3, [1] * 2 + [0] * 7])
        return model(input_ids=ids, attention_mask=mask).logits
    return model(pixel_values=torch.rand((3, 3, 32 if kind != "vit" else 16, 32 if kind != "vit" else 16),
                                         generator=stream)).logits  # fmt: skip


def weights(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("kind", [*TEXTS, *IMAGES])
def test_what_is_taken_out_was_silent(kind: str) -> None:
    model = model_of(kind)
    before = answers(model, kind)
    chosen = choose(layers(model), 0.5)
    assert {name: len(units) for name, units in chosen.items()} == {
        layer.name: int(layer.count * 0.5 + 0.5) for layer in layers(model)
    }
    silence(model, chosen)
    silent = answers(model, kind)
    assert not torch.allclose(before, silent, atol=1e-6)
    record(model, chosen)
    smaller = copy.deepcopy(model)
    assert take_out_silenced(smaller) == sum(map(len, chosen.values()))
    torch.testing.assert_close(answers(smaller, kind), silent, rtol=0, atol=1e-5)
    assert weights(smaller) < weights(model)
    assert {layer.count for layer in layers(smaller)} == {
        layer.count - len(chosen.get(layer.name, ())) for layer in layers(model)
    }


def test_the_least_important_head_is_one_whose_values_are_small() -> None:
    model = model_of("bert")
    first, *_ = layers(model)
    with torch.no_grad():
        first.makers[-1].weight[8:16] *= 1e-3  # the second head
    assert choose([first], 0.25) == {first.name: [1]}


def test_training_on_leaves_silent_weights_at_zero() -> None:
    model = model_of("bert")
    chosen = choose(layers(model), 0.5)
    silence(model, chosen, learning=True)
    for optimiser in (
        torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1),
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    ):
        model(input_ids=torch.arange(5, 14)[None], labels=torch.tensor([1])).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    for layer in layers(model):
        assert not layer.reader.weight[:, layer.features(chosen[layer.name])].any()
        assert layer.reader.weight.any()


def test_one_unit_of_each_layer_stays() -> None:
    found = layers(model_of("bert"))
    assert all(len(units) == 3 for units in choose(found, 0.99).values())
    assert choose(found, 0.0) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"nowhere": [0]}, "does not have"), ({"": [9]}, "does not have"), ({"": [0]}, "their weights are not 0")],
)
def test_a_record_that_does_not_fit_is_refused(wrong: dict[str, list[int]], said: str) -> None:
    model = model_of("bert")
    first, *_ = layers(model)
    setattr(model.config, RECORD, {name or first.name: units for name, units in wrong.items()})
    with pytest.raises(ValueError, match=said):
        take_out_silenced(model)


def test_an_unknown_architecture_has_nothing_to_take_out() -> None:
    assert layers(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))) == []
