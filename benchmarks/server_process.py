"""`explicate serve` on the demo's repository as a process of its own, with its metrics."""

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import subject


@dataclass(frozen=True)
class ServerProcess:
    """Where it answers calls and scrapes."""

    address: str
    metrics_port: int
    pid: int

    @property
    def cpu_s(self) -> float:
        """CPU seconds that it has used, of all its threads."""
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def sums(self, name: str) -> dict[str, float]:
        """A counter of the batcher, by priority."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics").read().decode()
        return {
            sample.labels["priority"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }


@contextmanager
def server_process(*flags: str) -> Iterator[ServerProcess]:
    """Start a server, wait until it serves, and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        metrics_port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(subject.REPOSITORY)]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{metrics_port}", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=subject.ROOT,
    )
    assert process.stdout is not None
    try:
        yield ServerProcess(process.stdout.readline().strip(), metrics_port, process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)
