"""Losses, balance of classes and the loop for tables; the summary of the training rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from explicate_bundle.columns import TableRows
from explicate_training.loop.rows import BalancedOrder
from explicate_training.loop.trainer import one_thread
from explicate_training.table.background import summarise
from explicate_training.table.config import TableTrainingConfig
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.regression import Regression

CONFIG = TableTrainingConfig()
TARGETS = torch.tensor([1.0, -2.0, 0.5])
VALUES = torch.tensor([[[1.5], [0.0]], [[-2.0], [1.0]], [[0.0], [0.5]]])  # [rows, members, 1]
ERRORS = np.array([[0.5, -1.0], [0.0, 3.0], [-0.5, 0.0]])


@pytest.mark.parametrize(
    ("loss", "of_an_error"),
    [
        ("auto", np.square),
        ("mse", np.square),
        ("mae", np.abs),
        ("huber", lambda error: np.where(np.abs(error) <= 0.8, error**2 / 2, 0.8 * (np.abs(error) - 0.4))),
    ],
)
def test_regression_losses_follow_their_formula(loss: str, of_an_error: Any) -> None:
    computed = Regression().loss(np.zeros(3), 1, replace(CONFIG, loss=loss, huber_delta=0.8))
    assert computed({"logits": VALUES}, TARGETS).item() == pytest.approx(of_an_error(ERRORS).mean())
    mean = computed({"logits": VALUES.mean(dim=1)}, TARGETS).item()
    assert mean == pytest.approx(of_an_error(ERRORS.mean(axis=1)).mean())


def test_class_weights_weigh_cross_entropy_by_inverse_frequency() -> None:
    targets = np.array([0, 0, 0, 1])
    logits = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))  # [rows, members, classes]
    nll = -torch.log_softmax(logits, dim=2).numpy()[np.arange(4), :, targets]
    weight = np.array([4 / (2 * 3), 4 / (2 * 1)])[targets][:, np.newaxis] * np.ones((1, 3))
    loss = Classification().loss(targets, 2, replace(CONFIG, imbalance="class-weights"))
    labels = torch.from_numpy(targets)
    assert loss({"logits": logits}, labels).item() == pytest.approx((weight * nll).sum() / weight.sum(), rel=1e-5)
    plain = Classification().loss(targets, 2, CONFIG)
    assert plain({"logits": logits}, labels).item() == pytest.approx(nll.mean(), rel=1e-5)


@pytest.mark.parametrize(("imbalance", "rows_of_a_class"), [("over-sampling", 70), ("under-sampling", 10)])
def test_sampling_shows_every_class_equally_often(imbalance: str, rows_of_a_class: int) -> None:
    targets = np.array([0] * 70 + [1] * 10 + [2] * 20)
    order = BalancedOrder(targets, imbalance, seed=4)
    first = list(order)
    assert len(first) == len(order) == 3 * rows_of_a_class
    assert np.bincount(targets[first]).tolist() == [rows_of_a_class] * 3
    times = np.bincount(first, minlength=100)[70:80]
    assert times.max() - times.min() <= 1  # rows of a class are repeated equally
    assert list(order) == first
    order.set_epoch(1)
    assert sorted(order) != sorted(first)  # other rows in another epoch


def test_without_sampling_every_row_comes_once() -> None:
    for imbalance in ("none", "class-weights"):
        assert sorted(BalancedOrder(np.array([0] * 9 + [1]), imbalance, seed=0)) == list(range(10))


def test_regression_metrics_equal_those_of_scikit_learn() -> None:
    from sklearn import metrics

    stream = np.random.default_rng(0)
    targets = stream.normal(size=50) * 40 + 150
    predicted = targets + stream.normal(size=50) * 20
    ours = Regression().metrics(predicted[:, np.newaxis], targets, [], counted="rows")
    assert ours["r2"] == pytest.approx(metrics.r2_score(targets, predicted))
    assert ours["mae"] == pytest.approx(metrics.mean_absolute_error(targets, predicted))
    assert ours["rmse"] == pytest.approx(metrics.root_mean_squared_error(targets, predicted))
    median = np.full(50, np.median(targets))
    assert ours["median_mae"] == pytest.approx(metrics.mean_absolute_error(targets, median))
    assert Regression().metrics(predicted[:, np.newaxis], np.full(50, 3.0), [], counted="rows")["r2"] is None


def blobs(rows: int, *, lonely: int) -> TableRows:
    """Two clouds, rows far from all others, and a column that is mostly missing."""
    stream = np.random.default_rng(0)
    cloud = stream.integers(0, 2, rows)
    numbers = np.stack([cloud * 10 + stream.normal(size=rows), np.where(cloud, np.nan, 5.0)], axis=1)
    numbers[:lonely, 0] = 500 + 100 * np.arange(lonely)
    return TableRows(numbers.astype(np.float32), np.stack([cloud + 2, np.full(rows, 1)], axis=1))


def test_background_sums_up_clouds_with_means_and_codes_of_theirs() -> None:
    train = blobs(300, lonely=0)
    background = summarise(train, 2, seed=0)
    for row in range(2):
        inside = train.codes[:, 0] == background.codes[row, 0]
        assert background.weights[row] == pytest.approx(inside.mean())
        assert background.numbers[row, 0] == pytest.approx(train.numbers[inside, 0].mean(), abs=1e-4)
    missing = np.isnan(background.numbers[:, 1])
    assert missing.tolist() == (background.codes[:, 0] == 3).tolist()
    assert background.codes[:, 1].tolist() == [1, 1]


def test_a_category_that_is_rare_everywhere_is_in_the_background_too() -> None:
    stream = np.random.default_rng(0)
    numbers, rare = stream.normal(size=(600, 3)).astype(np.float32), (stream.random(600) < 0.25).astype(np.int64)
    background = summarise(TableRows(numbers, np.stack([rare] * 8, axis=1)), 20, seed=0)
    share = background.weights @ background.codes.mean(axis=1)
    assert share == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("rows", [1, 3, 7, 40, 300])
def test_background_never_holds_a_training_row(rows: int) -> None:
    train = blobs(rows, lonely=min(3, rows - 1))
    background = summarise(train, 20, seed=0)
    assert 1 <= len(background.weights) <= 20
    assert background.weights.sum() == pytest.approx(1)
    assert (background.weights * rows >= min(5, rows) - 1e-9).all()
    if rows > 1:
        known = train.numbers[:, 0]
        assert not set(background.numbers[:, 0].tolist()) & set(known.tolist())


def test_one_thread_is_one_inside_and_as_before_outside() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread(when=True):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with one_thread(when=False):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
