"""Rows of many callers, run through one model in full batches.

A batch is formed when the model becomes free, never on a timer, so that an idle server answers at once and a busy one
batches by itself. One thread for each of the runtime's lanes takes rows, runs them and hands the values back; callers
live on the event loop. A batch is bounded by padded tokens, so nobody waits for more than one short batch of others.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import ModelFault, NotServing, Overloaded, ServerError
from explicate_server.runtime.base import Feeds, Runtime
from explicate_server.runtime.queue import Entry, Row, RowQueue, Ticket

# Weight of the newest batch in the running averages.
_SMOOTHING = 0.1


class Priority(IntEnum):
    """Who goes first when both wait."""

    PREDICT = 0
    EXPLAIN = 1
    BULK = 2


# What a class is sure of while a higher one keeps the model busy. A quarter lets an explanation go on, four times
# slower, beside a load that would fill the machine.
SHARES = {Priority.PREDICT: 0.0, Priority.EXPLAIN: 0.25, Priority.BULK: 0.05}


@dataclass
class BatchStatistics:
    """Sums since the start."""

    batches: int = 0
    rows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    departed_rows: int = 0
    busy_s: float = 0.0


class Batcher:
    """Feeds one :class:`Runtime` from a bounded queue. Every method but ``close`` is called on the event loop."""

    def __init__(
        self,
        runtime: Runtime,
        collate: Callable[[Sequence[Row]], Feeds],
        *,
        outputs: int,
        max_queued_predict_rows: int,
        name: str,
    ) -> None:
        self._runtime = runtime
        self._collate = collate
        self._outputs = outputs
        self._max_queued_predict_rows = max_queued_predict_rows
        self._queues = {priority: RowQueue(share) for priority, share in SHARES.items()}
        self._changed = threading.Condition()
        self._sequence = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        self.statistics = BatchStatistics()
        self.batch_s = 0.0
        """Running average of a batch's wall time, in seconds."""
        self._threads = [
            threading.Thread(target=self._serve, name=f"batcher-{name}-{lane}", daemon=True)
            for lane in range(runtime.lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, rows: Sequence[Row], *, priority: Priority) -> Ticket:
        """Queue rows; all or none of them are accepted.

        Only PREDICT is bounded here. An explanation is admitted as a whole before its first row, because refusing its
        tenth round would throw away nine; what it may have waiting at once is bounded by its window of chunks.

        Raises:
            Overloaded: the queue cannot take them all; nothing was queued.
            NotServing: the batcher was closed.
        """
        ticket = Ticket(len(rows), self._outputs)
        now_s = time.monotonic()
        with self._changed:
            if self._closed:
                raise NotServing("MODEL_UNLOADED", "the model version is being unloaded", retry_after_s=1.0)
            queue = self._queues[priority]
            if priority is Priority.PREDICT and queue.rows + len(rows) > self._max_queued_predict_rows:
                raise Overloaded(
                    "QUEUE_FULL", f"{queue.rows} rows are waiting already", retry_after_s=self._seconds_to_drain(queue)
                )
            for index, row in enumerate(rows):
                queue.put(Entry(self._sequence, ticket, index, row, now_s))
                self._sequence += 1
            self._changed.notify_all()
        self._waiters[ticket] = self._loop.create_future()
        if not rows:
            self._finish([ticket])
        return ticket

    async def wait(self, ticket: Ticket, *, timeout_s: float | None) -> bool:
        """Whether all rows were done within ``timeout_s``. Whoever stops waiting for a ticket abandons it.

        Raises:
            ModelFault: the model failed on one of the rows.
        """
        future = self._waiters.get(ticket)
        if future is not None:
            timer = None if timeout_s is None else self._loop.call_later(timeout_s, _release, future)
            try:
                await future  # one waiter per ticket: if its task is cancelled, nobody else waits for this future
            finally:
                if timer is not None:
                    timer.cancel()
        if ticket.fault is not None:
            raise ticket.fault
        return ticket.remaining == 0

    def abandon(self, ticket: Ticket) -> None:
        """Drop the ticket's rows that have not started; values that arrived stay. Harmless when it is done."""
        with self._changed:
            if ticket.remaining:
                self.statistics.departed_rows += sum(queue.drop(ticket) for queue in self._queues.values())
        self._finish([ticket])

    def close(self) -> None:
        """Fail what still waits and end the threads after their current batches, for which it blocks."""
        with self._changed:
            self._closed = True
            left = [entry.ticket for queue in self._queues.values() for entry in queue.clear()]
            self._changed.notify_all()
        for ticket in set(left):
            ticket.fault = NotServing("MODEL_UNLOADED", "the model version was unloaded", retry_after_s=1.0)
        self._loop.call_soon_threadsafe(self._finish, left)
        for thread in self._threads:
            thread.join()

    @property
    def queued_rows(self) -> dict[Priority, int]:
        """Rows waiting now, by class."""
        with self._changed:
            return {priority: queue.rows for priority, queue in self._queues.items()}

    def _seconds_to_drain(self, queue: RowQueue) -> float:
        done = self.statistics
        seconds_per_row = done.busy_s / done.rows if done.rows else 0.01
        return max(0.05, queue.rows * seconds_per_row)

    # The batcher's own threads from here on.

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not any(queue.rows for queue in self._queues.values()):
                    self._changed.wait()
                if self._closed:
                    return
                queue = self._choose()
                batch = queue.take(self._runtime.batch_tokens)
            if batch:
                self._run(batch, queue)

    def _choose(self) -> RowQueue:
        """The lowest class that is owed a batch, else the highest that waits."""
        waiting = [queue for queue in self._queues.values() if queue.rows]
        for queue in reversed(waiting):
            if queue.owed_s >= (1 - queue.share) * self.batch_s and queue.share > 0:
                return queue
        return waiting[0]

    def _run(self, batch: list[Entry], queue: RowQueue) -> None:
        started_s = time.monotonic()
        answers = self._evaluate(batch)
        with self._changed:
            self._account(batch, queue, time.monotonic() - started_s)
            finished = self._answer(batch, answers, started_s)
        if finished:
            self._loop.call_soon_threadsafe(self._finish, finished)

    def _evaluate(self, batch: Sequence[Entry]) -> list[NDArray[np.float32] | Exception]:
        """The logits of each row, or what went wrong with it. A batch that fails is tried again row by row."""
        try:
            return list(self._logits([entry.row for entry in batch]))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [answer for entry in batch for answer in self._evaluate([entry])]

    def _logits(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        logits = self._runtime.run(self._collate(rows))
        if logits.shape != (len(rows), self._outputs):
            raise ValueError(f"the model answered with shape {logits.shape} for {len(rows)} rows")
        return logits

    def _answer(
        self, batch: Sequence[Entry], answers: Sequence[NDArray[np.float32] | Exception], started_s: float
    ) -> list[Ticket]:
        """Write the answers into their tickets; returns the tickets that have nothing left to wait for."""
        model_s = time.monotonic() - started_s
        finished = []
        for entry, answer in zip(batch, answers, strict=True):
            ticket = entry.ticket
            fault = _fault(answer)
            if fault is None:
                ticket.values[entry.index] = answer
                ticket.done[entry.index] = True
            else:
                ticket.fault = ticket.fault or fault
            ticket.remaining -= 1
            ticket.queue_s = max(ticket.queue_s, started_s - entry.arrived_s)
            if ticket.remaining == 0:
                finished.append(ticket)
        for ticket in {entry.ticket for entry in batch}:
            ticket.runs[self.statistics.batches] = model_s
        return finished

    def _account(self, batch: Sequence[Entry], queue: RowQueue, batch_s: float) -> None:
        lengths = [entry.row.length for entry in batch]
        done = self.statistics
        done.batches += 1
        done.rows += len(batch)
        done.tokens += sum(lengths)
        done.padded_tokens += len(batch) * max(lengths)
        done.busy_s += batch_s
        self.batch_s = batch_s if not self.batch_s else (1 - _SMOOTHING) * self.batch_s + _SMOOTHING * batch_s
        for other in self._queues.values():
            if not other.rows:
                other.owed_s = 0.0  # a share is for those who wait; it is not saved up
            elif other is not queue:
                other.owed_s += other.share * batch_s
        queue.owed_s = max(0.0, queue.owed_s - (1 - queue.share) * batch_s)

    def _finish(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            future = self._waiters.pop(ticket, None)
            if future is not None:
                _release(future)


def _release(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fault(answer: NDArray[np.float32] | Exception) -> ServerError | None:
    if isinstance(answer, Exception):
        return ModelFault("MODEL_RUN_FAILED", f"the model failed on this input: {type(answer).__name__}")
    if not np.isfinite(answer).all():
        return ModelFault("MODEL_OUTPUT_NOT_FINITE", "the model answered with NaN or infinity for this input")
    return None
