"""Batches so short that the event loop runs them itself."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from explicate_server.device import CPU
from explicate_server.errors import ModelFault
from explicate_server.registry.loading import may_loop
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.model_runtime import Feeds
from explicate_server.runtime.queue import Row

CRASH = 9


class Quick:
    """Doubles numbers; notes which thread ran which of them, and can be held."""

    name, device, precision = "quick", CPU, "fp32"
    batch_tokens, lanes = 64, 1
    nodes = cpu_nodes = None

    def __init__(self) -> None:
        self.runs: list[tuple[bool, list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()

    def settle(self, feeds: Feeds) -> None:
        raise NotImplementedError

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        numbers = feeds["x"]
        self.runs.append((threading.current_thread() is threading.main_thread(), numbers.tolist()))
        self.gate.wait()
        if (numbers == CRASH).any():
            raise RuntimeError("a row the model chokes on")
        return 2.0 * numbers[:, np.newaxis].astype(np.float32)


Make = Callable[[float], Batcher]


@pytest.fixture
def quick() -> Quick:
    return Quick()


@pytest.fixture
async def make(quick: Quick) -> AsyncIterator[Make]:
    """Makes a batcher of which every batch should take so many seconds."""
    made: list[Batcher] = []

    def of_seconds(seconds: float) -> Batcher:
        cost = BatchCost(fixed_s=seconds, token_s=0.0, pair_s=0.0, least_tokens=64, most_tokens=64, adapts=False)
        instance = Instance(quick, cost)
        instance.runs_here = True
        made.append(
            Batcher(
                [instance],
                lambda rows: {"x": np.array([row.values for row in rows])},
                outputs=1,
                max_queued_rows={Priority.PREDICT: 64},
                name="quick",
            )
        )
        return made[-1]

    yield of_seconds
    quick.gate.set()
    for batcher in made:
        await asyncio.to_thread(batcher.close)


async def ask(
    batcher: Batcher, *numbers: int, length: int = 4, priority: Priority = Priority.PREDICT, caller: str = "a"
) -> list[float]:
    rows = [Row(length, number) for number in numbers]
    ticket = batcher.submit(rows, priority=priority, caller=caller)
    assert await batcher.wait(ticket, timeout_s=None)
    return [float(value) for value in ticket.values[:, 0]]


async def test_rows_that_one_turn_of_the_event_loop_brings_are_one_batch_which_it_runs_itself(
    make: Make, quick: Quick
) -> None:
    batcher = make(0.0003)
    answers = await asyncio.gather(ask(batcher, 1), ask(batcher, 2, caller="b"), ask(batcher, 4, caller="c"))
    assert answers == [[2.0], [4.0], [8.0]]
    assert [(here, sorted(numbers)) for here, numbers in quick.runs] == [(True, [1, 2, 4])]
    assert batcher.statistics[Priority.PREDICT].rows == 3


async def test_rows_of_other_classes_and_lengths_do_not_wait_for_the_next_call(make: Make, quick: Quick) -> None:
    batcher = make(0.0003)
    answers = await asyncio.gather(
        ask(batcher, 1), ask(batcher, 2, length=40), ask(batcher, 3, priority=Priority.EXPLAIN, caller="b")
    )
    assert answers == [[2.0], [4.0], [6.0]]
    assert len(quick.runs) == 3
    assert all(here for here, _ in quick.runs)


async def test_a_batch_that_takes_longer_is_a_lanes(make: Make, quick: Quick) -> None:
    batcher = make(0.001)
    assert batcher.run_at_once([Row(4, 1)], priority=Priority.PREDICT, caller="a") is None
    assert await ask(batcher, 1) == [2.0]
    assert quick.runs == [(False, [1])]


async def test_a_batch_of_which_nobody_knows_how_long_it_takes_is_a_lanes(make: Make, quick: Quick) -> None:
    batcher = make(0.0001)
    batcher.instances[0].cost = BatchCost.unmeasured(1 << 20)
    assert batcher.run_at_once([Row(4, 1)], priority=Priority.PREDICT, caller="a") is None
    assert await ask(batcher, 1) == [2.0]
    assert quick.runs == [(False, [1])]


async def test_rows_beside_a_batch_of_a_lane_wait_for_the_lane(make: Make, quick: Quick) -> None:
    batcher = make(0.0001)
    quick.gate.clear()
    many = asyncio.ensure_future(ask(batcher, *range(10, 80), priority=Priority.EXPLAIN))
    while not quick.runs:  # noqa: ASYNC110 - the lane has no event for it
        await asyncio.sleep(0.001)
    assert batcher.run_at_once([Row(4, 1)], priority=Priority.PREDICT, caller="a") is None
    few = asyncio.ensure_future(ask(batcher, 1))
    await asyncio.sleep(0)
    quick.gate.set()
    assert await few == [2.0]
    assert len(await many) == 70
    assert not any(here and 1 in numbers for here, numbers in quick.runs[:1])


async def test_a_row_that_takes_no_longer_than_to_queue_it_is_run_at_once_and_counted(make: Make, quick: Quick) -> None:
    batcher = make(0.0001)
    ticket = batcher.run_at_once([Row(4, 1), Row(4, 2)], priority=Priority.PREDICT, caller="a")
    assert ticket is not None
    assert quick.runs == [(True, [1, 2])]
    assert await batcher.wait(ticket, timeout_s=0.0)
    assert ticket.values[:, 0].tolist() == [2.0, 4.0]
    counted = batcher.statistics[Priority.PREDICT]
    assert (counted.batches, counted.rows, counted.tokens, sum(counted.queue_times.counts)) == (1, 2, 8, 2)
    assert batcher.turns.callers == []
    assert batcher.waiting_tickets == 0


async def test_a_row_that_fails_at_once_fails_alone(make: Make, quick: Quick) -> None:
    batcher = make(0.0001)
    bad = batcher.run_at_once([Row(4, CRASH)], priority=Priority.PREDICT, caller="a")
    assert bad is not None
    with pytest.raises(ModelFault):
        await batcher.wait(bad, timeout_s=None)
    assert await ask(batcher, 1) == [2.0]
    assert not batcher.instances[0].running


async def test_nothing_is_run_at_once_after_the_end(make: Make) -> None:
    batcher = make(0.0001)
    await asyncio.to_thread(batcher.close)
    assert batcher.run_at_once([Row(4, 1)], priority=Priority.PREDICT, caller="a") is None


def test_a_graph_that_may_loop_is_told_from_one_that_cannot(tmp_path: Path) -> None:
    """How long it takes is the input's to say, and the event loop must not wait for that."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])
    plain = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "plain", [x], [y])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["before"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["batch", 1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["batch", 1]),
        ],
    )
    loop = helper.make_graph([helper.make_node("Loop", ["", "", "x"], ["y"], body=body)], "loop", [x], [y])
    for name, graph in (("plain", plain), ("loop", loop)):
        onnx.save(helper.make_model(graph), tmp_path / f"{name}.onnx")
    assert not may_loop(tmp_path / "plain.onnx")
    assert may_loop(tmp_path / "loop.onnx")
