"""Rows of many callers, run through one model in full batches.

A batch is formed when the model becomes free, never on a timer, so that an idle server answers at once and a busy one
batches by itself. One thread for each lane of each instance, which is a session on one device, takes rows, runs them
and hands the values back; callers live on the event loop. A batch is bounded by the seconds it should take on its
device, so nobody waits for more than one short batch of others, and a slow device takes few rows at a time.

Where a batch takes less time than the hand-over to a thread and back, which is .3 ms, the event loop runs it itself
while the lanes have nothing to do: all rows that its turn has brought, in one batch (`loop_guard` watches it).

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

from explicate_server import tracing
from explicate_server.errors import NotServing, Overloaded, ServerError
from explicate_server.loop_guard import GUARD
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.device_faults import DeviceLost
from explicate_server.runtime.instance import Answer, Collate, Instance, Ran, at_hand, device_lost, fault_of
from explicate_server.runtime.queue import ClassStatistics, Entry, Row, Ticket
from explicate_server.runtime.waiting_rows import SHARES, Batch, Priority, WaitingRows

__all__ = ["SHARES", "Batcher", "Batchers", "Priority"]
_log = logging.getLogger(__name__)
# Weight of the newest batch in the running average.
_SMOOTHING = 0.1
# Of a row, until one has run.
_ROW_S = 0.01


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
        self._waiting = WaitingRows()
        self.queues, self.turns = self._waiting.queues, self._waiting.turns
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
                raise _unloaded("is being unloaded")
            if not self._alive:
                raise self._none_left()
            if not admitted:
                self._refuse_over_limit(ticket.remaining, caller, priority)
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

    def run_at_once(self, rows: Sequence[Row], *, priority: Priority, caller: str) -> Ticket | None:
        """The ticket of rows that were run here and now, because that takes no longer than to queue them; else None."""
        count, longest = sum([row.count for row in rows]), max([row.length for row in rows])
        with self._changed:
            instance = None if self._closed or self._waiting else at_hand(self.instances, count, longest, at_once=True)
            if instance is None:
                return None
            ticket = Ticket(count, self._outputs, caller)
            batch = self._waiting.pass_by(ticket, rows, priority, self.cost)
            instance.begin()
        with GUARD.holding(self._name):
            Context().run(self._run, batch, instance)  # its spans belong to no call
        tracing.waited(ticket.arrived_s, ticket.queue_s, count)
        with self._changed:
            if ticket.remaining:  # its device was lost, and another one has them now
                self._waiters[ticket] = self._loop.create_future()
                self._changed.notify()
        return ticket

    def check_room(self, rows: int, *, priority: Priority, caller: str) -> None:
        """Refuse rows that :meth:`submit` would refuse now, before they are made.

        Raises:
            Overloaded: the queue cannot take them all, or the caller has its share of it.
        """
        with self._changed:
            self._refuse_over_limit(rows, caller, priority)

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
                for priority, rows in self._waiting.drop(ticket).items():
                    self.statistics[priority].dropped_rows += rows
        self._finish([ticket])

    def close(self) -> None:
        """Fail what still waits and end the lanes after their batches, for which it blocks; not on the event loop."""
        with self._changed:
            self._closed = True
            left = self._fail_waiting(_unloaded("was unloaded"))
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

    def _none_left(self) -> NotServing:
        return device_lost("; ".join(f"{name}: {reason}" for name, reason in self.lost.items()))

    @property
    def waiting_tickets(self) -> int:
        """Tickets that a caller waits for, or did not abandon."""
        return len(self._waiters)

    def _refuse_over_limit(self, rows: int, caller: str, priority: Priority) -> None:
        done, most = self.statistics[priority], self._max_queued_rows.get(priority)
        if most is None:
            return
        try:
            row_s = done.busy_s / done.rows if done.rows else _ROW_S
            self._waiting.check_room(rows, caller, priority, most=most, row_s=row_s)
        except Overloaded:
            done.refused_rows += rows
            raise

    def _have_run(self) -> None:
        """Let the event loop or a lane run what waits; called with the lock."""
        if self._running_here:
            return
        if at_hand(self.instances, *self._waiting.size) is None:
            self._changed.notify()
            return
        self._running_here = True
        # The others that this turn of the loop lets go on have their rows in the batch. Its spans belong to no call.
        self._loop.call_soon(self._run_here, context=Context())

    def _run_here(self) -> None:
        """Run what waits, unless a lane has taken it meanwhile or it has become too much."""
        with self._changed:
            self._running_here = False
            instance = at_hand(self.instances, *self._waiting.size)
            if instance is None or self._closed:
                self._changed.notify()
                return
            batch = self._take(instance)
        with GUARD.holding(self._name):
            finished = self._run(batch, instance)
        self._finish(finished)
        with self._changed:
            if self._waiting:  # of another class, or longer ones
                self._have_run()

    def _fail_waiting(self, fault: ServerError) -> list[Ticket]:
        """Take all rows out of the queues; returns their tickets, which fail."""
        left = self._waiting.clear()
        for ticket in left:
            ticket.fault = fault
        return list(left)

    # The batcher's own threads from here on.

    def _serve(self, instance: Instance) -> None:
        while self._run_next(instance):
            pass

    def _run_next(self, instance: Instance) -> bool:
        """Wait for rows and run a batch of them; False once closed or lost. While idle, no frame holds rows."""
        with self._changed:
            while not (self._closed or instance.lost or self._waiting):
                self._changed.wait()
            if self._closed or instance.lost:
                self._changed.notify()  # this lane was told of rows, perhaps, that another one has to run
                return False
            batch = self._take(instance)
            if self._waiting:
                self._changed.notify()
        finished = self._run(batch, instance)
        if finished:
            self._loop.call_soon_threadsafe(self._finish, finished)
        return True

    def _take(self, instance: Instance) -> Batch:
        """The rows that an instance runs next; it has begun with them."""
        batch = self._waiting.take(instance.cost, self.cost)
        instance.begin()
        return batch

    def _run(self, batch: Batch, instance: Instance) -> list[Ticket]:
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
                done = batch if len(answered) == len(batch.entries) else Batch(priority, [each for each, _ in answered])
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
        return [] if self._alive else self._fail_waiting(self._none_left())

    def _run_again(self, batch: Batch, ran: Ran) -> list[tuple[Entry, Answer]]:
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

    def _account(self, batch: Batch, started_s: float, batch_s: float, cost: BatchCost) -> None:
        self._batches += 1
        self.batch_s = batch_s if not self.batch_s else (1 - _SMOOTHING) * self.batch_s + _SMOOTHING * batch_s
        room = cost.most_rows(batch.length)
        self.statistics[batch.priority].add_batch(batch.entries, started_s, batch_s, room=room)

    def _finish(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            future = self._waiters.pop(ticket, None)
            if future is not None:
                _release(future)


def _unloaded(what: str) -> NotServing:
    return NotServing("MODEL_UNLOADED", f"the model version {what}", retry_after_s=1.0)


def _release(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


Batchers = Callable[[], Iterable[tuple[str, int, Batcher]]]
"""Model, version and batcher of each version that is loaded now."""
