"""What the batcher did since it started, by priority class: plain sums that the metrics read."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

# Upper bounds in seconds of the queue-time histogram: from less than one short batch to what a caller would give up at.
QUEUE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass
class QueueTimes:
    """Histogram of the seconds that rows waited. ``counts`` has one more bucket than bounds, for the longest waits."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(QUEUE_BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, waits_s: Sequence[float]) -> None:
        """Count the waits of one batch's rows."""
        for wait_s in waits_s:
            self.counts[bisect_left(QUEUE_BOUNDS_S, wait_s)] += 1
        self.sum_s += sum(waits_s)


@dataclass
class ClassStatistics:
    """Sums of one class. Rows are ``dropped`` when their caller left them waiting, ``refused`` when the queue was full.

    ``padded_tokens`` are all that went through the model, ``tokens`` those that rows asked for.
    """

    batches: int = 0
    rows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    busy_s: float = 0.0
    dropped_rows: int = 0
    refused_rows: int = 0
    queue_times: QueueTimes = field(default_factory=QueueTimes)

    def add_batch(self, lengths: Sequence[int], waits_s: Sequence[float], busy_s: float) -> None:
        """Count a batch: its rows' lengths in tokens, how long each waited, and how long the model took."""
        self.batches += 1
        self.rows += len(lengths)
        self.tokens += sum(lengths)
        self.padded_tokens += len(lengths) * max(lengths)
        self.busy_s += busy_s
        self.queue_times.add(waits_s)
