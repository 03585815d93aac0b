"""The terms of `[interpretability]` on toy models, whose losses are known by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explicate.errors import UsageError
from explicate_training.config.config_file import parse_config
from explicate_training.interpretability.additivity import Additivity, interactions
from explicate_training.interpretability.consistency import Consistency
from explicate_training.interpretability.masked_rows import MaskedRows
from explicate_training.interpretability.players import Batch, Players, drawn, of_share
from explicate_training.interpretability.step_loss import StepLoss
from explicate_training.interpretability.term import LossTerm
from explicate_training.tasks.registry import task_named

ROWS, COUNT = 32, 5
ASKED = ROWS // 2  # rows that additivity takes where absent players make a row shorter
Function = Callable[[Tensor], Tensor]


class Signs(Players):
    """Players are numbers; an absent one is 0."""

    def __init__(self, *, shorter: bool = True) -> None:
        self.shorter = shorter

    def counts(self, batch: Batch) -> Tensor:
        return torch.full((len(batch["x"]),), batch["x"].shape[1])

    def shown(self, batch: Batch, rows: Tensor, present: Tensor) -> dict[str, Tensor]:
        return {"x": batch["x"][rows] * present}


class Toy(nn.Module):
    """A function of numbers, float64 [rows, outputs], that keeps what it was asked."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.asked.append(x)
        return {"logits": self.scale * self.function(x)}


def additive(x: Tensor) -> Tensor:
    return (x * torch.arange(1, x.shape[1] + 1)).sum(dim=1, keepdim=True) + 3


def product(x: Tensor) -> Tensor:
    """XOR of signs: an interaction of all players and nothing else."""
    return x.prod(dim=1, keepdim=True)


def signs(count: int = COUNT, rows: int = ROWS) -> dict[str, Tensor]:
    x = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], size=(rows, count)))
    return {"x": x, "labels": torch.zeros(rows, dtype=torch.float64)}


def nothing(outputs: Any, labels: Tensor) -> Tensor:
    return outputs["logits"].sum() * 0


def started(*terms: Any) -> dict[str, LossTerm]:
    run: Any = SimpleNamespace(config=SimpleNamespace(interpretability=SimpleNamespace(form="free")))
    return {term.name: term.start(run, nothing) for term in terms}


def step_loss(*terms: Any, players: Players | None = None, task: str = "regression", loss: Any = nothing) -> StepLoss:
    hides = any(isinstance(term, MaskedRows) for term in terms)
    return StepLoss(loss, started(*terms), task=task_named(task), players=players or Signs(), seed=0, hides=hides)


def figure(function: Function, *terms: Any, batch: dict[str, Tensor] | None = None, **more: Any) -> tuple[float, Toy]:
    """The last term's loss in one step, and the model with what it was asked."""
    model, steps = Toy(function), step_loss(*terms, **more)
    steps.loss(model, batch or signs(), step=1)
    return steps.figures().get(terms[-1].name, 0.0), model


def test_an_additive_function_has_no_penalty_and_an_interaction_the_one_of_its_second_differences() -> None:
    assert figure(additive, Additivity(1.0))[0] == pytest.approx(0, abs=1e-24)
    value, model = figure(product, Additivity(1.0), batch=signs(count=2))
    asked = torch.cat(model.asked)[ROWS:]  # after the objective's own answers
    first, second, empty, unions = asked.split([ASKED, ASKED, ASKED, len(asked) - 3 * ASKED])
    assert not empty.any()
    # Second differences of a product of two are ±1 where each of S and T has one of them, else 0.
    parted = (first.abs().sum(dim=1) == 1) & (second.abs().sum(dim=1) == 1)
    variance = float((first + second).prod(dim=1).var(correction=0))  # of the function of S∪T
    assert value == pytest.approx(int(parted.sum()) / ASKED / variance, rel=1e-12)
    assert len(unions) <= ASKED // 2 + 1


