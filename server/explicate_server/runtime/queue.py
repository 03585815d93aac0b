"""Rows that wait for the model, grouped by length so that a batch needs little padding, and whose turn is next."""

import math
import time
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
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

    def __init__(self, rows: int, outputs: int) -> None:
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

    ``index`` is its place in the ticket; a row that is several takes as many.
    """

    sequence: int
    ticket: Ticket
    index: int
    row: Row
    arrived_s: float


# A bucket's rows by ticket, in order of arrival. A leaver's rows go in one step, however many others wait; an
# OrderedDict, because finding the first key of a dict that is emptied from the front takes ever longer.
_Bucket = OrderedDict[Ticket, deque[Entry]]


class RowQueue:
    """The waiting rows of one priority class. Not thread-safe: the batcher holds its lock."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows waiting."""
        self.buckets: dict[int, _Bucket] = {}
        """They by length, none of them empty."""

    def put(self, entry: Entry) -> None:
        """Add a row at the end of its bucket."""
        bucket = self.buckets.setdefault(-(-entry.row.length // BUCKET_TOKENS), OrderedDict())
        waiting = bucket.get(entry.ticket)
        if waiting is None:
            waiting = bucket[entry.ticket] = deque()
        waiting.append(entry)
        self.rows += entry.row.count

    def take(self, most_rows: Callable[[int], int]) -> list[Entry]:
        """The oldest row and those of about its length, ``most_rows(length)`` at most; empty if no row waits."""
        if not self.buckets:
            return []
        anchor = min(self.buckets, key=lambda bucket: _first(self.buckets[bucket]).sequence)
        room = max(1, most_rows(anchor * BUCKET_TOKENS))
        batch: list[Entry] = []
        for bucket in range(anchor, int(anchor * _SHORTEST_FRACTION) - 1, -1):
            if room > 0 and bucket in self.buckets:
                room = self._take_from(bucket, batch, room)
        self.rows -= rows_in(batch)
        return batch

    def drop(self, ticket: Ticket) -> int:
        """Remove the rows of a caller who left; returns how many there were."""
        dropped = 0
        for number, bucket in list(self.buckets.items()):
            dropped += rows_in(bucket.pop(ticket, ()))
            if not bucket:
                del self.buckets[number]
        self.rows -= dropped
        return dropped

    def clear(self) -> list[Entry]:
        """Remove and return everything."""
        entries = [entry for bucket in self.buckets.values() for waiting in bucket.values() for entry in waiting]
        self.buckets.clear()
        self.rows = 0
        return entries

    def _take_from(self, number: int, batch: list[Entry], room: int) -> int:
        """Move entries to the batch as long as there is room, one in any case; returns the room left."""
        bucket = self.buckets[number]
        while bucket and room > 0:
            ticket, waiting = next(iter(bucket.items()))
            while waiting and room > 0:
                if batch and waiting[0].row.count > room:
                    return 0
                batch.append(waiting.popleft())
                room -= batch[-1].row.count
            if not waiting:
                del bucket[ticket]
        if not bucket:
            del self.buckets[number]
        return room


def rows_in(entries: Iterable[Entry]) -> int:
    """How many rows the entries are."""
    return sum(entry.row.count for entry in entries)


def _first(bucket: _Bucket) -> Entry:
    return next(iter(bucket.values()))[0]


class FairShares:
    """Which class has the next batch: the higher one first, while each lower one is sure of its share of model time.

    Classes are numbered, the one that goes first is 0. Not thread-safe: the batcher holds its lock.

    Each class has a balance in seconds of model time. A batch costs its class the part that it was not sure of, and
    gives every other class its share of it; so over any time in which a class always waits, its balance stays bounded
    and it gets its share, no less. A class that does not wait saves nothing up, and one that had the model to
    itself is never more than one batch behind.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        """``shares[k]`` is the fraction of model time that class k is sure of while it waits; it may be 0."""
        self._shares = shares
        self._balances_s = [0.0] * len(shares)

    def choose(self, waiting: Sequence[int]) -> int:
        """The class to take the next batch from, of those that wait (at least one, in rising order)."""
        for number in reversed(waiting):
            if self._balances_s[number] > 0:
                return number
        return waiting[0]

    def charge(self, chosen: int, cost_s: float, *, waiting: Collection[int]) -> None:
        """Account for a batch when it is taken, so that two lanes that choose at once do not both pay the same debt.

        ``cost_s`` is what the batch should take. ``waiting`` are the classes that still had rows when it was taken.
        """
        for number, share in enumerate(self._shares):
            balance_s = self._balances_s[number]
            if number == chosen:
                self._balances_s[number] = max(balance_s, 0.0) - (1 - share) * cost_s
            else:
                most_s = math.inf if number in waiting else 0.0
                self._balances_s[number] = min(most_s, balance_s + share * cost_s)


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
