"""A model instance: a session on one device, and what the batcher knows of it.

A batch that does not fit in the device's memory is run again in halves. A batch that fails in another way is run again
row by row, so that a bad row fails alone. After a device was lost nothing is run on it any more.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import ModelFault, NotServing, Overloaded, ServerError
from explicate_server.runtime.batch_cost import BatchCost, calibrate
from explicate_server.runtime.device_faults import DeviceLost, DeviceOutOfMemory
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import Row

Answer = NDArray[np.float32] | Exception
"""Finite float32[count of the row, outputs], or what went wrong with it."""
Collate = Callable[[Sequence[Row]], Feeds]
# When a caller may come back after a device was lost: to another replica, or to what was started anew.
_RETRY_AFTER_S = 1.0


def fault_of(answer: Answer) -> ServerError | None:
    """What is wrong with an answer; None when nothing is."""
    if not isinstance(answer, Exception):
        return None
    if isinstance(answer, DeviceOutOfMemory):
        detail = "not even this one input fits beside what the device holds; shorten it, or come back later"
        return Overloaded("DEVICE_OUT_OF_MEMORY", detail, retry_after_s=_RETRY_AFTER_S)
    if isinstance(answer, DeviceLost):
        return device_lost(str(answer))
    if isinstance(answer, ServerError):
        return answer
    return ModelFault("MODEL_RUN_FAILED", f"the model failed on this input: {type(answer).__name__}")


def device_lost(reason: str) -> NotServing:
    """What callers are told when no device is left that could answer."""
    return NotServing("DEVICE_LOST", reason, retry_after_s=_RETRY_AFTER_S)


@dataclass
class Ran:
    """What became of a batch.

    Attributes:
        answers: one for each row, in their order.
        whole: whether all ran in one batch, so that its time says what such a batch takes.
        too_many_tokens: padded tokens of the smallest part that did not fit in the device's memory; None if all fitted.
    """

    answers: list[Answer] = field(default_factory=list)
    whole: bool = True
    too_many_tokens: int | None = None

    @property
    def lost(self) -> str:
        """Why the device answers no more; empty if it does."""
        return next((str(answer) for answer in self.answers if isinstance(answer, DeviceLost)), "")


class Instance:
    """One session behind a batcher. What does not say otherwise is for the thread that holds the batcher's lock.

    Attributes:
        runtime: runs the batches.
        cost: what a batch takes on its device.
        lanes: batches that may run at once.
        runs_here: whether the event loop may run short batches itself.
        lost: why its device answers no more; empty as long as it does.
        running: when each lane began its batch, by the lane's thread.
        batches, rows, busy_s: what went through it.
        out_of_memory: batches that did not fit in the device's memory.
    """

    def __init__(self, runtime: Runtime, cost: BatchCost | None = None, *, lanes: int | None = None) -> None:
        """``cost`` was measured on the device; else it is the runtime's own bound in tokens."""
        self.runtime = runtime
        self.cost = cost or BatchCost.unmeasured(runtime.batch_tokens)
        self.lanes = lanes or runtime.lanes
        self.runs_here = False
        self.lost = ""
        self.running: dict[int, float] = {}
        self.batches = 0
        self.rows = 0
        self.busy_s = 0.0
        self.out_of_memory = 0

    @property
    def name(self) -> str:
        """Its device, such as ``cuda:1``."""
        return str(self.runtime.device)

    @property
    def running_s(self) -> float:
        """Seconds that its oldest batch has taken so far; 0 when it is idle."""
        return time.monotonic() - min(self.running.values()) if self.running else 0.0

    def begin(self) -> None:
        """The calling thread runs a batch now."""
        self.running[threading.get_ident()] = time.monotonic()

    def end(self) -> None:
        """The calling thread's batch has ended."""
        del self.running[threading.get_ident()]

    def observe(self, ran: Ran, *, rows: int, length: int, seconds: float) -> None:
        """Learn from a batch of ``rows`` rows padded to ``length`` tokens."""
        self.batches += 1
        self.rows += rows
        self.busy_s += seconds
        if ran.whole:
            self.cost.observe(rows, length, seconds)
        if ran.too_many_tokens is not None:
            self.out_of_memory += 1
            self.cost.shrink(ran.too_many_tokens)

    def run(self, rows: Sequence[Row], collate: Collate, *, outputs: int) -> Ran:
        """Run a batch without the lock; whatever happens, each row has an answer."""
        ran = Ran()
        self._run(rows, collate, outputs, ran)
        return ran

    def _run(self, rows: Sequence[Row], collate: Collate, outputs: int, ran: Ran) -> None:
        """Add the rows' answers to those of ``ran``."""
        try:
            ran.answers += list(self._answers(rows, collate, outputs))
        except Exception as error:
            ran.whole = False
            if isinstance(error, DeviceOutOfMemory):
                tokens = sum(row.count for row in rows) * max(row.length for row in rows)
                ran.too_many_tokens = min(tokens, ran.too_many_tokens or tokens)
            if len(rows) == 1 or isinstance(error, DeviceLost):
                ran.answers += [_without_frames(error)] * len(rows)
                return
            for part in _parts(rows, halves=isinstance(error, DeviceOutOfMemory)):
                self._unless_lost(part, collate, outputs, ran)

    def _unless_lost(self, rows: Sequence[Row], collate: Collate, outputs: int, ran: Ran) -> None:
        if reason := ran.lost:
            ran.answers += [DeviceLost(reason)] * len(rows)
        else:
            self._run(rows, collate, outputs, ran)

    def _answers(self, rows: Sequence[Row], collate: Collate, outputs: int) -> Iterator[Answer]:
        values = self.runtime.run(collate(rows))
        ends = list(accumulate(row.count for row in rows))
        if values.shape != (ends[-1], outputs):
            raise ValueError(f"the model answered with shape {values.shape} for {ends[-1]} rows")
        answers = (values[end - row.count : end] for row, end in zip(rows, ends, strict=True))
        # Of the whole batch first, because that takes as long as of one row.
        return answers if np.isfinite(values).all() else map(_finite, answers)


