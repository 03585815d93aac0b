"""What the batcher did since it started, by priority class: plain sums that the metrics read."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from explicate_server.runtime.queue import Entry, rows_in

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
