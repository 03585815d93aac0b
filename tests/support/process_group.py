"""`explicate serve --processes 2` as an operator starts it, with many connections to it."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import grpc
import psutil
from prometheus_client.parser import text_string_to_metric_families

from explicate.v1 import inference_service_pb2_grpc as services
from support.harness import server_process

CONNECTIONS = 24
"""All of them fall to one of two processes once in 8 million times."""


@dataclass
class ProcessGroup:
    """A server of several processes."""

    parent: "Popen[str]"
    address: str
    metrics_port: int

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer calls."""
        return psutil.Process(self.parent.pid).children()

    def channels(self, held: ExitStack, count: int = CONNECTIONS) -> list[grpc.Channel]:
        """Channels with a connection of their own each."""
        return [
            held.enter_context(grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)]))
            for _ in range(count)
        ]

    def stubs(self, held: ExitStack, count: int = CONNECTIONS) -> list[services.InferenceServiceStub]:
        """The same as stubs of predictions and explanations."""
        return [services.InferenceServiceStub(channel) for channel in self.channels(held, count)]

    def scrape(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Samples by name, then by their labels."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics").read().decode()
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def total(self, name: str) -> float:
        """The sum of a metric over its labels."""
        return sum(self.scrape().get(name, {}).values())


@contextmanager
def process_group(repository: Path, *flags: str) -> Iterator[ProcessGroup]:
    """Two processes on a free port, with metrics; yields once all serve."""
    metrics_port = _free_port()
    given = ("--processes", "2", "--device", "cpu", "--metrics-listen", f"127.0.0.1:{metrics_port}", *flags)
    with server_process(repository, *given) as (parent, address):
        yield ProcessGroup(parent, address, metrics_port)


def _free_port() -> int:
    import socket

    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
