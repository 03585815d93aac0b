"""Rows that wait for the model, grouped by length so that a batch needs little padding."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows whose lengths differ by less than this share a bucket.
_BUCKET_TOKENS = 4
# A batch takes rows from shorter buckets down to this fraction of its own length: padding stays below a quarter.
_SHORTEST_FRACTION = 0.75


@dataclass(frozen=True, slots=True)
class Row:
    """One row for the model: what the modality's ``collate`` understands, and its length in tokens."""

    length: int
    values: NDArray[Any]


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


@dataclass(frozen=True, slots=True)
class Entry:
    """One waiting row: its place in line, whose it is, and when it came (monotonic seconds)."""

    sequence: int
    ticket: Ticket
    index: int
    row: Row
    arrived_s: float


@dataclass
class RowQueue:
    """The waiting rows of one priority class. Not thread-safe: the batcher holds its lock."""

    share: float
    """Fraction of model time this class is sure of while others wait too."""
    owed_s: float = 0.0
    """Model time it is behind its share."""
    rows: int = 0
    """Rows waiting."""
    _buckets: dict[int, deque[Entry]] = field(default_factory=dict)

    def put(self, entry: Entry) -> None:
        """Add a row at the end of its bucket."""
        self._buckets.setdefault(-(-entry.row.length // _BUCKET_TOKENS), deque()).append(entry)
        self.rows += 1

    def take(self, max_tokens: int) -> list[Entry]:
        """The oldest row and those of about its length, up to ``max_tokens`` padded; empty when none waits.

        One row is taken however long it is.
        """
        if not self._buckets:
            return []
        anchor = min(self._buckets, key=lambda bucket: self._buckets[bucket][0].sequence)
        capacity = max(1, max_tokens // max(1, anchor * _BUCKET_TOKENS))
        batch: list[Entry] = []
        for bucket in range(anchor, int(anchor * _SHORTEST_FRACTION) - 1, -1):
            waiting = self._buckets.get(bucket, deque())
            while waiting and len(batch) < capacity:
                batch.append(waiting.popleft())
            if not waiting:
                self._buckets.pop(bucket, None)
        self.rows -= len(batch)
        return batch

    def drop(self, ticket: Ticket) -> int:
        """Remove the rows of a caller who left; returns how many there were."""
        before = self.rows
        for bucket, waiting in list(self._buckets.items()):
            kept = deque(entry for entry in waiting if entry.ticket is not ticket)
            self.rows -= len(waiting) - len(kept)
            if kept:
                self._buckets[bucket] = kept
            else:
                del self._buckets[bucket]
        return before - self.rows

    def clear(self) -> list[Entry]:
        """Remove and return everything."""
        entries = [entry for waiting in self._buckets.values() for entry in waiting]
        self._buckets.clear()
        self.rows = 0
        return entries
