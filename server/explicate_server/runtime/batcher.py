"""Rows of many callers, run through one model in full batches.

A batch is formed when the model becomes free, never on a timer, so that an idle server answers at once and a busy one
batches by itself. One thread for each of the runtime's lanes takes rows, runs them and hands the values back; callers
live on the event loop. A batch is bounded by the seconds it should take, so nobody waits for more than one short batch
of others.
"""

import asyncio
import copy
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from explicate_server import tracing
from explicate_server.errors import ModelFault, NotServing, Overloaded, ServerError
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import ClassStatistics, Entry, Row, RowQueue, Ticket, rows_in
from explicate_server.runtime.turns import FairShares, Turns
from explicate_server.shared_room import Lack, lack

Answer = NDArray[np.float32] | Exception
"""float32[count of the row, outputs], or what went wrong with it."""
Collate = Callable[[Sequence[Row]], Feeds]


def answers_of(rows: Sequence[Row], runtime: Runtime, collate: Collate, *, outputs: int) -> tuple[list[Answer], bool]:
    """The answer to each row, and whether all ran in one batch: when that fails, each is run alone."""
    try:
        return list(_run(rows, runtime, collate, outputs)), True
    except Exception as error:
        return ([error] if len(rows) == 1 else list(_one_by_one(rows, runtime, collate, outputs))), False


def fault_of(answer: Answer) -> ServerError | None:
    """What is wrong with an answer; None when nothing is."""
    if isinstance(answer, Exception):
        return ModelFault("MODEL_RUN_FAILED", f"the model failed on this input: {type(answer).__name__}")
    if not np.isfinite(answer).all():
        return ModelFault("MODEL_OUTPUT_NOT_FINITE", "the model answered with NaN or infinity for this input")
    return None


def _run(rows: Sequence[Row], runtime: Runtime, collate: Collate, outputs: int) -> Iterator[NDArray[np.float32]]:
    values = runtime.run(collate(rows))
    ends = list(accumulate(row.count for row in rows))
    if values.shape != (ends[-1], outputs):
        raise ValueError(f"the model answered with shape {values.shape} for {ends[-1]} rows")
    return (values[end - row.count : end] for row, end in zip(rows, ends, strict=True))


def _one_by_one(rows: Sequence[Row], runtime: Runtime, collate: Collate, outputs: int) -> Iterator[Answer]:
    for row in rows:
        try:
            yield from _run([row], runtime, collate, outputs)
        except Exception as fault:
            yield fault


# Weight of the newest batch in the running average.
_SMOOTHING = 0.1


class Priority(IntEnum):
    """Who goes first when both wait."""

    PREDICT = 0
    EXPLAIN = 1
    BULK = 2


# What a class is sure of while a higher one keeps the model busy. A quarter lets an explanation go on, four times
# slower, beside a load that would fill the machine.
SHARES = {Priority.PREDICT: 0.0, Priority.EXPLAIN: 0.25, Priority.BULK: 0.05}
# How many full batches a caller's predictions may be ahead of the explanations of others. With none, a prediction would
# wait for a batch of each caller who explains; without a bound, who predicts without a pause would leave the others
# what their class is sure of.
_HEAD_START = {Priority.PREDICT: 2.0, Priority.EXPLAIN: 0.0}


