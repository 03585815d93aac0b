"""Intervals of metrics: draws of rows, and what each objective makes of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from explicate_bundle.outcomes.resampling import draws, interval, intervals, mean, resampled
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.multi_label import MultiLabel
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import OF_CLASSES, Task

ROWS = 60
Answered = tuple[Task, NDArray[Any], NDArray[Any], list[str]]


def classes(count: int) -> Answered:
    stream = np.random.default_rng(count)
    targets = stream.choice(count, ROWS, p=np.arange(1, count + 1) / np.arange(1, count + 1).sum())
    logits = np.round(stream.normal(size=(ROWS, count)), 1)  # with ties
    logits[np.arange(ROWS), targets] += 0.7
    return Classification(), logits, targets, [f"c{index}" for index in range(count)]


def flags() -> Answered:
    stream = np.random.default_rng(5)
    targets = (stream.random((ROWS, 3)) < [0.5, 0.2, 0.1]).astype(np.int64)
    return MultiLabel(), np.round(stream.normal(size=(ROWS, 3)) + targets, 1), targets, ["a", "b", "c"]


def values() -> Answered:
    stream = np.random.default_rng(6)
    targets = 1e5 + stream.normal(size=ROWS)  # far from 0: variances must not lose their digits
    return Regression(), (targets + stream.normal(size=ROWS))[:, np.newaxis], targets, []


@pytest.mark.parametrize(
    "answered",
    [lambda: classes(2), lambda: classes(4), flags, values],
    ids=["two classes", "four classes", "labels", "numbers"],
)
def test_metrics_of_draws_are_the_metrics_of_the_rows_drawn(answered: Callable[[], Answered]) -> None:
    task, outputs, targets, labels = answered()
    counts = next(draws(ROWS, count=25))
    fast, slow = (kind.resampled(task, outputs, targets, labels, counts) for kind in (type(task), Task))
    assert set(task.titles) <= set(fast)
    for name, expected in slow.items():
        known = np.isfinite(expected)  # the AUROC of a draw without some class is that of the others
        assert known.any()
        np.testing.assert_allclose(fast[name][known], expected[known], rtol=1e-4, atol=1e-6, err_msg=name)
    for name in task.class_titles:
        of_classes = fast[f"{OF_CLASSES}{name}"]
        for draw in range(5):
            rows = np.repeat(np.arange(ROWS), counts[draw].astype(int))
            per_class = task.metrics(outputs[rows], targets[rows], labels, counted="rows")["per_class"]
            wanted = [np.nan if per_class[label][name] is None else per_class[label][name] for label in labels]
            np.testing.assert_allclose(of_classes[draw], wanted, atol=1e-6)


def test_each_draw_has_as_many_rows_as_there_are_and_a_seed_repeats_them() -> None:
    blocks = list(draws(5_000, seed=1))
    counts = np.concatenate(blocks)
    assert len(blocks) > 1
    assert counts.shape == (2_000, 5_000)
    assert set(counts.sum(axis=1)) == {5_000}
    np.testing.assert_array_equal(counts, np.concatenate(list(draws(5_000, seed=1))))
    # How often a row is drawn is nearly of a Poisson distribution with mean 1.
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=2e-3)


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution() -> None:
    right = np.arange(400) < 320
    samples = resampled(lambda counts: {"accuracy": mean(right, counts)}, 400)["accuracy"]
    ends = interval(samples)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert ends == pytest.approx((0.8 - half, 0.8 + half), abs=0.004)


def test_what_is_undefined_has_no_interval() -> None:
    task, outputs, targets, labels = classes(3)
    targets = np.where(targets == 0, 1, targets)  # no row of the first class: its AUROC, and the mean, are undefined
    metrics = task.metrics(outputs, targets, labels, counted="rows")
    found = intervals(resampled(lambda counts: task.resampled(outputs, targets, labels, counts), ROWS), metrics)
    assert metrics["auroc"] is None
    assert "auroc" not in found
    assert found["accuracy"][0] < metrics["accuracy"] < found["accuracy"][1]


def test_log_loss_and_calibration_are_those_of_the_probabilities() -> None:
    task, outputs, targets, labels = classes(3)
    everything = task.resampled(outputs, targets, labels, np.ones((1, ROWS), dtype=np.float32))
    assert everything["log_loss"][0] == pytest.approx(-log_softmax(outputs, axis=1)[np.arange(ROWS), targets].mean())
