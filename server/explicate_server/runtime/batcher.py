"""Rows of many callers, run through one model in full batches.

A batch is formed when the model becomes free, never on a timer, so that an idle server answers at once and a busy one
batches by itself. One thread for each lane of each instance, which is a session on one device, takes rows, runs them
and hands the values back; callers live on the event loop. A batch is bounded by the seconds it should take on its
device, so nobody waits for more than one short batch of others, and a slow device takes few rows at a time.

Where a batch takes less time than the hand-over to a thread and back, which is .3 ms, the event loop runs it itself
while the lanes have nothing to do: all rows that its turn has brought, in one batch.

An instance whose device was lost takes no more rows. What it had is run on another one, once; where none is left,
everybody who waits is told so.
"""

import asyncio
import copy
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import replace
from enum import IntEnum

from explicate_server import tracing
from explicate_server.errors import NotServing, Overloaded, ServerError
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.device_faults import DeviceLost
from explicate_server.runtime.instance import Answer, Collate, Instance, Ran, device_lost, fault_of
from explicate_server.runtime.queue import ClassStatistics, Entry, Row, RowQueue, Ticket, rows_in
from explicate_server.runtime.turns import FairShares, Turns
from explicate_server.shared_room import Lack, lack

_log = logging.getLogger(__name__)
# Weight of the newest batch in the running average.
_SMOOTHING = 0.1
# What the event loop runs itself: to hand a row of a small table over to a lane and its answer back took .3 ms of
# processor time, four times what the model takes.
_MOST_HERE_S = 0.0005
_MOST_ROWS_HERE = 64


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
    """Feeds the instances of a model from bounded queues. What does not say otherwise is called on the event loop.

    Attributes:
        instances: run the batches, each on a device of its own.
        queues: the rows that wait, by class; for the thread that holds the lock.
        turns: whose rows go next; for the same.
        statistics: sums since the start, by class.
        batch_s: running average of a batch's wall time, in seconds.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        collate: Collate,
        *,
        outputs: int,
        max_queued_rows: Mapping[Priority, int],
        name: str,
    ) -> None:
        """``max_queued_rows`` bounds the rows that wait in a class, which callers share as `shared_room` says.

        A class that is not in it is not bounded.
        """
        self.instances = instances
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
        self._running_here = False
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        self._batches = 0
        self.statistics = {priority: ClassStatistics() for priority in Priority}
        self.batch_s = 0.0
        self._threads = [
            threading.Thread(target=self._serve, args=(instance,), name=f"batcher-{name}-{lane}", daemon=True)
            for instance in instances
            for lane in range(instance.lanes)
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
            NotServing: the batcher was closed, or no device is left.
        """
        ticket = Ticket(sum(row.count for row in rows), self._outputs, caller)
        now_s = time.monotonic()
        with self._changed:
            if self._closed:
                raise NotServing("MODEL_UNLOADED", "the model version is being unloaded", retry_after_s=1.0)
            if not self._alive:
                raise device_lost(self._why_none)
            if not admitted:
                self._refuse_over_limit(ticket, priority)
            if rows:
                self.turns.come(caller)
            queue, index = self.queues[priority], 0
            for row in rows:
                queue.put(Entry(self._sequence, ticket, index, row, now_s))
                self._sequence += 1
                index += row.count
            self._have_run()
        self._waiters[ticket] = self._loop.create_future()
        if not rows:
            self._finish([ticket])
        return ticket

    async def wait(self, ticket: Ticket, *, timeout_s: float | None) -> bool:
        """Whether all rows were done within ``timeout_s``. A caller that stops waiting for a ticket abandons it.

        Raises:
            ModelFault, Overloaded: the model failed on one of the rows, or there was too little memory for it.
            NotServing: the model was unloaded, or no device is left.
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
            left = self._fail_waiting(self._unloaded())
            self._changed.notify_all()
        self._loop.call_soon_threadsafe(self._finish, left)
        for thread in self._threads:
            thread.join()

    @property
    def queued_rows(self) -> dict[Priority, int]:
        """Rows waiting now, by class; for any thread."""
        with self._changed:
            return {priority: queue.rows for priority, queue in self.queues.items()}

    def oldest_waits_s(self) -> dict[Priority, float]:
        """Seconds that the oldest waiting row of each class has waited; for any thread."""
        with self._changed:
            now_s = time.monotonic()
            return {priority: queue.oldest_s(now_s) for priority, queue in self.queues.items()}

    def snapshot(self) -> dict[Priority, ClassStatistics]:
        """A copy of the statistics whose sums fit together; for any thread."""
        with self._changed:
            return copy.deepcopy(self.statistics)

    @property
    def running_s(self) -> float:
        """Seconds that the oldest batch in the model has taken so far; 0 when it is idle. For any thread."""
        with self._changed:
            return max(instance.running_s for instance in self.instances)

    def answers_within(self, batch_s: float) -> bool:
        """Whether a device is left that is not in one batch for longer than so many seconds. For any thread."""
        with self._changed:
            return any(instance.running_s <= batch_s for instance in self._alive)

    @property
    def cost(self) -> BatchCost:
        """What a batch takes on the first device that is left; shares and turns are counted in it."""
        return next((instance for instance in self.instances if not instance.lost), self.instances[0]).cost

    @property
    def _alive(self) -> list[Instance]:
        return [instance for instance in self.instances if not instance.lost]

    @property
    def lost(self) -> dict[str, str]:
        """Devices that answer no more, with why. For any thread."""
        return {instance.name: instance.lost for instance in self.instances if instance.lost}

    @property
    def _why_none(self) -> str:
        """Why no device is left."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.lost.items())

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

    def _have_run(self) -> None:
        """Let the event loop or a lane run what waits; called with the lock."""
        if self._running_here:
            return
        if self._at_hand() is None:
            self._changed.notify()
            return
        self._running_here = True
        # The others that this turn of the loop lets go on have their rows in the batch. Its spans belong to no call.
        self._loop.call_soon(self._run_here, context=Context())

    def _at_hand(self) -> Instance | None:
        """An idle instance that the event loop may run what waits on, because it takes so little time."""
        waiting = [queue for queue in self.queues.values() if queue.rows]
        rows = sum([queue.rows for queue in waiting])
        if not 0 < rows <= _MOST_ROWS_HERE:
            return None
        length = sum([queue.tokens for queue in waiting]) // rows
        for instance in self.instances:
            if instance.runs_here and not (instance.running or instance.lost):
                return instance if instance.cost.seconds(rows, length) <= _MOST_HERE_S else None
        return None

    def _run_here(self) -> None:
        """Run what waits, unless a lane has taken it meanwhile or it has become too much."""
        with self._changed:
            self._running_here = False
            instance = self._at_hand()
            if instance is None or self._closed:
                self._changed.notify()
                return
            batch = self._take(instance)
        self._finish(self._run(batch, instance))
        with self._changed:
            if any(queue.rows for queue in self.queues.values()):  # of another class, or longer ones
                self._have_run()

    def _end_turns(self, callers: Iterable[str]) -> None:
        """Forget the turns of those who have no rows left."""
        self.turns.leave([caller for caller in callers if not any(q.held(caller) for q in self.queues.values())])

    def _fail_waiting(self, fault: ServerError) -> list[Ticket]:
        """Take all rows out of the queues; returns their tickets, which fail."""
        left = {entry.ticket for queue in self.queues.values() for entry in queue.clear()}
        for ticket in left:
            ticket.fault = fault
        return list(left)

    def _unloaded(self) -> NotServing:
        return NotServing("MODEL_UNLOADED", "the model version was unloaded", retry_after_s=1.0)

    # The batcher's own threads from here on.

    def _serve(self, instance: Instance) -> None:
        while self._run_next(instance):
            pass

    def _run_next(self, instance: Instance) -> bool:
        """Wait for rows and run a batch of them; False once closed or lost. While idle, no frame holds rows."""
        with self._changed:
            while not (self._closed or instance.lost or any(queue.rows for queue in self.queues.values())):
                self._changed.wait()
            if self._closed or instance.lost:
                self._changed.notify()  # this lane was told of rows, perhaps, that another one has to run
                return False
            batch = self._take(instance)
            if any(queue.rows for queue in self.queues.values()):
                self._changed.notify()
        finished = self._run(batch, instance)
        if finished:
            self._loop.call_soon_threadsafe(self._finish, finished)
        return True

    def _take(self, instance: Instance) -> "_Batch":
        """The rows that an instance runs next; it has begun with them."""
        waiting = [p for p, queue in self.queues.items() if queue.rows]
        owed = self._shares.owed(waiting)
        priority = self._next_class(waiting) if owed is None else Priority(owed)
        queue = self.queues[priority]
        turns = list(queue.callers)
        if len(turns) > 1:
            turns = self.turns.order(queue.parts(self.cost.part))
        batch = _Batch(priority, queue.take(turns, instance.cost.most_rows))
        waiting = [p for p, queue in self.queues.items() if queue.rows]
        self._shares.charge(priority, self.cost.seconds(batch.rows, batch.length), waiting=waiting)
        self._charge(batch)
        instance.begin()
        return batch

    def _next_class(self, waiting: Sequence[Priority]) -> Priority:
        """The class of the caller whose turn it is; BULK when nothing else waits."""
        urgent = [priority for priority in waiting if priority in _HEAD_START]
        if len(urgent) < 2:
            return waiting[0]
        parts = {priority: self.queues[priority].parts(self.cost.part) for priority in urgent}
        return min(urgent, key=lambda priority: self.turns.first_end(parts[priority]) - _HEAD_START[priority])

    def _charge(self, batch: "_Batch") -> None:
        rows: dict[str, int] = {}
        for entry in batch.entries:
            caller = entry.ticket.caller
            rows[caller] = rows.get(caller, 0) + entry.row.count
        part = self.cost.part(batch.rows, batch.length)
        for caller, count in rows.items():
            self.turns.charge(caller, part * count / batch.rows)
        self._end_turns(rows)

    def _run(self, batch: "_Batch", instance: Instance) -> list[Ticket]:
        """Run a batch, without the lock; returns the tickets that have nothing left to wait for."""
        started_s = time.monotonic()
        callers = (entry.ticket.traced for entry in batch.entries)
        priority = batch.priority
        try:
            with tracing.batch(callers, model=self._name, rows=batch.rows, priority=priority.name.lower()):
                ran = instance.run([entry.row for entry in batch.entries], self._collate, outputs=self._outputs)
        except BaseException:
            with self._changed:
                instance.end()
            raise
        batch_s = time.monotonic() - started_s
        with self._changed:
            instance.end()
            finished = self._lose(instance, ran.lost) if ran.lost else []
            answered = self._run_again(batch, ran) if ran.lost else list(zip(batch.entries, ran.answers, strict=True))
            if answered:
                done = (
                    batch if len(answered) == len(batch.entries) else _Batch(priority, [each for each, _ in answered])
                )
                instance.observe(ran, rows=done.rows, length=done.length, seconds=batch_s)
                self._account(done, started_s, batch_s, instance.cost)
                finished += self._answer(answered, started_s, batch_s)
        return finished

    def _lose(self, instance: Instance, reason: str) -> list[Ticket]:
        """Take an instance out; returns tickets that nobody can answer any more."""
        if not instance.lost:  # another of its lanes may have said so before
            instance.lost = reason
            _log.error("%s: %s answers no more: %s", self._name, instance.name, reason)
        self._changed.notify_all()
        return [] if self._alive else self._fail_waiting(device_lost(self._why_none))

    def _run_again(self, batch: "_Batch", ran: Ran) -> list[tuple[Entry, Answer]]:
        """Queue what a lost device had, if another can take it; returns the entries that have an answer.

        Nothing is run a third time: a row that takes devices down would take them all.
        """
        answered: list[tuple[Entry, Answer]] = []
        for entry, answer in zip(batch.entries, ran.answers, strict=True):
            if isinstance(answer, DeviceLost) and not entry.again and self._alive and not self._closed:
                self.turns.come(entry.ticket.caller)
                self.queues[batch.priority].put(replace(entry, again=True))
            else:
                answered.append((entry, answer))
        return answered

    def _answer(self, answered: Sequence[tuple[Entry, Answer]], started_s: float, batch_s: float) -> list[Ticket]:
        """Write the answers into their tickets; returns the tickets that have nothing left to wait for."""
        finished = []
        for entry, answer in answered:
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
        for ticket in {entry.ticket for entry, _ in answered}:
            ticket.runs[self._batches] = batch_s
        return finished

    def _account(self, batch: "_Batch", started_s: float, batch_s: float, cost: BatchCost) -> None:
        self._batches += 1
        self.batch_s = batch_s if not self.batch_s else (1 - _SMOOTHING) * self.batch_s + _SMOOTHING * batch_s
        room = cost.most_rows(batch.length)
        self.statistics[batch.priority].add_batch(batch.entries, started_s, batch_s, room=room)

    def _finish(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            future = self._waiters.pop(ticket, None)
            if future is not None:
                _release(future)


class _Batch:
    """Entries of one class that run together: so many rows, padded to so many tokens."""

    __slots__ = ("entries", "length", "priority", "rows")

    def __init__(self, priority: Priority, entries: list[Entry]) -> None:
        self.priority = priority
        self.entries = entries
        self.rows = rows_in(entries)
        self.length = max(entry.row.length for entry in entries)


def _release(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


Batchers = Callable[[], Iterable[tuple[str, int, Batcher]]]
"""Model, version and batcher of each version that is loaded now."""
