"""Several devices behind one batcher: full memory, lost and slow devices, and who gets what of them."""

import asyncio
import gc
import random
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from unit.server.test_batcher import collate, rows_of

from explicate_server.device import Device
from explicate_server.errors import NotServing, Overloaded, ServerError
from explicate_server.runtime.batch_cost import TARGET_S, BatchCost
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.device_faults import DeviceLost, DeviceOutOfMemory
from explicate_server.runtime.instance import Instance
from explicate_server.runtime.model_runtime import Feeds
from explicate_server.runtime.queue import Row

POISON = 777  # takes down every device that runs it
LOST = "CUDA failure 710: device-side assert triggered"


class FakeDevice:
    """Doubles each row's first number, on a device that can be full, held and lost."""

    name, precision, batch_tokens, lanes = "onnxruntime-fake", "fp32", 64, 1
    nodes = cpu_nodes = None

    def __init__(self, number: int = 0, *, most_rows: int = 1000, held: bool = False) -> None:
        self.device = Device("fake", number)
        self.most_rows = most_rows
        self.lost = False
        self.tried: list[list[int]] = []
        self.ran: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.gate: threading.Semaphore | None = threading.Semaphore(0) if held else None

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        numbers = feeds["x"][:, 0].tolist()
        self.tried.append(numbers)
        self.entered.release()
        gate = self.gate
        if gate is not None:
            gate.acquire()
        self.lost = self.lost or POISON in numbers
        if self.lost:
            raise DeviceLost(LOST)
        if len(numbers) > self.most_rows:
            raise DeviceOutOfMemory("Failed to allocate memory for requested buffer")
        self.ran.append(numbers)
        return np.array(numbers, dtype=np.float32)[:, np.newaxis] * 2

    def let_go(self) -> None:
        """Do not hold batches any more."""
        gate, self.gate = self.gate, None
        if gate is not None:
            gate.release(10_000)

    def let_through(self, batches: int) -> None:
        assert self.gate is not None
        self.gate.release(batches)

    async def running(self) -> None:
        """Wait until the next batch has begun."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=20)


Behind = Callable[..., Batcher]


@pytest.fixture
async def behind() -> AsyncIterator[Behind]:
    made: list[tuple[Batcher, Sequence[FakeDevice]]] = []

    def make(*devices: FakeDevice, costs: Sequence[BatchCost | None] = (None,) * 9) -> Batcher:
        instances = [Instance(device, cost) for device, cost in zip(devices, costs, strict=False)]
        made.append((Batcher(instances, collate, outputs=1, max_queued_rows={}, name="test"), devices))
        return made[-1][0]

    yield make
    for batcher, devices in made:
        for device in devices:
            device.let_go()
        await asyncio.to_thread(batcher.close)


async def doubled(batcher: Batcher, *numbers: int, priority: Priority = Priority.PREDICT, caller: str = "") -> bool:
    """Whether these rows were all answered, and rightly."""
    ticket = batcher.submit(rows_of(*numbers), priority=priority, caller=caller)
    assert await batcher.wait(ticket, timeout_s=None)
    return bool((ticket.values[:, 0] == 2.0 * np.array(numbers)).all())


async def test_a_batch_that_does_not_fit_is_halved_and_the_next_ones_are_smaller(behind: Behind) -> None:
    device = FakeDevice(most_rows=3)
    batcher = behind(device)
    assert await doubled(batcher, *range(8))  # 64 tokens, a full batch
    assert list(map(len, device.tried)) == [8, 4, 2, 2, 4, 2, 2]
    assert await doubled(batcher, *range(20))
    assert max(map(len, device.tried[7:])) == 2, "four rows did not fit, so two are tried"
    (instance,) = batcher.instances
    assert instance.out_of_memory == 1
    assert not instance.lost


async def test_a_row_that_does_not_fit_alone_fails_alone(behind: Behind) -> None:
    device = FakeDevice(most_rows=1, held=True)
    batcher = behind(device)
    first = batcher.submit(rows_of(1), priority=Priority.PREDICT)
    await device.running()
    good = batcher.submit(rows_of(2, 3), priority=Priority.PREDICT)
    device.let_through(1)
    assert await batcher.wait(first, timeout_s=None)
    device.most_rows = 0  # not even one, and then again one
    bad = batcher.submit(rows_of(4), priority=Priority.PREDICT)
    for _ in range(3):  # the batch of three, a half of one row and a half of two
        await device.running()
        device.let_through(1)
    device.most_rows = 1
    device.let_go()
    failed = [ticket for ticket in (good, bad) if await fault_of(batcher, ticket)]
    assert all(ticket.fault.reason == "DEVICE_OUT_OF_MEMORY" for ticket in failed)
    assert all(isinstance(ticket.fault, Overloaded) for ticket in failed)
    assert len(failed) > 0
    assert await doubled(batcher, 5, 6, 7)


async def fault_of(batcher: Batcher, ticket: "object") -> ServerError | None:
    try:
        await batcher.wait(ticket, timeout_s=None)  # type: ignore[arg-type]
    except ServerError as error:
        return error
    return None


async def test_what_a_lost_device_had_is_run_on_another_and_it_gets_no_more(behind: Behind) -> None:
    dying, other = FakeDevice(0, held=True), FakeDevice(1, held=True)
    batcher = behind(dying, other)
    tickets = [batcher.submit(rows_of(*range(n, n + 8)), priority=Priority.EXPLAIN) for n in (10, 20, 30)]
    for device in (dying, other):  # each has a batch, and one waits
        await device.running()
    dying.lost = True
    dying.let_go()
    other.let_go()
    for ticket, n in zip(tickets, (10, 20, 30), strict=True):
        assert await batcher.wait(ticket, timeout_s=None)
        assert ticket.values[:, 0].tolist() == [2.0 * number for number in range(n, n + 8)]
    assert batcher.lost == {"fake:0": LOST}
    assert await doubled(batcher, *range(40))
    assert len(dying.tried) == 1
    assert dying.ran == []


async def test_when_no_device_is_left_everybody_is_told_and_nobody_is_let_in(behind: Behind) -> None:
    device = FakeDevice(held=True)
    batcher = behind(device)
    running = batcher.submit(rows_of(1), priority=Priority.PREDICT)
    await device.running()
    waiting = [batcher.submit(rows_of(2), priority=priority) for priority in Priority]
    device.lost = True
    device.let_through(1)
    for ticket in (running, *waiting):
        fault = await fault_of(batcher, ticket)
        assert isinstance(fault, NotServing)
        assert fault.reason == "DEVICE_LOST"
        assert fault.detail.endswith(LOST)
        assert fault.retry_after_s > 0
    with pytest.raises(NotServing, match="device-side assert"):
        batcher.submit(rows_of(3), priority=Priority.PREDICT)
    assert not batcher.answers_within(1000.0)
    assert batcher.waiting_tickets == 0


async def test_a_row_that_takes_devices_down_does_not_take_them_all(behind: Behind) -> None:
    devices = [FakeDevice(number) for number in range(3)]
    batcher = behind(*devices)
    poisoned = batcher.submit(rows_of(POISON), priority=Priority.PREDICT)
    fault = await fault_of(batcher, poisoned)
    assert isinstance(fault, NotServing)
    assert len(batcher.lost) == 2, "it is run on one device more, not on every one"
    assert await doubled(batcher, *range(30))


async def test_a_slow_device_does_not_hold_a_fast_one_back(behind: Behind) -> None:
    slow, fast = FakeDevice(0, held=True), FakeDevice(1, held=True)
    batcher = behind(slow, fast)
    tickets = [batcher.submit(rows_of(*[n] * 8), priority=Priority.BULK) for n in range(12)]
    for device in (slow, fast):
        await device.running()
    fast.let_go()
    held = slow.tried[0][0]
    for number, ticket in enumerate(tickets):
        if number != held:
            assert await batcher.wait(ticket, timeout_s=None)
    assert slow.tried == [[held] * 8], "it has one batch, whatever comes meanwhile"
    assert not tickets[held].done.any()
    slow.let_go()
    assert await batcher.wait(tickets[held], timeout_s=None)


def rows_in_target(rows: int) -> BatchCost:
    """Of a device on which so many rows of 8 tokens are one short batch."""
    token_s = TARGET_S / (8 * rows)
    return BatchCost(fixed_s=0, token_s=token_s, pair_s=0, least_tokens=8, most_tokens=10_000, adapts=False)


async def test_callers_get_the_same_rows_whichever_device_serves_them(behind: Behind) -> None:
    """A slow and a fast device, two callers that always wait: turns are counted in work, not in batches."""
    slow, fast = FakeDevice(0, held=True), FakeDevice(1, held=True)
    batcher = behind(slow, fast, costs=[rows_in_target(2), rows_in_target(16)])
    asked = [
        asyncio.ensure_future(doubled(batcher, *[number] * 400, priority=Priority.EXPLAIN, caller=str(number)))
        for number in (1, 2)
    ]
    for device in (slow, fast) * 12:
        await device.running()
        device.let_through(1)
    rows = [number for device in (slow, fast) for batch in device.tried for number in batch]
    assert abs(rows.count(1) - rows.count(2)) <= 2 * 16, "within a batch of the fast one for each caller"
    assert len(rows) > 12 * 16
    for device in (slow, fast):
        device.let_go()
    assert await asyncio.gather(*asked) == [True, True]


async def test_each_device_takes_as_many_rows_as_are_short_on_it(behind: Behind) -> None:
    slow, fast = FakeDevice(0, held=True), FakeDevice(1, held=True)
    batcher = behind(slow, fast, costs=[rows_in_target(2), rows_in_target(16)])
    all_rows = asyncio.ensure_future(doubled(batcher, *range(200), priority=Priority.BULK))
    for _ in range(3):
        for device in (slow, fast):
            await device.running()
            device.let_through(1)
    assert [len(batch) for batch in slow.tried] == [2] * len(slow.tried)
    assert [len(batch) for batch in fast.tried] == [16] * len(fast.tried)
    slow.let_go()
    fast.let_go()
    assert await all_rows


async def test_a_prediction_waits_for_one_batch_of_explanations_at_most_on_every_device(behind: Behind) -> None:
    devices = [FakeDevice(number, held=True) for number in range(2)]
    batcher = behind(*devices)
    explained = asyncio.ensure_future(doubled(batcher, *range(160), priority=Priority.EXPLAIN))
    for device in devices:
        await device.running()
    predicted = asyncio.ensure_future(doubled(batcher, 500, caller="other"))
    await asyncio.sleep(0)  # it is submitted
    devices[1].let_through(1)
    await devices[1].running()
    assert devices[1].tried[1] == [500], "the first batch that begins is the prediction's"
    for device in devices:
        device.let_go()
    assert await predicted
    assert await explained


async def test_a_model_answers_as_long_as_one_of_its_devices_is_not_stuck(behind: Behind) -> None:
    devices = [FakeDevice(number, held=True) for number in range(2)]
    batcher = behind(*devices)
    tickets = [batcher.submit(rows_of(*[number] * 8), priority=Priority.PREDICT) for number in range(2)]
    for device in devices:
        await device.running()
    assert not batcher.answers_within(0.0), "each is in a batch for longer than no time"
    assert batcher.answers_within(1000.0)
    stuck = devices[0].tried[0][0]
    devices[1].let_go()
    assert await batcher.wait(tickets[1 - stuck], timeout_s=None)
    assert await doubled(batcher, 1)  # so the lane has ended the batch before
    assert batcher.running_s > 0
    devices[0].let_go()
    assert await batcher.wait(tickets[stuck], timeout_s=None)


@pytest.mark.parametrize("rows", [rows_of(1), rows_of(1, 2, 3), rows_of(POISON, 2)])
def test_a_batch_that_failed_does_not_keep_its_session_alive(rows: list[Row]) -> None:
    """A session holds a device's memory; a cycle with it would hold that until the next collection."""
    gc.disable()
    try:
        device = FakeDevice(most_rows=0)
        instance = Instance(device)
        ran = instance.run(rows, collate, outputs=1)
        assert all(isinstance(answer, Exception) for answer in ran.answers)
        gone = weakref.ref(device)
        del device, instance, ran
        assert gone() is None
    finally:
        gc.enable()