def test_second_differences_are_taken_of_all_outputs_together_and_the_variance_has_no_gradient() -> None:
    both = torch.tensor([[1.0, 0.0], [3.0, 0.0]], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros((2, 2), dtype=torch.float64)
    value = interactions(both, zero, zero, zero)
    assert value.item() == pytest.approx((1 + 9) / 2 / 1.0)
    value.backward()
    assert both.grad is not None
    # d/df of mean f² / 1: the variance counts as a constant.
    np.testing.assert_allclose(both.grad.numpy(), [[1.0, 0.0], [3.0, 0.0]])
    tiny = 1e-3 * both.detach()
    assert float(interactions(tiny, zero, zero, zero)) == pytest.approx(5e-6 / 0.01)  # the least variance


def test_the_logits_of_classes_are_centred_and_those_of_labels_are_not() -> None:
    def shifted(x: Tensor) -> Tensor:  # an interaction that all classes share changes no probability
        return additive(x) * torch.tensor([1.0, -1.0]) + product(x)

    of_classes, _ = figure(shifted, Additivity(1.0), task="classification")
    of_labels, _ = figure(shifted, Additivity(1.0), task="multi-label")
    assert of_classes == pytest.approx(0, abs=1e-24)
    assert of_labels > 1e-4


@pytest.mark.parametrize(("shorter", "views"), [(True, 3 * ASKED), (False, 3 * 11)])
def test_additivity_asks_for_half_an_answer_a_row_that_gets_shorter_and_else_for_one(shorter: bool, views: int) -> None:
    terms = (MaskedRows(0.5), Additivity(1.0))
    _, model = figure(additive, *terms, players=Signs(shorter=shorter))
    asked = torch.cat(model.asked)
    assert views <= len(asked) - ROWS <= views + ROWS // 4  # unions that the loss has not asked for, by chance
    players = (asked != 0).sum(dim=1)
    if shorter:  # |S| + |T| = |S∪T|
        assert int(players[ROWS:].sum()) <= COUNT * ASKED


def test_half_of_the_unions_are_all_players_whatever_is_masked() -> None:
    for fraction in (0.0, 0.5, 1.0):
        whole = 0
        for step in range(20):
            model, steps = Toy(additive), step_loss(MaskedRows(fraction), Additivity(1.0))
            steps.loss(model, signs(), step=step)
            asked = torch.cat(model.asked)[ROWS:]
            union = asked[:ASKED] + asked[ASKED : 2 * ASKED]
            whole += int((union != 0).all(dim=1).sum())
        assert 0.48 <= whole / 20 / ASKED <= 0.62  # of the others, uniform shares, one in six has all five players, too


def test_masked_rows_are_a_share_of_the_batch_and_hide_a_uniform_share_of_players() -> None:
    sizes = np.zeros(COUNT + 1)
    for step in range(200):
        model = Toy(additive)
        step_loss(MaskedRows(0.5)).loss(model, signs(), step=step)
        shown = (torch.cat(model.asked) != 0).sum(dim=1).numpy()
        assert (shown == COUNT).sum() >= ROWS // 2
        sizes += np.bincount(shown, minlength=COUNT + 1)
    hidden = sizes / (200 * ROWS)
    hidden[COUNT] -= 0.5
    np.testing.assert_allclose(hidden, 0.5 / (COUNT + 1), atol=0.02)


def test_players_of_a_given_share_and_places_beyond_a_row_are_kept() -> None:
    counts = np.array([10, 4, 0])
    stream = np.random.default_rng(0)
    present = of_share(counts, 0.3, stream)
    assert (~present).sum(axis=1).tolist() == [3, 1, 0]
    assert drawn(counts, stream)[1, 4:].all()


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("classification", lambda p, q: (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()),
        ("multi-label", lambda p, q: (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()),
    ],
)
def test_consistency_is_the_divergence_of_the_answers(task: str, expected: Any) -> None:
    def function(x: Tensor) -> Tensor:
        return torch.cat([0.3 * additive(x), torch.zeros((len(x), 1))], dim=1)

    value, model = figure(function, Consistency(1.0), task=task)
    whole, masked = (0.3 * additive(x).squeeze(1).numpy() for x in torch.cat(model.asked).chunk(2))
    p, q = (1 / (1 + np.exp(-one)) for one in (whole, masked))
    assert value == pytest.approx(expected(p, q), rel=1e-9)
    value, model = figure(additive, Consistency(1.0), task="regression")
    whole, masked = (additive(x).squeeze(1).numpy() for x in torch.cat(model.asked).chunk(2))
    assert value == pytest.approx(np.square(whole - masked).mean() / 2, rel=1e-12)


def test_consistency_asks_once_more_for_each_row_that_was_seen_whole() -> None:
    _, model = figure(additive, MaskedRows(0.5), Consistency(1.0))
    asked = torch.cat(model.asked)
    assert len(asked) - ROWS == int((asked[:ROWS] != 0).all(dim=1).sum())


def test_steps_repeat_by_their_number_and_one_more_term_does_not_change_what_others_draw() -> None:
    terms = (MaskedRows(0.5), Additivity(0.5))
    first, second = (figure(product, *terms)[1].asked for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
    alone = figure(product, MaskedRows(0.5))[1].asked
    assert torch.equal(first[0], alone[0])
    model, steps = Toy(product), step_loss(*terms)
    steps.loss(model, signs(), step=2)
    assert not torch.equal(model.asked[0], first[0])


def test_gradients_flow_through_the_terms_and_their_weights_scale_them() -> None:
    gradients = []
    for weight in (0.5, 1.0):
        model, steps = Toy(product), step_loss(Additivity(weight))
        steps.loss(model, signs(count=2), step=1).backward()
        assert model.scale.grad is not None
        gradients.append(float(model.scale.grad))
    assert gradients[0] > 0
    assert gradients[1] == pytest.approx(2 * gradients[0])


def test_what_each_term_takes_is_a_share_of_the_whole() -> None:
    steps = step_loss(MaskedRows(0.5), Additivity(1.0), Consistency(1.0))
    steps.loss(Toy(additive), signs(), step=1)
    shares = steps.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares["additivity"], shares["consistency"], shares["objective"]) > 0


def test_a_layer_that_normalises_over_a_batch_answers_the_terms_with_what_it_has_learnt() -> None:
    class Normalised(Toy):
        def __init__(self) -> None:
            super().__init__(additive)
            self.norm = nn.BatchNorm1d(1, dtype=torch.float64)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.norm(super().forward(x)["logits"])}

    model, steps = Normalised().train(), step_loss(Additivity(1.0), players=Signs(shorter=False))
    steps.loss(model, signs(), step=1)
    assert len(torch.cat(model.asked)) == 2 * ROWS  # S∪T, S, T and nothing of a fourth of the rows
    assert int(model.norm.num_batches_tracked) == 1  # by the objective's own answers
    assert model.norm.training
    assert steps.figures()["additivity"] == pytest.approx(0, abs=1e-24)


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("masked_fraction = 1.5", "interpretability.masked_fraction must be at most 1, not 1.5"),
        ("additivity = -1", "interpretability.additivity must be at least 0, not -1"),
        ('consistency = "much"', "interpretability.consistency must be a number, not 'much'"),
        ("aditivity = 0.1", "did you mean interpretability.additivity?"),
    ],
)
def test_a_wrong_key_is_named(toml: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("?", r"\?").replace(".", r"\.")):
        parse_config(f'[data]\ntrain = "a.csv"\n[interpretability]\n{toml}')
