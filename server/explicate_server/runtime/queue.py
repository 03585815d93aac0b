"""Rows that wait for the model, by caller, and grouped by length so that a batch needs little padding."""

import time
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explicate_server import tracing

# Rows whose lengths differ by less than this share a bucket.
BUCKET_TOKENS = 4
# A batch takes rows from shorter buckets down to this fraction of its own length: padding stays below a quarter.
_SHORTEST_FRACTION = 0.75


@dataclass(frozen=True, slots=True)
class Row:
    """One row for the model, or several of one length that stay together.

    Attributes:
        length: of each row, in tokens.
        values: what the modality's ``collate`` understands: an array, or what becomes one in a batch.
        count: how many rows it is.
    """

    length: int
    values: Any
    count: int = 1


class Ticket:
    """A caller's rows in the batcher: their values as they arrive, and a way to leave.

    ``values`` float64[rows, outputs] and ``done`` bool[rows] are complete once ``wait`` returned True, and right for
    the rows marked done at any time.
    """

    def __init__(self, rows: int, outputs: int, caller: str = "") -> None:
        self.caller = caller
        """Whose rows they are, as shares are counted."""
        self.values = np.full((rows, outputs), np.nan)
        self.done = np.zeros(rows, dtype=np.bool_)
        self.queue_s = 0.0
        self.runs: dict[int, float] = {}
        """Wall time in seconds of each batch that carried its rows, by the batch's number."""
        self.remaining = rows
        self.fault: Exception | None = None
        self.arrived_s = time.monotonic()
        self.traced = tracing.current()
        """What the spans of its batches link to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One waiting row: its place in line, whose it is, and when it came (monotonic seconds).

    ``index`` is its place in the ticket; a row that is several takes as many. ``again`` tells that a device was lost
    while it ran there.
    """

    sequence: int
    ticket: Ticket
    index: int
    row: Row
    arrived_s: float
    again: bool = False


# A bucket's rows by ticket, in order of arrival. A leaver's rows go in one step, however many others wait; an
# OrderedDict, because finding the first key of a dict that is emptied from the front takes ever longer.
_Bucket = OrderedDict[Ticket, deque[Entry]]