def test_a_device_that_is_idle_is_not_stuck() -> None:
    busy, idle = Instance(FakeDevice(0)), Instance(FakeDevice(1))
    busy.begin()
    assert busy.running_s > 0
    assert idle.running_s == 0
    busy.end()
    assert busy.running_s == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_to_devices_every_ticket_has_an_answer_or_a_typed_fault(
    behind: Behind, seed: int
) -> None:
    """Full memory, lost devices and callers that leave, at random; one device lives."""
    draw = random.Random(seed)
    devices = [FakeDevice(number, most_rows=draw.choice([1, 3, 1000])) for number in range(3)]
    batcher = behind(*devices)
    waits: list[Awaitable[bool | ServerError | None]] = []

    async def asked(numbers: list[int]) -> bool | ServerError | None:
        ticket = batcher.submit(rows_of(*numbers), priority=draw.choice(list(Priority)), caller=str(draw.randrange(4)))
        if draw.random() < 0.2:
            await asyncio.sleep(0)
            batcher.abandon(ticket)
        fault = await fault_of(batcher, ticket)
        done = ticket.done
        assert (ticket.values[done, 0] == 2.0 * np.array(numbers)[done]).all()
        return fault

    for number in range(60):
        waits.append(asyncio.ensure_future(asked([number] * draw.randrange(1, 12))))
        await asyncio.sleep(0)
        if number == 20 + seed:
            devices[draw.randrange(2)].lost = True
    for fault in await asyncio.gather(*waits):
        assert fault is None, "a row fits alone on every device, and one device after the other is lost"
    assert batcher.waiting_tickets == 0
    assert sum(batcher.queued_rows.values()) == 0


