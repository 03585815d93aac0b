"""What a device is best at with a model, measured when it is loaded: tokens in a batch, what batches take, lanes.

On a GPU a small batch is mostly launches, so how large one must be depends on the card and on the model: it is looked
for, from small to large. It ends with the least tokens that run at nearly the best rate, and not with more: a Predict
that just missed a batch waits for all of it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from explicate_server.runtime.batch_cost import TARGET_S, BatchCost, calibrate
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.instance import Collate, Instance
from explicate_server.runtime.model_runtime import Runtime
from explicate_server.runtime.queue import Row

Run = Callable[[list[Row]], object]
RowOf = Callable[[int], Row]
# Of the best rate that was seen, a full batch has this part.
_NEARLY = 0.95
# The search begins at the first part of what the runtime suggests and ends at the second number of times as much.
_SMALLEST = 1 / 8
_LARGEST = 64
# Rows of middling length: what most texts have.
_LENGTH = 64
_TRIES = 3  # the first one makes room in memory and picks kernels
# Loading a model may take this long for it.
_SEARCH_S = 2.0
# Another lane must make this much of the rate, for it delays what runs beside it.
_LEAST_GAIN = 1.1
_BATCHES_PER_LANE = 4
_Clock = Callable[[], float]


def tuned(runtime: Runtime, collate: Collate, row_of: RowOf, *, batch_tokens: int, max_length: int) -> Instance:
    """An instance whose batches and lanes are those that the device is best at.

    Args:
        runtime: has answered before.
        collate: joins rows to a batch.
        row_of: a row of a given number of tokens.
        batch_tokens: what the runtime suggests.
        max_length: tokens of the model's longest row.
    """

    def run(rows: list[Row]) -> None:
        runtime.run(collate(rows))

    tokens = full_batch_tokens(run, row_of, first_tokens=batch_tokens, max_length=max_length)
    cost = device_cost(run, row_of, tokens=tokens, max_length=max_length)
    length = min(_LENGTH, max_length)
    batch = [row_of(length)] * cost.most_rows(length)
    runtime.settle(collate(batch))
    rates = {lanes: _rate(run, batch, lanes) for lanes in range(1, runtime.lanes + 1)}
    return Instance(runtime, cost, lanes=fewest_lanes(rates))


def full_batch_tokens(
    run: Run, row_of: RowOf, *, first_tokens: int, max_length: int, clock: _Clock = time.perf_counter
) -> int:
    """The least padded tokens of a batch that run at nearly the best rate.

    Batches grow twofold until they take longer than one may, no longer run faster, do not fit in the device's memory,
    or time is up.
    """
    length = min(_LENGTH, max_length)
    end_s = clock() + _SEARCH_S
    rates: dict[int, float] = {}  # tokens a second
    rows = max(1, int(first_tokens * _SMALLEST) // length)
    while rows * length <= first_tokens * _LARGEST or not rates:
        try:
            seconds = _shortest_s(run, [row_of(length)] * rows, clock)
        except DeviceOutOfMemory:
            break
        rates[rows * length] = rows * length / max(seconds, 1e-9)
        if seconds > TARGET_S or clock() > end_s or _flat(list(rates.values())):
            break
        rows *= 2
    if not rates:
        return length
    return min(tokens for tokens, rate in rates.items() if rate >= _NEARLY * max(rates.values()))


def device_cost(
    run: Run, row_of: RowOf, *, tokens: int, max_length: int, clock: _Clock = time.perf_counter
) -> BatchCost:
    """What batches of at most so many tokens take; what does not fit in memory at other lengths bounds them further."""
    too_many: list[int] = []

    def run_or_note(rows: list[Row]) -> None:
        try:
            run(rows)
        except DeviceOutOfMemory:
            too_many.append(len(rows) * rows[0].length)
            raise

    while True:
        try:
            cost = calibrate(
                run_or_note, row_of, batch_tokens=tokens, max_length=max_length, most_factor=1, clock=clock
            )
        except DeviceOutOfMemory:
            if tokens <= 1:
                raise
            tokens = max(1, tokens // 2)
        else:
            break
    if too_many:
        cost.shrink(min(too_many))
    return cost


def fewest_lanes(rates: Mapping[int, float]) -> int:
    """The fewest lanes to which no larger number adds a tenth; ``rates`` are batches a second by lanes, 0 for none."""
    return min(lanes for lanes, rate in rates.items() if rate * _LEAST_GAIN >= max(rates.values()))


def _rate(run: Run, batch: list[Row], lanes: int) -> float:
    """Batches a second from so many threads at once; 0 if the device does not have the memory for it."""
    ready = threading.Barrier(lanes + 1)

    def lane() -> None:
        ready.wait()
        for _ in range(_BATCHES_PER_LANE):
            run(batch)

    with ThreadPoolExecutor(lanes) as threads:
        working = [threads.submit(lane) for _ in range(lanes)]
        ready.wait()
        begun_s = time.perf_counter()
        try:
            for each in working:
                each.result()
        except DeviceOutOfMemory:
            return 0.0
    return lanes * _BATCHES_PER_LANE / max(time.perf_counter() - begun_s, 1e-9)


def _shortest_s(run: Run, batch: list[Row], clock: _Clock) -> float:
    taken = []
    for _ in range(_TRIES):
        begun_s = clock()
        run(batch)
        taken.append(clock() - begun_s)
    return min(taken)


def _flat(rates: list[float]) -> bool:
    """Whether the last two steps brought next to nothing."""
    return len(rates) > 2 and rates[-3] >= _NEARLY * max(rates[-2:])
