"""Where the time of one call went."""

import time
from dataclasses import dataclass, field

from explicate_server.runtime.queue import Ticket


@dataclass
class Timings:
    """Where the time of one call went, in seconds."""

    started_s: float = field(default_factory=time.monotonic)
    queue_s: float = 0.0
    preprocessing_s: float = 0.0
    solver_s: float = 0.0
    _runs: dict[int, float] = field(default_factory=dict)

    @property
    def total_s(self) -> float:
        """Since the call arrived."""
        return time.monotonic() - self.started_s

    @property
    def model_s(self) -> float:
        """Wall time of the batches that carried rows of this call, each counted once, also those side by side."""
        return sum(self._runs.values())

    def add(self, ticket: Ticket) -> None:
        """Count a ticket's wait and its batches."""
        self.queue_s = max(self.queue_s, ticket.queue_s)
        self._runs.update(ticket.runs)
