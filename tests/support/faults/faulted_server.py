"""The real server as a process of its own, to be starved, killed and fed nonsense, and what can be seen of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil


@dataclass(frozen=True)
class FaultedServer:
    """A server process: its address, and the file that takes what it says."""

    process: "subprocess.Popen[str]"
    address: str
    log: Path

    @property
    def resident_bytes(self) -> int:
        """Memory that it holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def open_files(self) -> int:
        """File descriptors and sockets that it holds."""
        return int(psutil.Process(self.process.pid).num_fds())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it without a word, as the kernel does when memory is over."""
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        """All that it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def faulted_server(
    repository: Path, *flags: str, log: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[FaultedServer]:
    """Start `explicate serve`, wait until it serves, and stop it at the end, killed if it does not stop by itself.

    The log is a file, not a pipe: a full pipe would stop the server. `environment` is set besides the test's own.
    """
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(repository)]
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--threads", "1", *flags],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            process.wait(10)
            raise AssertionError(f"the server did not start: {log.read_text()}")
        yield FaultedServer(process, address, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        process.stdout.close()
