"""A small Ray on this machine, reachable from it alone, which tells nobody and leaves nothing behind."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ray

_OBJECT_STORE_BYTES = 100 * 2**20  # 75 MiB is Ray's least
# Seconds, and milliseconds, that its processes have to find each other; Ray's own are too few on a busy machine.
_PATIENCE = {
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_worker_register_timeout_seconds": "300",
}
_START_S = 400.0
# Without a port of its own, an agent has 15 s to tell which it took, or the raylet ends itself.
_PORTS = ("dashboard-agent-grpc-port", "dashboard-agent-listen-port", "metrics-export-port", "runtime-env-agent-port")


@contextmanager
def local_ray(address: str | None = None) -> Iterator[None]:
    """Start a Ray, or take the one at `address`, and connect to it; end what was started."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", **_PATIENCE}
    with ExitStack() as ending:
        address = address or ending.enter_context(_head())
        ray.init(address, logging_level="ERROR", log_to_driver=False)
        ending.callback(ray.shutdown)
        yield


@contextmanager
def _head() -> Iterator[str]:
    """A head node as a process that ends its own."""
    gcs, *others = _free_ports(1 + len(_PORTS))
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # sockets: a short path
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
                *("--node-ip-address=127.0.0.1", f"--port={gcs}", "--include-dashboard=false"),
                "--num-cpus=2",  # of Ray's counting: reading takes one, beside the actors
                *(f"--object-store-memory={_OBJECT_STORE_BYTES}", f"--temp-dir={folder}"),
                *(f"--{name}={port}" for name, port in zip(_PORTS, others, strict=True)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(process, Path(folder))
            yield f"127.0.0.1:{gcs}"
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Until the raylet is there, which makes its socket last."""
    end_s = time.monotonic() + _START_S
    while not (folder / "session_latest" / "sockets" / "raylet").exists():
        if process.poll() is not None or time.monotonic() > end_s:
            raise AssertionError("Ray did not start")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
