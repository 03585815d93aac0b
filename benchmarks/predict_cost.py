"""`python -m benchmarks.predict_cost [--old CHECKOUT]`: the server's processor time for a Predict of one row.

A bare grpc.aio server that reads the same requests and answers with the same bytes, a server of another checkout where
one is given, and this one, in turn. The time is that of the server's process, from /proc/PID/stat, so that what else
the machine does counts for little; requests a second do depend on it, and are told beside. One caller asks after each
answer, so that nothing is shared between calls; of 16 the batches are.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.report import Figure, compared, print_table
from benchmarks.subject import ROOT
from benchmarks.table_subject import TableSubject
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc as services

COLUMNS = 20
CALLERS = (1, 16)
MOST_MS = 0.6
"""What a call may cost the server."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("bundle", "clients/python", "server", "training", "export", "standards", "")
ECHO, OLD, NEW = "bare echo", "old", "new"


@dataclass(frozen=True)
class Cost:
    """Of one measurement: milliseconds of processor time a call, those of the event loop's thread among them, and
    calls a second.
    """

    cpu_ms: float
    loop_ms: float
    calls_a_second: float


@dataclass(frozen=True)
class Measured:
    """A server's process and where it answers."""

    pid: int
    address: str

    def cpu_s(self) -> float:
        """Processor seconds of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def loop_s(self) -> float:
        """Those of its first thread, which runs the event loop."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text().split()[0]) * 1e-9


async def cost(server: Measured, requests: Sequence[messages.PredictRequest], callers: int) -> Cost:
    """What the requests cost a server, sent by so many callers without a pause."""
    waiting = iter(requests)

    async def caller(stub: Any) -> None:
        for request in waiting:
            await stub.Predict(request)

    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = services.InferenceServiceStub(channel)
        await stub.Predict(requests[0])
        cpu_s, loop_s, started_s = server.cpu_s(), server.loop_s(), time.perf_counter()
        await asyncio.gather(*(caller(stub) for _ in range(callers)))
        elapsed_s = time.perf_counter() - started_s
    each_ms = 1e3 / len(requests)
    return Cost(each_ms * (server.cpu_s() - cpu_s), each_ms * (server.loop_s() - loop_s), len(requests) / elapsed_s)


@contextmanager
def _process(*command: str, checkout: Path = ROOT) -> Iterator[Measured]:
    """A server that prints its address, run by the code of a checkout."""
    paths = os.pathsep.join(str(checkout / package) for package in _PACKAGES)
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert process.stdout is not None
    try:
        yield Measured(process.pid, process.stdout.readline().strip())
    finally:
        process.terminate()
        process.communicate(timeout=60)


async def echo(answer: bytes) -> None:
    """Serve the bare peer until the process ends: it reads each request and sends the same answer."""
    message = messages.PredictResponse.FromString(answer)

    class Echo(services.InferenceServiceServicer):
        async def Predict(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - gRPC's own signature
            return message

    server = grpc.aio.server()
    services.add_InferenceServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def _answer(server: Measured, request: messages.PredictRequest) -> bytes:
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = services.InferenceServiceStub(channel)
        answer: bytes = stub.Predict(request).SerializeToString()
        return answer


@contextmanager
def _servers(subject: TableSubject, old: Path | None) -> Iterator[Mapping[str, Measured]]:
    serve = ("-m", "explicate", "serve", "--repository", str(subject.repository), "--listen", "127.0.0.1:0")
    with ExitStack() as stack:
        servers = {NEW: stack.enter_context(_process(*serve))}
        if old is not None:
            servers[OLD] = stack.enter_context(_process(*serve, checkout=old))
        answer = _answer(servers[NEW], subject.input_requests(1, 1)[0])
        servers[ECHO] = stack.enter_context(_process("-m", "benchmarks.predict_cost", "--echo", answer.hex()))
        yield {name: servers[name] for name in (ECHO, OLD, NEW) if name in servers}


def measure(*, old: Path | None, rounds: int, calls: int) -> list[Figure]:
    """The figures: new beside the bare echo and, where one is given, beside the old server."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        subject = TableSubject(Path(directory), COLUMNS)
        requests = subject.input_requests(calls, 1)
        with _servers(subject, old) as servers:
            for callers in CALLERS:
                costs: dict[str, list[Cost]] = {name: [] for name in servers}
                for server in servers.values():
                    asyncio.run(cost(server, requests[:200], callers))  # warm
                for number in range(rounds):
                    for name, server in servers.items():
                        costs[name].append(asyncio.run(cost(server, requests, callers)))
                        last = costs[name][-1]
                        print(
                            f"round {number + 1}/{rounds}, {callers} callers, {name}: {last.cpu_ms:.3f} ms a call, "
                            f"{last.loop_ms:.3f} of them in the event loop, {last.calls_a_second:,.0f} calls/s",
                            file=sys.stderr,
                        )
                figures += _figures(callers, costs)
    return figures


def _figures(callers: int, costs: Mapping[str, Sequence[Cost]]) -> Iterator[Figure]:
    who = "one caller" if callers == 1 else f"{callers} callers"
    for name in costs:
        if name != NEW:
            for what, unit, field in (("CPU a call", "ms", "cpu_ms"), ("calls", "1/s", "calls_a_second")):
                ours, theirs = ([getattr(each, field) for each in costs[side]] for side in (NEW, name))
                yield compared(f"Predict of a row, {who}, {what}", unit, ours, theirs, name)
    loop_ms = statistics.median(each.loop_ms for each in costs[NEW])
    cpu_ms = statistics.median(each.cpu_ms for each in costs[NEW])
    yield Figure("  of it in the event loop", "ms", loop_ms, cpu_ms, "all threads", loop_ms / cpu_ms, len(costs[NEW]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, help="a checkout whose server is measured beside this one's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000, help="in each round, for each server and number of callers")
    parser.add_argument("--echo", metavar="HEX", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        asyncio.run(echo(bytes.fromhex(arguments.echo)))
        return
    figures = measure(old=arguments.old, rounds=arguments.rounds, calls=arguments.calls)
    print_table(figures, name="predict_cost")


if __name__ == "__main__":
    main()