def test_a_bound_that_memory_set_is_tried_again_after_many_batches_that_fitted() -> None:
    cost = BatchCost.unmeasured(64)
    cost.shrink(64)
    cost.shrink(100)  # of another lane, whose batch was begun before
    assert cost.most_rows(8) == 4
    for _ in range(999):
        cost.observe(4, 8, 0.01)
    assert cost.most_rows(8) == 4
    cost.observe(4, 8, 0.01)
    assert cost.most_rows(8) == 8
    for _ in range(3000):
        cost.observe(4, 8, 0.01)
    assert cost.most_rows(8) == 8, "what was calibrated stays the bound"


def test_a_row_alone_takes_what_any_batch_costs_of_a_callers_turn() -> None:
    """On a device whose every batch costs 5 ms, 100 predictions one by one are not 100 rows of a batch of 500."""
    launches = BatchCost(fixed_s=5e-3, token_s=1e-6, pair_s=0, least_tokens=8, most_tokens=4000)
    rows = launches.most_rows(8)
    assert rows == 500
    assert launches.part(rows, 8) == 1
    assert launches.part(1, 8) == pytest.approx((5e-3 + 8e-6) / (5e-3 + 4e-3))
    assert BatchCost.unmeasured(64).part(2, 8) == pytest.approx(2 / 8)
