"""What ModelStatistics tells of the requests that came by this protocol, by version."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from explicate_server.inference.evaluations import Timings
from explicate_server.registry.records import ServedModel


@dataclass
class Tally:
    """The requests of one version since it was first asked.

    Attributes:
        inputs: rows, texts or images of requests that were answered.
        succeeded, failed: how many requests, and their seconds.
        queue_s, input_s, model_s, output_s: where the time of those that succeeded went: waiting for the model, making
            inputs ready, in the model, and all else up to the answer.
        last_ms: when the last one ended, in milliseconds since 1970.
    """

    inputs: int = 0
    succeeded: int = 0
    succeeded_s: float = 0.0
    failed: int = 0
    failed_s: float = 0.0
    queue_s: float = 0.0
    input_s: float = 0.0
    model_s: float = 0.0
    output_s: float = 0.0
    last_ms: int = 0

    def add(self, inputs: int, seconds: float, parts: list[Timings]) -> None:
        """Count a request that was answered, of whose time ``parts`` know."""
        queue_s = sum(part.queue_s for part in parts)
        input_s = sum(part.preprocessing_s for part in parts)
        model_s = sum(part.model_s for part in parts)
        self.inputs += inputs
        self.succeeded += 1
        self.succeeded_s += seconds
        self.queue_s += queue_s
        self.input_s += input_s
        self.model_s += model_s
        self.output_s += max(0.0, seconds - queue_s - input_s - model_s)


@dataclass
class Tallies:
    """Of all versions of one server, by model and number."""

    of: dict[tuple[str, int], Tally] = field(default_factory=lambda: defaultdict(Tally))

    @contextmanager
    def counted(self, served: ServedModel, inputs: int) -> Iterator[list[Timings]]:
        """Count a request, which the block answers; it puts in where the time of its inputs went."""
        tally, parts, started_s, succeeded = self.of[served.name, served.version], [], time.monotonic(), False
        try:
            yield parts
            succeeded = True
        finally:
            seconds = time.monotonic() - started_s
            tally.last_ms = time.time_ns() // 1_000_000
            if succeeded:
                tally.add(inputs, seconds, parts)
            else:
                tally.failed += 1
                tally.failed_s += seconds
