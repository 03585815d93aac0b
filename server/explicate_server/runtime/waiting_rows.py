"""The rows that wait for a model, by class, and which of them make the next batch."""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from explicate_server.errors import Overloaded
from explicate_server.runtime.batch_cost import BatchCost
from explicate_server.runtime.queue import Entry, Row, RowQueue, Ticket, rows_in
from explicate_server.runtime.turns import FairShares, Turns
from explicate_server.shared_room import Lack, lack


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


class Batch:
    """Entries of one class that run together: so many rows, padded to so many tokens."""

    __slots__ = ("entries", "length", "priority", "rows")

    def __init__(self, priority: Priority, entries: list[Entry]) -> None:
        self.priority = priority
        self.entries = entries
        self.rows = rows_in(entries)
        self.length = max(entry.row.length for entry in entries)


class WaitingRows:
    """Not thread-safe: the batcher holds its lock.

    Attributes:
        queues: the rows by class.
        turns: whose rows go next.
    """

    def __init__(self) -> None:
        self.queues: Mapping[Priority, RowQueue] = {priority: RowQueue() for priority in Priority}
        self.turns = Turns()
        self._shares = FairShares([SHARES[priority] for priority in Priority])

    def __bool__(self) -> bool:
        """Whether there are any."""
        return any(queue.rows for queue in self.queues.values())

    @property
    def size(self) -> tuple[int, int]:
        """How many there are, and about how many tokens each has."""
        waiting = [queue for queue in self.queues.values() if queue.rows]
        rows = sum([queue.rows for queue in waiting])
        return rows, sum([queue.tokens for queue in waiting]) // max(1, rows)

    def check_room(self, rows: int, caller: str, priority: Priority, *, most: int, row_s: float) -> None:
        """Refuse more rows of a caller than a class has room for, of ``most`` in all; each takes the model so long.

        Raises:
            Overloaded: the queue cannot take them all, or the caller has its share of it.
        """
        queue = self.queues[priority]
        held = queue.held(caller)
        missing = lack(rows, held=held, taken=queue.rows, most=most)
        retry_after_s = max(0.05, queue.rows * row_s)
        if missing is Lack.SHARE:
            detail = f"{held:,} rows of yours are waiting already; the rest is kept for others"
            raise Overloaded("CALLER_LIMIT", detail, retry_after_s=retry_after_s)
        if missing:
            raise Overloaded("QUEUE_FULL", f"{queue.rows:,} rows are waiting already", retry_after_s=retry_after_s)

    def take(self, most_rows_of: BatchCost, cost: BatchCost) -> Batch:
        """The next batch, for a device on which batches cost ``most_rows_of``; shares and turns are counted in
        ``cost``.
        """
        waiting = [priority for priority, queue in self.queues.items() if queue.rows]
        owed = self._shares.owed(waiting)
        priority = self._next_class(waiting, cost) if owed is None else Priority(owed)
        queue = self.queues[priority]
        turns = list(queue.callers)
        if len(turns) > 1:
            turns = self.turns.order(queue.parts(cost.part))
        batch = Batch(priority, queue.take(turns, most_rows_of.most_rows))
        waiting = [priority for priority, queue in self.queues.items() if queue.rows]
        self._shares.charge(priority, cost.seconds(batch.rows, batch.length), waiting=waiting)
        self._charge(batch, cost)
        return batch

    def pass_by(self, ticket: Ticket, rows: Sequence[Row], priority: Priority, cost: BatchCost) -> Batch:
        """A batch of rows that do not wait, because nothing does; its caller and class pay for it as for any."""
        entries, index = [], 0
        for row in rows:
            entries.append(Entry(0, ticket, index, row, ticket.arrived_s))
            index += row.count
        batch = Batch(priority, entries)
        self.turns.come(ticket.caller)
        self._shares.charge(priority, cost.seconds(batch.rows, batch.length), waiting=())
        self._charge(batch, cost)
        return batch

    def drop(self, ticket: Ticket) -> dict[Priority, int]:
        """Take out the rows of a ticket; returns how many there were of each class."""
        dropped = {priority: queue.drop(ticket) for priority, queue in self.queues.items()}
        self._end_turns([ticket.caller])
        return dropped

    def clear(self) -> set[Ticket]:
        """Take out all rows; returns their tickets."""
        return {entry.ticket for queue in self.queues.values() for entry in queue.clear()}

    def _next_class(self, waiting: Sequence[Priority], cost: BatchCost) -> Priority:
        """The class of the caller whose turn it is; BULK when nothing else waits."""
        urgent = [priority for priority in waiting if priority in _HEAD_START]
        if len(urgent) < 2:
            return waiting[0]
        parts = {priority: self.queues[priority].parts(cost.part) for priority in urgent}
        return min(urgent, key=lambda priority: self.turns.first_end(parts[priority]) - _HEAD_START[priority])

    def _charge(self, batch: Batch, cost: BatchCost) -> None:
        rows: dict[str, int] = {}
        for entry in batch.entries:
            caller = entry.ticket.caller
            rows[caller] = rows.get(caller, 0) + entry.row.count
        part = cost.part(batch.rows, batch.length)
        for caller, count in rows.items():
            self.turns.charge(caller, part * count / batch.rows)
        self._end_turns(rows)

    def _end_turns(self, callers: Iterable[str]) -> None:
        """Forget the turns of those who have no rows left."""
        self.turns.leave([caller for caller in callers if not any(q.held(caller) for q in self.queues.values())])