def _finite(answer: NDArray[np.float32]) -> Answer:
    if np.isfinite(answer).all():
        return answer
    return ModelFault("MODEL_OUTPUT_NOT_FINITE", "the model answered with NaN or infinity for this input")


def _without_frames(error: Exception) -> Exception:
    """The error alone: its trace holds the frames, those hold the answers, and all of it would hold the session."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def calibrated(
    runtime: Runtime, collate: Collate, row_of: Callable[[int], Row], *, batch_tokens: int, max_length: int
) -> Instance:
    """An instance that knows what its batches take; see `calibrate`."""
    cost = calibrate(lambda rows: runtime.run(collate(rows)), row_of, batch_tokens=batch_tokens, max_length=max_length)
    return Instance(runtime, cost)


def _parts(rows: Sequence[Row], *, halves: bool) -> Iterator[Sequence[Row]]:
    if halves:
        middle = len(rows) // 2
        yield from (rows[:middle], rows[middle:])
    else:
        yield from ([row] for row in rows)


# What the event loop runs itself: to hand a row of a small table over to a lane and its answer back took .3 ms of
# processor time, four times what the model takes.
_MOST_HERE_S = 0.0005
_MOST_ROWS_HERE = 64
# What it runs at once, without a queue: to queue a row and to wait for it takes as long, so more rows in a batch save
# nothing.
_MOST_AT_ONCE_S = 0.00015


def at_hand(instances: Sequence[Instance], rows: int, length: int, *, at_once: bool = False) -> Instance | None:
    """An idle instance on which the event loop itself may run rows of a length, because that takes so little time."""
    if not 0 < rows <= _MOST_ROWS_HERE:
        return None
    for instance in instances:
        if instance.runs_here and instance.cost.measured and not (instance.running or instance.lost):
            most_s = _MOST_AT_ONCE_S if at_once else _MOST_HERE_S
            return instance if instance.cost.seconds(rows, length) <= most_s else None
    return None
