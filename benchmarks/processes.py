"""`python -m benchmarks.processes [--processes N]`: what several processes on one port cost, and what they give.

A server of one process and one of N, in turn, on a table model so small that Python is the limit. Processor time is
that of all of a server's processes, from /proc/PID/stat, so that what else the machine does counts for little. Calls a
second need as many free cores as there are processes, and as many again for the callers. How the load is split is
chance: the system draws a process for each connection (`--connections`), so of c over two processes the busier one has
about 1/2 + .4/sqrt(c) of them.

Wanted of two: at most 1.1 times the processor time of one, a share of at most .6, and at least 1.7 times the calls a
second where there are four cores.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.report import Figure, compared, print_table
from benchmarks.subject import ROOT
from benchmarks.table_subject import TableSubject
from explicate.v1 import inference_service_pb2_grpc as services

COLUMNS = 20
CLIENTS = 2
"""Processes that call: a client of Python takes about as much processor time for a call as the server."""
MOST_SHARE = 0.6
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """One measurement: processor time a call, calls a second, and the share of the busiest process."""

    cpu_ms: float
    calls_a_second: float
    share: float


@dataclass(frozen=True)
class Served:
    """A server: its first process, where it answers, and its metrics."""

    pid: int
    address: str
    metrics_port: int

    def cpu_s(self) -> float:
        """Processor seconds of all of its processes so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(map(_cpu_s, (self.pid, *map(int, children))))

    def calls(self) -> dict[str, float]:
        """Calls by process; of a single one under an empty name."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics").read().decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        found = families.get("explicate_process_calls") or families["explicate_calls"]
        counts: dict[str, float] = {}
        for sample in found.samples:
            if sample.name.endswith("_total"):
                process = sample.labels.get("process", "")
                counts[process] = counts.get(process, 0.0) + sample.value
        return counts


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


@contextmanager
def _served(repository: Path, processes: int) -> Iterator[Served]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        metrics_port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "explicate", "serve", "--repository", str(repository), "--processes", str(processes),
         "--listen", "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{metrics_port}", "--device", "cpu",
         "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield Served(process.pid, process.stdout.readline().strip(), metrics_port)
    finally:
        process.terminate()
        process.communicate(timeout=90)


def one_round(served: Served, *, calls: int, connections: int) -> Round:
    """Call from several processes at once, each with its part of the connections."""
    each = ["--client", served.address, "--calls", str(calls // CLIENTS), "--connections", str(connections // CLIENTS)]
    command = [sys.executable, "-m", "benchmarks.processes", *each]
    before = served.calls()
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            )
            for _ in range(CLIENTS)
        ]
        for client in clients:
            assert client.stdout is not None
            client.stdout.readline()  # it is connected
        cpu_s, started_s = served.cpu_s(), time.perf_counter()
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("\n")
            client.stdin.flush()
        done = sum(int(json.loads(client.communicate()[0])) for client in clients)
        elapsed_s = time.perf_counter() - started_s
        cpu_s = served.cpu_s() - cpu_s
    after = served.calls()
    counts = [after[process] - before.get(process, 0.0) for process in after]
    return Round(1e3 * cpu_s / done, done / elapsed_s, max(counts) / sum(counts))


async def client(address: str, *, calls: int, connections: int) -> None:
    """Connect, wait for a line, call on all connections without a pause, and print how many were answered."""
    with tempfile.TemporaryDirectory() as directory:
        requests = TableSubject(Path(directory), COLUMNS).input_requests(64, 1)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(connections)]
    stubs: list[Any] = [services.InferenceServiceStub(channel) for channel in channels]
    await asyncio.gather(*(stub.Predict(requests[0]) for stub in stubs))
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

    async def caller(stub: Any) -> int:
        for _, request in zip(range(calls // connections), itertools.cycle(requests), strict=False):
            await stub.Predict(request)
        return calls // connections

    print(sum(await asyncio.gather(*map(caller, stubs))))
    for channel in channels:
        await channel.close()


def measure(*, processes: int, rounds: int, calls: int, connections: int) -> list[Figure]:
    """The figures of several processes beside one."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        repository = TableSubject(Path(directory), COLUMNS).repository
        servers = {count: stack.enter_context(_served(repository, count)) for count in (1, processes)}
        taken: dict[int, list[Round]] = {count: [] for count in servers}
        for served in servers.values():
            one_round(served, calls=calls // 5, connections=connections)  # warm
        for number in range(rounds):
            for count, served in servers.items():
                last = one_round(served, calls=calls, connections=connections)
                taken[count].append(last)
                print(
                    f"round {number + 1}/{rounds}, {count} process(es): {last.cpu_ms:.3f} ms of CPU a call, "
                    f"{last.calls_a_second:,.0f} calls/s, the busiest has {last.share:.0%}",
                    file=sys.stderr,
                )
    return list(_figures(taken[processes], taken[1], connections))


def _figures(ours: Sequence[Round], one: Sequence[Round], connections: int) -> Iterator[Figure]:
    for what, unit, field in (("CPU a call", "ms", "cpu_ms"), ("calls", "1/s", "calls_a_second")):
        values = [[getattr(each, field) for each in side] for side in (ours, one)]
        yield compared(f"Predict of a row, {what}", unit, values[0], values[1], "one process")
    share = statistics.median(each.share for each in ours)
    yield Figure(
        f"share of the busiest process, {connections} connections", "1", share, MOST_SHARE, "wanted at most",
        share / MOST_SHARE, len(ours),
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=8000, help="in each round, for each server")
    parser.add_argument("--connections", type=int, default=64, help=f"over {CLIENTS} calling processes")
    parser.add_argument("--client", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = {"calls": arguments.calls, "connections": arguments.connections}
    if arguments.client:
        asyncio.run(client(arguments.client, **sizes))
        return
    print_table(measure(processes=arguments.processes, rounds=arguments.rounds, **sizes), name="processes")


if __name__ == "__main__":
    main()