class Batcher:
    """Feeds one :class:`Runtime` from bounded queues. What does not say otherwise is called on the event loop.

    Attributes:
        runtime: runs the batches.
        queues: the rows that wait, by class; for the thread that holds the lock.
        turns: whose rows go next; for the same.
        cost: what a batch takes; the runtime's own bound in tokens when nothing was measured.
        statistics: sums since the start, by class.
        batch_s: running average of a batch's wall time, in seconds.
    """

    def __init__(
        self,
        runtime: Runtime,
        collate: Collate,
        *,
        outputs: int,
        max_queued_rows: Mapping[Priority, int],
        name: str,
        cost: BatchCost | None = None,
    ) -> None:
        """``max_queued_rows`` bounds the rows that wait in a class, which callers share as `shared_room` says.

        A class that is not in it is not bounded.
        """
        self.runtime = runtime
        self._collate = collate
        self._outputs = outputs
        self._name = name
        self._max_queued_rows = max_queued_rows
        self.queues = {priority: RowQueue() for priority in Priority}
        self._shares = FairShares([SHARES[priority] for priority in Priority])
        self.turns = Turns()
        self._changed = threading.Condition()
        self._sequence = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        self._batches = 0
        self._running: dict[int, float] = {}  # when each lane began its batch
        self.cost = cost or BatchCost.unmeasured(runtime.batch_tokens)
        self.statistics = {priority: ClassStatistics() for priority in Priority}
        self.batch_s = 0.0
        self._threads = [
            threading.Thread(target=self._serve, name=f"batcher-{name}-{lane}", daemon=True)
            for lane in range(runtime.lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, rows: Sequence[Row], *, priority: Priority, caller: str = "", admitted: bool = False) -> Ticket:
        """Queue rows of ``caller``; all or none of them are accepted.

        ``admitted`` rows are part of an explanation and pass the bound of their class. It was admitted as a whole
        before its first row, because refusing its tenth round would throw away nine; what it may have waiting at once
        is bounded by its window of chunks.

        Raises:
            Overloaded: the queue cannot take them all, or the caller has its share of it; nothing was queued.
            NotServing: the batcher was closed.
        """
        ticket = Ticket(sum(row.count for row in rows), self._outputs, caller)
        now_s = time.monotonic()
        with self._changed:
            if self._closed:
                raise NotServing("MODEL_UNLOADED", "the model version is being unloaded", retry_after_s=1.0)
            if not admitted:
                self._refuse_over_limit(ticket, priority)
            if rows:
                self.turns.come(caller)
            queue, index = self.queues[priority], 0
            for row in rows:
                queue.put(Entry(self._sequence, ticket, index, row, now_s))
                self._sequence += 1
                index += row.count
            self._changed.notify_all()
        self._waiters[ticket] = self._loop.create_future()
        if not rows:
            self._finish([ticket])
        return ticket

    async def wait(self, ticket: Ticket, *, timeout_s: float | None) -> bool:
        """Whether all rows were done within ``timeout_s``. A caller that stops waiting for a ticket abandons it.

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
                tracing.waited(ticket.arrived_s, ticket.queue_s, len(ticket.done))
        if ticket.fault is not None:
            raise ticket.fault
        return ticket.remaining == 0

    def abandon(self, ticket: Ticket) -> None:
        """Drop the ticket's rows that have not started; values that arrived stay. Harmless when it is done."""
        with self._changed:
            if ticket.remaining:
                for priority, queue in self.queues.items():
                    self.statistics[priority].dropped_rows += queue.drop(ticket)
                self._end_turns([ticket.caller])
        self._finish([ticket])

    def close(self) -> None:
        """Fail what still waits and end the lanes after their batches, for which it blocks; not on the event loop."""
        with self._changed:
            self._closed = True
            left = [entry.ticket for queue in self.queues.values() for entry in queue.clear()]
            self._changed.notify_all()
        for ticket in set(left):
            ticket.fault = NotServing("MODEL_UNLOADED", "the model version was unloaded", retry_after_s=1.0)
        self._loop.call_soon_threadsafe(self._finish, left)
        for thread in self._threads:
            thread.join()

    @property
    def queued_rows(self) -> dict[Priority, int]:
        """Rows waiting now, by class; for any thread."""
        with self._changed:
            return {priority: queue.rows for priority, queue in self.queues.items()}

    def snapshot(self) -> dict[Priority, ClassStatistics]:
        """A copy of the statistics whose sums fit together; for any thread."""
        with self._changed:
            return copy.deepcopy(self.statistics)

    @property
    def running_s(self) -> float:
        """Seconds that the oldest batch in the model has taken so far; 0 when it is idle. For any thread."""
        with self._changed:
            return time.monotonic() - min(self._running.values()) if self._running else 0.0

    @property
    def waiting_tickets(self) -> int:
        """Tickets that a caller waits for, or did not abandon."""
        return len(self._waiters)

    def _refuse_over_limit(self, ticket: Ticket, priority: Priority) -> None:
        queue, rows, most = self.queues[priority], ticket.remaining, self._max_queued_rows.get(priority)
        held = queue.held(ticket.caller)
        missing = None if most is None else lack(rows, held=held, taken=queue.rows, most=most)
        if missing is None:
            return
        done = self.statistics[priority]
        done.refused_rows += rows
        row_s = done.busy_s / done.rows if done.rows else 0.01
        retry_after_s = max(0.05, queue.rows * row_s)
        if missing is Lack.SHARE:
            detail = f"{held:,} rows of yours are waiting already; the rest is kept for others"
            raise Overloaded("CALLER_LIMIT", detail, retry_after_s=retry_after_s)
        raise Overloaded("QUEUE_FULL", f"{queue.rows:,} rows are waiting already", retry_after_s=retry_after_s)

    def _end_turns(self, callers: Iterable[str]) -> None:
        """Forget the turns of those who have no rows left."""
        self.turns.leave([caller for caller in callers if not any(q.held(caller) for q in self.queues.values())])

    # The batcher's own threads from here on.

    def _serve(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for rows and run a batch of them; False once closed. While idle, no frame holds rows."""
        with self._changed:
            while not self._closed and not any(queue.rows for queue in self.queues.values()):
                self._changed.wait()
            if self._closed:
                return False
            priority, batch = self._take()
            self._running[threading.get_ident()] = time.monotonic()
        try:
            self._run(batch, priority)
        finally:
            with self._changed:
                del self._running[threading.get_ident()]
        return True

    def _take(self) -> tuple[Priority, list[Entry]]:
        waiting = [p for p, queue in self.queues.items() if queue.rows]
        owed = self._shares.owed(waiting)
        priority = self._next_class(waiting) if owed is None else Priority(owed)
        queue, most_rows = self.queues[priority], self.cost.most_rows
        batch = queue.take(self.turns.order(queue.parts(most_rows)), most_rows)
        waiting = [p for p, queue in self.queues.items() if queue.rows]
        self._shares.charge(priority, self.cost.seconds(rows_in(batch), _padded_length(batch)), waiting=waiting)
        self._charge(batch)
        return priority, batch

    def _next_class(self, waiting: Sequence[Priority]) -> Priority:
        """The class of the caller whose turn it is; BULK when nothing else waits."""
        urgent = [priority for priority in waiting if priority in _HEAD_START]
        if len(urgent) < 2:
            return waiting[0]
        parts = {priority: self.queues[priority].parts(self.cost.most_rows) for priority in urgent}
        return min(urgent, key=lambda priority: self.turns.first_end(parts[priority]) - _HEAD_START[priority])

    def _charge(self, batch: Sequence[Entry]) -> None:
        rows: Counter[str] = Counter()
        for entry in batch:
            rows[entry.ticket.caller] += entry.row.count
        room = self.cost.most_rows(_padded_length(batch))
        for caller, count in rows.items():
            self.turns.charge(caller, count / room)
        self._end_turns(rows)

    def _run(self, batch: list[Entry], priority: Priority) -> None:
        started_s = time.monotonic()
        callers = (entry.ticket.traced for entry in batch)
        with tracing.batch(callers, model=self._name, rows=rows_in(batch), priority=priority.name.lower()):
            rows = [entry.row for entry in batch]
            answers, ran_whole = answers_of(rows, self.runtime, self._collate, outputs=self._outputs)
        batch_s = time.monotonic() - started_s
        with self._changed:
            if ran_whole:
                self.cost.observe(rows_in(batch), _padded_length(batch), batch_s)
            self._account(batch, priority, started_s, batch_s)
            finished = self._answer(batch, answers, started_s, batch_s)
        if finished:
            self._loop.call_soon_threadsafe(self._finish, finished)

    def _answer(
        self,
        batch: Sequence[Entry],
        answers: Sequence[Answer],
        started_s: float,
        batch_s: float,
    ) -> list[Ticket]:
        """Write the answers into their tickets; returns the tickets that have nothing left to wait for."""
        finished = []
        for entry, answer in zip(batch, answers, strict=True):
            ticket, places = entry.ticket, slice(entry.index, entry.index + entry.row.count)
            fault = fault_of(answer)
            if fault is None:
                ticket.values[places] = answer
                ticket.done[places] = True
            else:
                ticket.fault = ticket.fault or fault
            ticket.remaining -= entry.row.count
            ticket.queue_s = max(ticket.queue_s, started_s - entry.arrived_s)
            if ticket.remaining == 0:
                finished.append(ticket)
        for ticket in {entry.ticket for entry in batch}:
            ticket.runs[self._batches] = batch_s
        return finished

    def _account(self, batch: Sequence[Entry], priority: Priority, started_s: float, batch_s: float) -> None:
        self._batches += 1
        self.batch_s = batch_s if not self.batch_s else (1 - _SMOOTHING) * self.batch_s + _SMOOTHING * batch_s
        room = self.cost.most_rows(_padded_length(batch))
        self.statistics[priority].add_batch(batch, started_s, batch_s, room=room)

    def _finish(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            future = self._waiters.pop(ticket, None)
            if future is not None:
                _release(future)


def _padded_length(batch: Sequence[Entry]) -> int:
    return max(entry.row.length for entry in batch)


def _release(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


Batchers = Callable[[], Iterable[tuple[str, int, Batcher]]]
"""Model, version and batcher of each version that is loaded now."""
