"""What ModelStatistics tells of the requests that came by this protocol, by version."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from explicate_server.inference.evaluations import Timings
from explicate_server.registry.records import ServedModel


@dataclass
class RequestSums:
    """The requests of one version since the server started.

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

    def with_others(self, others: Iterable[Mapping[str, Any]]) -> "RequestSums":
        """This and what other processes have counted."""
        every = [asdict(self), *others]
        last_ms = max(each["last_ms"] for each in every)
        return RequestSums(**{name: sum(each[name] for each in every) for name in every[0]} | {"last_ms": last_ms})


class SumsOfVersions:
    """Those of all versions of this process."""

    def __init__(self) -> None:
        self._of: dict[str, RequestSums] = defaultdict(RequestSums)

    def of(self, served: ServedModel) -> RequestSums:
        """Those of a version."""
        return self._of[_name(served)]

    def told(self) -> dict[str, dict[str, Any]]:
        """All of them for other processes, by ``model/version``."""
        return {name: asdict(sums) for name, sums in self._of.items()}

    def with_others(self, served: ServedModel, others: Iterable[Mapping[str, Mapping[str, Any]]]) -> RequestSums:
        """Those of a version in this process and in others, which told all of theirs."""
        name = _name(served)
        return self._of[name].with_others(each[name] for each in others if name in each)

    @contextmanager
    def counted(self, served: ServedModel, inputs: int) -> Iterator[list[Timings]]:
        """Count a request, which the block answers; it puts in where the time of its inputs went."""
        sums, started_s, succeeded = self.of(served), time.monotonic(), False
        parts: list[Timings] = []
        try:
            yield parts
            succeeded = True
        finally:
            seconds = time.monotonic() - started_s
            sums.last_ms = time.time_ns() // 1_000_000
            if succeeded:
                sums.add(inputs, seconds, parts)
            else:
                sums.failed += 1
                sums.failed_s += seconds


def _name(served: ServedModel) -> str:
    return f"{served.name}/{served.version}"