class CallerRows:
    """The waiting rows of one caller.

    Attributes:
        rows: how many there are.
        tokens: the sum of their lengths.
        buckets: they by length, none of them empty.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.tokens = 0
        self.buckets: dict[int, _Bucket] = {}

    def put(self, entry: Entry) -> None:
        """Add a row at the end of its bucket."""
        bucket = self.buckets.setdefault(-(-entry.row.length // BUCKET_TOKENS), OrderedDict())
        waiting = bucket.get(entry.ticket)
        if waiting is None:
            waiting = bucket[entry.ticket] = deque()
        waiting.append(entry)
        self._count(entry, 1)

    @property
    def oldest(self) -> int:
        """The bucket of the oldest row."""
        return min(self.buckets, key=lambda bucket: _first(self.buckets[bucket]).sequence)

    @property
    def oldest_arrival_s(self) -> float:
        """When the oldest row came, in monotonic seconds."""
        return min(_first(bucket).arrived_s for bucket in self.buckets.values())

    def take(self, longest: int, batch: list[Entry], room: int) -> int:
        """Move rows of this bucket, then of somewhat shorter ones, to the batch, so many at most; returns how many.

        To an empty batch it moves one in any case.
        """
        before = self.rows
        for bucket in range(longest, int(longest * _SHORTEST_FRACTION) - 1, -1):
            left = room - (before - self.rows)
            if left > 0 and bucket in self.buckets:
                self._take_from(bucket, batch, left)
        return before - self.rows

    def drop(self, ticket: Ticket) -> int:
        """Remove the rows of a ticket; returns how many there were."""
        before = self.rows
        for number, bucket in list(self.buckets.items()):
            for entry in bucket.pop(ticket, ()):
                self._count(entry, -1)
            if not bucket:
                del self.buckets[number]
        return before - self.rows

    def entries(self) -> list[Entry]:
        """All of them."""
        return [entry for bucket in self.buckets.values() for waiting in bucket.values() for entry in waiting]

    def _count(self, entry: Entry, sign: int) -> None:
        self.rows += sign * entry.row.count
        self.tokens += sign * entry.row.count * entry.row.length

    def _take_from(self, number: int, batch: list[Entry], room: int) -> None:
        """Move entries to the batch as long as there is room."""
        bucket = self.buckets[number]
        while bucket and room > 0:
            ticket, waiting = next(iter(bucket.items()))
            while waiting and room > 0:
                if batch and waiting[0].row.count > room:
                    return
                batch.append(waiting.popleft())
                self._count(batch[-1], -1)
                room -= batch[-1].row.count
            if not waiting:
                del bucket[ticket]
        if not bucket:
            del self.buckets[number]


class RowQueue:
    """The waiting rows of one priority class. Not thread-safe: the batcher holds its lock.

    Attributes:
        rows: how many there are.
        callers: they by caller, those without any left out.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.callers: dict[str, CallerRows] = {}

    def put(self, entry: Entry) -> None:
        """Add a row behind those of its caller."""
        caller = self.callers.get(entry.ticket.caller)
        if caller is None:
            caller = self.callers[entry.ticket.caller] = CallerRows()
        caller.put(entry)
        self.rows += entry.row.count

    @property
    def tokens(self) -> int:
        """The sum of their lengths."""
        return sum(waiting.tokens for waiting in self.callers.values())

    def held(self, caller: str) -> int:
        """How many rows of a caller wait."""
        return self.callers[caller].rows if caller in self.callers else 0

    def oldest_s(self, now_s: float) -> float:
        """Seconds that the oldest row has waited at ``now_s``, monotonic; 0 when none waits."""
        arrivals = [waiting.oldest_arrival_s for waiting in self.callers.values()]
        return max(0.0, now_s - min(arrivals)) if arrivals else 0.0

    def parts(self, part: Callable[[int, int], float]) -> dict[str, float]:
        """What each caller has waiting, as ``part(rows, length)`` of a batch, at most a whole one."""
        return {
            caller: min(1.0, part(waiting.rows, waiting.tokens // waiting.rows))
            for caller, waiting in self.callers.items()
        }

    def take(self, turns: Sequence[str], most_rows: Callable[[int], int]) -> list[Entry]:
        """The oldest row of the first caller and those of about its length, ``most_rows(length)`` at most.

        The others, in the order of their turns, fill what the first one leaves, each with as many rows as that one has
        at most: a caller with one row does not wait until many of another's have gone through the model with it.
        """
        longest = self.callers[turns[0]].oldest
        room = max(1, most_rows(longest * BUCKET_TOKENS))
        share = room
        batch: list[Entry] = []
        for caller in turns:
            if room > 0:
                taken = self.callers[caller].take(longest, batch, min(room, share))
                self._forget(caller)
                room -= taken
                share = min(share, taken) if caller == turns[0] else share
        self.rows -= rows_in(batch)
        return batch

    def drop(self, ticket: Ticket) -> int:
        """Remove the rows of a caller who left; returns how many there were."""
        caller = ticket.caller
        dropped = self.callers[caller].drop(ticket) if caller in self.callers else 0
        self._forget(caller)
        self.rows -= dropped
        return dropped

    def clear(self) -> list[Entry]:
        """Remove and return everything."""
        entries = [entry for waiting in self.callers.values() for entry in waiting.entries()]
        self.callers.clear()
        self.rows = 0
        return entries

    def _forget(self, caller: str) -> None:
        if caller in self.callers and not self.callers[caller].buckets:
            del self.callers[caller]


def rows_in(entries: Iterable[Entry]) -> int:
    """How many rows the entries are."""
    return sum(entry.row.count for entry in entries)


def _first(bucket: _Bucket) -> Entry:
    return next(iter(bucket.values()))[0]


# Upper bounds in seconds of the queue-time histogram: from less than one short batch to what a caller would give up at.
QUEUE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass
class QueueTimes:
    """Histogram of the seconds that rows waited. ``counts`` has one more bucket than bounds, for the longest waits."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(QUEUE_BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, wait_s: float, rows: int) -> None:
        """Count the wait of a number of rows."""
        self.counts[bisect_left(QUEUE_BOUNDS_S, wait_s)] += rows
        self.sum_s += wait_s * rows


@dataclass
class ClassStatistics:
    """Sums of one class. Rows are ``dropped`` when their caller left them waiting, ``refused`` when the queue was full.

    ``padded_tokens`` are all that went through the model, ``tokens`` those that rows asked for. ``capacity_rows`` are
    what the batches had room for.
    """

    batches: int = 0
    rows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    capacity_rows: int = 0
    busy_s: float = 0.0
    dropped_rows: int = 0
    refused_rows: int = 0
    queue_times: QueueTimes = field(default_factory=QueueTimes)

    def add_batch(self, batch: Sequence[Entry], started_s: float, busy_s: float, *, room: int) -> None:
        """Count a batch: when it started (monotonic seconds), how long the model took, and how many rows it could have.

        A single row that is more rows than there is room for goes alone.
        """
        rows = rows_in(batch)
        self.capacity_rows += max(room, rows)
        self.batches += 1
        self.rows += rows
        self.tokens += sum(entry.row.length * entry.row.count for entry in batch)
        self.padded_tokens += rows * max(entry.row.length for entry in batch)
        self.busy_s += busy_s
        for entry in batch:
            self.queue_times.add(started_s - entry.arrived_s, entry.row.count)
