"""A small Ray on this machine, reachable from it alone, which tells nobody and leaves nothing behind."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray

_OBJECT_STORE_BYTES = 100 * 2**20  # 75 MiB is Ray's least
# Seconds, and milliseconds, that its processes have to find each other; Ray's own are too few on a busy machine. One of
# them cannot be set: an agent that takes 15 s to start ends the raylet, and so all of it.
_PATIENCE = {
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_worker_register_timeout_seconds": "300",
}


@contextmanager
def local_ray(address: str | None = None) -> Iterator[None]:
    """Start a Ray, or connect to the one at `address`; shut down at the end."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", **_PATIENCE}
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    with ExitStack() as ending:
        if address is None:
            folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)  # sockets: a short path
            quiet |= {
                "num_cpus": 2,  # of Ray's counting: reading takes one, beside the actors
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": ending.enter_context(folder),
            }
        ray.init(address, **quiet)
        ending.callback(ray.shutdown)
        yield
