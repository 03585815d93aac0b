"""What a device is best at: found on models whose times follow a formula, on a clock of their own."""

import numpy as np
import pytest

from explicate_server.device import Device
from explicate_server.runtime.batch_cost import TARGET_S
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.devices.tuning import device_cost, fewest_lanes, full_batch_tokens, tuned
from explicate_server.runtime.model_runtime import Feeds
from explicate_server.runtime.queue import Row


class LaunchBound:
    """A batch takes what it launches, or what it computes, whichever is longer; and has the memory for some tokens."""

    def __init__(self, *, launch_s: float, token_s: float, memory_tokens: int = 1 << 30) -> None:
        self.now_s = 0.0
        self.launch_s, self.token_s, self.memory_tokens = launch_s, token_s, memory_tokens
        self.tokens: list[int] = []

    def clock(self) -> float:
        return self.now_s

    def run(self, rows: list[Row]) -> None:
        tokens = len(rows) * max(row.length for row in rows)
        self.tokens.append(tokens)
        if tokens > self.memory_tokens:
            raise DeviceOutOfMemory("Failed to allocate memory for requested buffer")
        self.now_s += max(self.launch_s, tokens * self.token_s)


def row_of(length: int) -> Row:
    return Row(length, np.zeros((1, length)))


def searched(device: LaunchBound, *, max_length: int = 512) -> int:
    return full_batch_tokens(device.run, row_of, first_tokens=2048, max_length=max_length, clock=device.clock)


@pytest.mark.parametrize("exponent", [10, 12, 14, 16])
def test_a_full_batch_is_the_smallest_that_computes_as_long_as_it_launches(exponent: int) -> None:
    device = LaunchBound(launch_s=2e-3, token_s=2e-3 / 2**exponent)
    assert searched(device) == 2**exponent
    assert max(device.tokens) <= 4 * 2**exponent, "two steps without a gain end the search"


def test_a_batch_stays_short_enough_to_wait_for_however_much_more_would_be_faster() -> None:
    device = LaunchBound(launch_s=0.05, token_s=1e-9)
    assert searched(device) == 256, "the first one already takes longer than a Predict may wait"
    slow = LaunchBound(launch_s=1e-4, token_s=TARGET_S / 5000)
    assert searched(slow) <= 5000 * 2


def test_the_search_ends_where_memory_does() -> None:
    device = LaunchBound(launch_s=1e-3, token_s=1e-9, memory_tokens=5000)
    assert searched(device) == 4096
    assert searched(LaunchBound(launch_s=1e-3, token_s=1e-9, memory_tokens=10)) == 64, "a row of middling length"


def test_rows_of_one_length_are_searched_in_that_length() -> None:
    device = LaunchBound(launch_s=1e-3, token_s=1e-3 / 1024)
    assert searched(device, max_length=4) == 1024
    assert all(tokens % 4 == 0 for tokens in device.tokens)


def test_cost_on_a_device_is_bounded_by_what_was_found_and_by_memory() -> None:
    device = LaunchBound(launch_s=1e-3, token_s=1e-3 / 1024)
    cost = device_cost(device.run, row_of, tokens=1024, max_length=512, clock=device.clock)
    assert cost.most_rows(64) == 16
    tight = LaunchBound(launch_s=1e-3, token_s=1e-6, memory_tokens=700)
    cost = device_cost(tight.run, row_of, tokens=2048, max_length=512, clock=tight.clock)
    assert cost.most_rows(1) <= 700
    rows = cost.most_rows(64)
    tight.run([row_of(64)] * rows)  # fits


@pytest.mark.parametrize(
    ("rates", "lanes"),
    [({1: 100.0}, 1), ({1: 100.0, 2: 108.0}, 1), ({1: 100.0, 2: 115.0}, 2), ({1: 100.0, 2: 0.0}, 1)],
)
def test_another_lane_must_pay(rates: dict[int, float], lanes: int) -> None:
    assert fewest_lanes(rates) == lanes


class Counting:
    """A runtime on a device, only as far as tuning asks it."""

    name, precision, batch_tokens, lanes = "onnxruntime-fake", "fp32", 256, 2
    device = Device("fake", 0)

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.settled: list[int] = []

    def run(self, feeds: Feeds) -> None:
        self.ran.append(len(feeds["x"]))

    def settle(self, feeds: Feeds) -> None:
        self.settled.append(len(feeds["x"]))


def test_an_instance_is_tuned_with_real_threads_and_keeps_to_the_runtimes_lanes() -> None:
    runtime = Counting()
    instance = tuned(
        runtime,  # type: ignore[arg-type]
        lambda rows: {"x": np.zeros((len(rows), rows[0].length))},
        row_of,
        batch_tokens=256,
        max_length=64,
    )
    assert instance.runtime is runtime
    assert 1 <= instance.lanes <= 2
    assert 1 <= instance.cost.most_rows(64) * 64 <= 256 * 64
    assert runtime.ran
    assert runtime.settled == [instance.cost.most_rows(64)], "once, with a full batch"
