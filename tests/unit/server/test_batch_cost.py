"""The cost of a batch: measured on models whose times follow a formula, with and without noise."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explicate_server.runtime.batch_cost import TARGET_S, BatchCost, calibrate, stretched
from explicate_server.runtime.queue import Row

SUGGESTED = 384
LEAST, MOST = SUGGESTED // 8, SUGGESTED * 4


class TimedModel:
    """Takes fixed + token·rows·length + pair·rows·length² seconds on its own clock, times a factor of noise."""

    def __init__(self, fixed_s: float, token_s: float, pair_s: float, noise: Callable[[], float] = lambda: 1.0) -> None:
        self.now_s = 0.0
        self.longest_s = 0.0
        self._coefficients = fixed_s, token_s, pair_s
        self._noise = noise

    def seconds(self, rows: int, length: int) -> float:
        fixed_s, token_s, pair_s = self._coefficients
        return fixed_s + token_s * rows * length + pair_s * rows * length**2

    def run(self, rows: list[Row]) -> None:
        elapsed_s = self.seconds(len(rows), max(row.length for row in rows)) * self._noise()
        self.longest_s = max(self.longest_s, elapsed_s)
        self.now_s += elapsed_s

    def calibrated(self, max_length: int = 512) -> BatchCost:
        return calibrate(
            self.run,
            lambda length: Row(length, np.zeros((1, length))),
            batch_tokens=SUGGESTED,
            max_length=max_length,
            clock=lambda: self.now_s,
        )


SHAPES = [(1, 8), (3, 20), (12, 32), (40, 32), (2, 300), (7, 512)]


@pytest.mark.parametrize(
    "coefficients", [(0.004, 1.2e-4, 1.5e-7), (0.0005, 1e-5, 1e-8), (0.0, 1e-4, 0.0), (0.01, 2e-4, 2e-6)]
)
def test_a_model_without_noise_is_predicted_at_shapes_that_were_not_measured(
    coefficients: tuple[float, float, float],
) -> None:
    model = TimedModel(*coefficients)
    cost = model.calibrated()
    for rows, length in SHAPES:
        assert cost.seconds(rows, length) == pytest.approx(model.seconds(rows, length), rel=1e-6)


def test_a_batch_is_the_most_rows_that_stay_short_at_every_length() -> None:
    model = TimedModel(0.004, 1.2e-4, 1.5e-7)
    cost = model.calibrated()
    for length in (8, 20, 64, 128, 200):
        rows = cost.most_rows(length)
        assert model.seconds(rows, length) <= TARGET_S < model.seconds(rows + 1, length)
    assert cost.most_rows(512) == 1


def test_a_fast_model_is_bounded_by_tokens_and_a_slow_one_keeps_some() -> None:
    assert TimedModel(1e-4, 1e-7, 0.0).calibrated().most_rows(16) == MOST // 16
    assert TimedModel(0.05, 0.01, 0.0).calibrated().most_rows(16) == LEAST // 16


def test_a_runtime_whose_batches_cost_much_each_spends_nine_tenths_of_a_batch_on_rows() -> None:
    model = TimedModel(0.05, 5e-4, 0.0)
    rows = model.calibrated().most_rows(16)
    assert model.seconds(rows, 16) - model.seconds(0, 16) == pytest.approx(9 * 0.05, rel=0.1)


@given(st.lists(st.floats(0.01, 1000.0), min_size=1, max_size=60), st.sampled_from([16, 128, 512]))
def test_no_noise_makes_a_batch_leave_its_bounds(factors: list[float], max_length: int) -> None:
    noise = iter(factors * 60)
    cost = TimedModel(0.004, 1.2e-4, 1.5e-7, lambda: next(noise)).calibrated(max_length)
    for length in (1, 8, 32, 100, 512):
        assert max(1, LEAST // length) <= cost.most_rows(length) <= max(1, MOST // length)


def test_a_clock_that_stands_still_leaves_the_runtimes_own_bound() -> None:
    cost = TimedModel(0.0, 0.0, 0.0).calibrated()
    assert [cost.most_rows(length) for length in (1, 32, 512)] == [SUGGESTED, SUGGESTED // 32, 1]


@pytest.mark.parametrize("token_s", [1e-6, 1e-4, 1e-2, 1.0])
def test_calibration_takes_half_a_second_and_at_most_one_batch_more(token_s: float) -> None:
    model = TimedModel(0.004, token_s, 0.0)
    model.calibrated()
    assert model.now_s <= 0.5 + model.longest_s


def test_a_machine_that_becomes_slower_gets_shorter_batches_and_longer_ones_when_it_recovers() -> None:
    model = TimedModel(0.001, 1.2e-4, 1.5e-7)
    cost = model.calibrated()
    usual = cost.most_rows(32)
    for _ in range(200):
        cost.observe(8, 32, 2.5 * model.seconds(8, 32))
    assert cost.slowdown == pytest.approx(2.5, rel=0.01)
    assert model.seconds(cost.most_rows(32), 32) * 2.5 <= TARGET_S
    for _ in range(200):
        cost.observe(8, 32, model.seconds(8, 32))
    assert cost.most_rows(32) == usual


def test_one_batch_that_stalls_changes_little_and_a_stalled_machine_is_bounded() -> None:
    cost = TimedModel(0.004, 1.2e-4, 1.5e-7).calibrated()
    cost.observe(8, 32, 1000.0)
    assert cost.slowdown < 1.05
    for _ in range(1000):
        cost.observe(8, 32, 1000.0)
    assert cost.slowdown == 4.0


def test_an_unmeasured_cost_is_the_tokens_alone_and_does_not_learn() -> None:
    cost = BatchCost.unmeasured(64)
    for _ in range(10):
        cost.observe(8, 8, 100.0)
    assert [cost.most_rows(length) for length in (4, 8, 64, 500)] == [16, 8, 1, 1]


def test_a_stretched_row_has_the_length_and_only_the_rows_own_tokens() -> None:
    row = Row(3, np.array([[1, 2, 3], [7, 8, 9]]))
    assert stretched(row, 5).values.tolist() == [[1, 2, 3, 1, 2], [7, 8, 9, 7, 8]]
    assert stretched(row, 2).values.tolist() == [[1, 2], [7, 8]]
