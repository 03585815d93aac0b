"""`python -m benchmarks.command_starts [--old CHECKOUT]`: what it costs to start a command, a probe above all.

The processor time of the process, from getrusage, so that what else the machine does counts for little, and the time by
the clock beside it, which a probe has one second of. `health` asks a bare server that always serves; modules are
compiled before, as an installed package is. Beside them: Python alone, and Python that imports gRPC.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc

from benchmarks.subject import ROOT

_PACKAGES = ("bundle", "clients/python", "server", "training", "export", "standards", "studies")
_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse


@contextmanager
def _probed() -> Iterator[str]:
    """The address of a server whose health is always good."""
    check = grpc.unary_unary_rpc_method_handler(lambda _request, _context: _SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def _seconds(command: list[str], environ: dict[str, str], rounds: int) -> tuple[float, float]:
    """Medians of the processor's seconds and the clock's; the first round, which compiles, is left out."""
    used, passed = [], []
    for _ in range(rounds + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
        passed.append(time.monotonic() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(used[1:]), statistics.median(passed[1:])


def main() -> None:
    """Print a line for each command of each checkout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.command_starts", description=__doc__)
    parser.add_argument("--old", metavar="CHECKOUT", type=Path, help="another checkout to measure beside this one")
    parser.add_argument("--rounds", type=int, default=15, help="starts of each command (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"{'':<28}{'processor':>10}{'clock':>10}")
    with _probed() as target, tempfile.TemporaryDirectory() as compiled:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        commands = {"python": ["-c", "pass"], "import grpc": ["-c", "import grpc"]}
        told = [("", name, [sys.executable, *words], environ) for name, words in commands.items()]
        for name, root in [("old", arguments.old)] * bool(arguments.old) + [("new", ROOT)]:
            path = os.pathsep.join(str(root / package) for package in _PACKAGES)
            own = {**environ, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": f"{compiled}/{name}"}
            for words in (["health", target], ["--help"], ["--version"], ["predict", "--help"]):
                command = [sys.executable, "-m", "explicate", *words]
                told.append((name, " ".join(words).replace(target, "").strip(), command, own))
        for name, words, command, own in told:
            used, passed = _seconds(command, own, arguments.rounds)
            print(f"{name:<6}{words:<22}{used * 1e3:>7.0f} ms{passed * 1e3:>7.0f} ms")


if __name__ == "__main__":
    main()
