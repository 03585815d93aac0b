"""Rows weigh by their group and label as the formulas say, and the losses weigh them so."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from explicate.errors import UsageError
from explicate_training.fairness.group_options import FairnessOptions
from explicate_training.fairness.weights import group_weights, side_groups
from explicate_training.table.config import TableTrainingConfig
from explicate_training.tasks.registry import task_named

CLASSES, LABELS, NUMBERS = (task_named(name) for name in ("classification", "multi-label", "regression"))
REWEIGHING = FairnessOptions(over="sex")
ALIKE = FairnessOptions(over="sex", method="group_weights")
# 10 rows: 4 men with the job and 1 without, 2 women with it and 3 without.
GROUPS = ["m"] * 5 + ["f"] * 5
TARGETS = np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0])


def test_reweighing_is_the_expected_share_over_the_observed_one():
    weights = group_weights(REWEIGHING, CLASSES, GROUPS, TARGETS, ["no", "yes"])
    by_hand = {("m", 1): 5 * 6 / (10 * 4), ("m", 0): 5 * 4 / (10 * 1), ("f", 1): 5 * 6 / (10 * 2), ("f", 0): 20 / 30}
    expected = [by_hand[cell] for cell in zip(GROUPS, TARGETS.tolist(), strict=True)]
    np.testing.assert_allclose(weights.of(GROUPS, TARGETS), expected, rtol=1e-6)
    told = {(one.group, one.label): (one.rows, one.weight) for one in weights.as_message().weights}
    assert told["m", "yes"] == (4, 0.75)
    assert told["f", "no"] == (3, pytest.approx(2 / 3))


def test_group_and_label_are_independent_once_rows_are_reweighed():
    stream = np.random.default_rng(0)
    groups = stream.choice(["a", "b", "c"], 500, p=[0.6, 0.3, 0.1]).tolist()
    targets = (stream.random(500) < np.array([{"a": 0.2, "b": 0.5, "c": 0.8}[one] for one in groups])).astype(int)
    weights = group_weights(REWEIGHING, CLASSES, groups, targets, ["no", "yes"]).of(groups, targets).astype(float)
    assert weights.mean() == pytest.approx(1)
    shares = [np.average(targets, weights=weights * (np.array(groups) == one)) for one in "abc"]
    assert shares == pytest.approx([targets.mean()] * 3)


def test_all_groups_weigh_alike_with_group_weights():
    groups = ["a"] * 8 + ["b"] * 2
    weights = group_weights(ALIKE, NUMBERS, groups, np.arange(10.0), [])
    found = weights.of(groups, np.arange(10.0))
    assert found.tolist() == [0.625] * 8 + [2.5] * 2  # 10 / (2 * 8), 10 / (2 * 2)
    assert [(one.group, one.label, one.rows) for one in weights.as_message().weights] == [("a", "", 8), ("b", "", 2)]


def test_of_several_labels_each_has_its_own_weights():
    targets = np.stack([TARGETS, 1 - TARGETS], axis=1)
    weights = group_weights(REWEIGHING, LABELS, GROUPS, targets, ["hired", "refused"])
    one = group_weights(REWEIGHING, CLASSES, GROUPS, TARGETS, ["no", "yes"]).of(GROUPS, TARGETS)
    np.testing.assert_allclose(weights.of(GROUPS, targets), np.stack([one, one], axis=1))
    assert {one.label for one in weights.as_message().weights} == {"hired", "not hired", "refused", "not refused"}


def test_a_group_and_class_that_training_does_not_have_weighs_one():
    weights = group_weights(REWEIGHING, CLASSES, GROUPS, TARGETS, ["no", "yes"])
    assert weights.of(["x", "m"], np.array([1, 1])).tolist() == [1.0, 0.75]


@pytest.mark.parametrize(
    ("options", "task", "groups", "otherwise"),
    [
        (REWEIGHING, CLASSES, ["m"] * 10, "all training rows have 'm'"),
        (REWEIGHING, NUMBERS, GROUPS, "is of classes and labels, and this is a regression"),
        (REWEIGHING, CLASSES, [f"g{number}" for number in range(60)], "makes 60 groups"),
    ],
)
def test_groups_that_cannot_be_weighed_are_refused(options, task, groups, otherwise):
    with pytest.raises(UsageError, match=otherwise):
        group_weights(options, task, groups, np.arange(len(groups)) % 2, ["no", "yes"])


def test_data_without_columns_besides_are_refused():
    with pytest.raises(UsageError, match=r"fairness\.over: photos has no columns besides"):
        side_groups(None, "photos")
    assert side_groups(np.array(["a", None], dtype=object), "photos") == ["a", "missing"]


def training(**changes: object) -> TableTrainingConfig:
    return TableTrainingConfig(**changes)


@pytest.mark.parametrize("members", [0, 3])
@pytest.mark.parametrize("imbalance", ["none", "class-weights"])
def test_a_weight_of_one_changes_no_loss_and_one_of_two_is_the_row_twice(members, imbalance):
    torch.manual_seed(0)
    shape = (6, members, 3) if members else (6, 3)
    for task, targets in (
        (CLASSES, torch.tensor([0, 1, 2, 0, 1, 2])),
        (LABELS, torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 0], [1, 0, 1]])),
    ):
        loss, logits = task.loss(targets.numpy(), 3, training(imbalance=imbalance)), torch.randn(shape)
        plain = loss({"logits": logits}, targets)
        torch.testing.assert_close(loss({"logits": logits}, targets, weights=torch.ones(6)), plain)
        doubled = loss({"logits": logits}, targets, weights=torch.tensor([2.0, 2.0, 0, 1, 1, 0]))
        rows = torch.tensor([0, 0, 1, 1, 3, 4])
        if task is LABELS or imbalance == "none":
            torch.testing.assert_close(doubled, loss({"logits": logits[rows]}, targets[rows]))


def test_a_regressions_error_is_weighed_by_row():
    targets, values = torch.arange(4.0), torch.tensor([[0.5], [1.0], [0.0], [2.0]])
    for name, one in (("mse", functional.mse_loss), ("mae", functional.l1_loss)):
        loss = NUMBERS.loss(targets.numpy(), 1, training(loss=name))
        weights = torch.tensor([2.0, 1.0, 1.0, 0.0])
        expected = (weights * one(values[:, 0], targets, reduction="none")).mean()
        torch.testing.assert_close(loss({"logits": values}, targets, weights=weights), expected)
        of_members = loss({"logits": values[:, None].expand(4, 2, 1)}, targets, weights=weights)
        torch.testing.assert_close(of_members, expected)
