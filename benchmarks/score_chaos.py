"""`python -m benchmarks.score_chaos`: a batch whose server and client are killed (-9), held against an undisturbed one.

Rows of credits, drawn again and again from the demo's test rows with their numbers moved a little, are predicted, and
some of them, spread over all, explained: Parquet in, Parquet out. Server and client are killed three times each, at
moments drawn from the parts that are done. It fails unless the two folders are the same bit for bit, no row is lost or
doubled, the client stays below 300 MB, and the killed run takes at most 1.3 times as long.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import subject
from benchmarks.report import RESULTS
from benchmarks.table_subject import MODEL as RANDOM_MODEL
from benchmarks.table_subject import TableSubject

MOST_MEMORY_BYTES, MOST_TIME_RATIO = 300e6, 1.3
_CREDIT = "credit"
_FILE_ROWS = 100_000
_MOVED = 0.02  # of a number, so that no row comes twice: what a server has in memory would make it cheap
_LOOK_S = 0.02  # between two looks at how many parts are done


@dataclass
class Spent:
    """What a run took: seconds, seconds of the client's CPU, the most memory that a client had, and the kills."""

    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    client_peak_bytes: int = 0
    kills: list[str] = field(default_factory=list)

    def count(self, pid: int) -> int:
        """Wait for a client, and count what it used; its exit code, below 0 for a signal."""
        _, status, used = os.wait4(pid, 0)
        self.client_cpu_s += used.ru_utime + used.ru_stime
        self.client_peak_bytes = max(self.client_peak_bytes, 1024 * used.ru_maxrss)
        return os.waitstatus_to_exitcode(status)


@dataclass(frozen=True)
class Work:
    """What is scored: by which model of which repository, how many rows, and how many of them are explained."""

    repository: Path
    model: str
    inputs: Path
    rows: int
    part_rows: int
    threads: int

    @property
    def parts(self) -> int:
        """Files of the output."""
        return -(-self.rows // self.part_rows)

    @contextmanager
    def server(self, address: str) -> Iterator["subprocess.Popen[str]"]:
        """`explicate serve`, once it is ready."""
        command = [sys.executable, "-m", "explicate", "serve", "--repository", str(self.repository)]
        command += ["--listen", address, "--threads", str(self.threads)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise RuntimeError("the server did not start")
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate()

    def client(self, address: str, output: Path) -> "subprocess.Popen[bytes]":
        """`explicate score`."""
        command = [sys.executable, "-m", "explicate", "score", "--server", address, "--model", self.model]
        command += ["--input", str(self.inputs / "*.parquet"), "--output", str(output)]
        command += [
            "--keep",
            "id,chosen",
            "--part-rows",
            str(self.part_rows),
            "--explain",
            "kernel-shap",
            "--seed",
            "0",
        ]
        command += ["--explain-if", "chosen = true", "--patience", "10m"]
        return subprocess.Popen(command, stderr=None if "--debug" in sys.argv else subprocess.DEVNULL)


def undisturbed(work: Work, output: Path) -> Spent:
    """The run that nobody disturbs."""
    spent, began_s = Spent(), time.monotonic()
    with work.server(address := _free_address()):
        if code := spent.count(work.client(address, output).pid):
            raise RuntimeError(f"the undisturbed run ended with {code}")
    spent.wall_s = time.monotonic() - began_s
    return spent


class Disturbed:
    """The run whose server and client are killed so many times each, and started again at once."""

    def __init__(self, work: Work, output: Path) -> None:
        self._work, self._output, self._address = work, output, _free_address()
        self._servers = ExitStack()
        self.spent = Spent()

    def run(self, kills: int, seed: int) -> Spent:
        """Do it, with the victims and the moments that the seed says."""
        chance = random.Random(seed)
        victims = chance.sample(["server", "client"] * kills, 2 * kills)
        moments = sorted(chance.sample(range(1, self._work.parts), min(2 * kills, self._work.parts - 1)))
        began_s = time.monotonic()
        with self._servers:
            server, client = self._start_server(), self._start_client()
            for victim, moment in zip(victims, moments, strict=False):
                client = self._wait(client, moment)
                self.spent.kills.append(f"{victim} at part {moment:,}")
                if victim == "server":
                    server.kill()
                    server.wait()
                    server = self._start_server()
                else:
                    client.kill()
                    self.spent.count(client.pid)
                    client = self._start_client()
            if code := self.spent.count(client.pid):
                raise RuntimeError(f"the last client ended with {code}")
        self.spent.wall_s = time.monotonic() - began_s
        return self.spent

    def _start_server(self) -> "subprocess.Popen[str]":
        return self._servers.enter_context(self._work.server(self._address))

    def _start_client(self) -> "subprocess.Popen[bytes]":
        return self._work.client(self._address, self._output)

    def _wait(self, client: "subprocess.Popen[bytes]", parts: int) -> "subprocess.Popen[bytes]":
        """Until so many parts are done; a client that gave up because there was no server yet is started again."""
        while len(list(self._output.glob("part-*.parquet"))) < parts:
            ended, status = os.waitpid(client.pid, os.WNOHANG)
            if ended:
                raise RuntimeError(f"a client ended with {os.waitstatus_to_exitcode(status)} before it was killed")
            time.sleep(_LOOK_S)
        return client


def difference(expected: Path, found: Path, rows: int) -> str:
    """What is not the same in two folders, or is not every row once; empty if all is well."""
    one, other = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} for folder in (expected, found)
    )
    if one != other:
        return f"the files {sorted(one ^ other)[:5]} are in one folder alone"
    for name in sorted(one):
        if (expected / name).read_bytes() != (found / name).read_bytes():
            return f"{name} differs"
    ids = pq.read_table(found, columns=["id"])["id"].to_numpy()
    return "" if np.array_equal(ids, np.arange(rows)) else "rows are lost, doubled or in another order"


def write_inputs(folder: Path, source: list[dict[str, Any]], rows: int, explained: int) -> None:
    """Rows drawn from `source` with numbers moved a little, in files of 100,000; every so many is `chosen`."""
    stream = np.random.Generator(np.random.Philox(2026))
    columns = pa.Table.from_pylist(source)
    every = max(1, rows // max(1, explained))
    for number, start in enumerate(range(0, rows, _FILE_ROWS)):
        count = min(_FILE_ROWS, rows - start)
        drawn = columns.take(pa.array(stream.integers(0, len(source), count)))
        ids = np.arange(start, start + count)
        table = {"id": pa.array(ids), "chosen": pa.array((ids % every == 0) & (ids // every < explained))}
        for name in drawn.column_names:
            values = drawn[name].combine_chunks()
            if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
                moved = values.to_numpy(zero_copy_only=False) * (1 + _MOVED * stream.normal(size=count))
                values = pa.array(moved, from_pandas=True)
            table[name] = values
        pq.write_table(pa.table(table), folder / f"rows-{number:04d}.parquet", row_group_size=10_000)


def credit_work(folder: Path, arguments: argparse.Namespace) -> Work:
    """The demo's model of credits; it is trained if it is not there."""
    subject.prepare(_CREDIT)
    lines = (subject.ROOT / "runs" / _CREDIT / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    write_inputs(folder, [json.loads(line)["row"] for line in lines], arguments.rows, arguments.explained)
    return Work(subject.REPOSITORY, _CREDIT, folder, arguments.rows, arguments.part_rows, arguments.threads)


def random_work(folder: Path, arguments: argparse.Namespace) -> Work:
    """A model of random weights on so many columns, which needs no training."""
    table = TableSubject(folder / "repository", arguments.random_columns)
    rows = [
        {
            column.name: column.numbers.values[0] if column.numbers.values else _name(column.categories)
            for column in each
        }
        for each in (request.table.columns for request in table.packed_requests(200, 1))
    ]
    write_inputs(folder, rows, arguments.rows, arguments.explained)
    return Work(table.repository, RANDOM_MODEL, folder, arguments.rows, arguments.part_rows, arguments.threads)


def _name(categories: Any) -> str:  # Any: CategoryValues
    return str(categories.names[categories.codes[0]])


def _told(name: str, spent: Spent, rows: int) -> str:
    memory, cpu_us = spent.client_peak_bytes / 1e6, 1e6 * spent.client_cpu_s / rows
    return f"{name:<12}{spent.wall_s:>9.1f} s{memory:>10.0f} MB{spent.client_cpu_s:>9.1f} s{cpu_us:>9.0f} µs"


def main() -> int:
    """Print the two runs beside each other; 1 if they are not as they must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--explained", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=3, help="of the server, and of the client")
    parser.add_argument("--part-rows", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random-columns", type=int, help="instead of credits, a model that needs no training")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        work = (random_work if arguments.random_columns else credit_work)(folder / "in", arguments)
        calm = undisturbed(work, folder / "calm")
        killed = Disturbed(work, folder / "killed").run(arguments.kills, arguments.seed)
        problem = difference(folder / "calm", folder / "killed", arguments.rows)
    ratio = killed.wall_s / calm.wall_s
    print(
        f"{arguments.rows:,} rows, {arguments.explained:,} explained, {work.parts:,} parts; {', '.join(killed.kills)}"
    )
    print(f"{'run':<12}{'time':>11}{'client has':>13}{'its CPU':>11}{'a row':>12}")
    print(_told("undisturbed", calm, arguments.rows))
    print(_told("killed", killed, arguments.rows))
    print(f"time ratio {ratio:.3f}; output: {problem or 'the same bit for bit, every row once'}")
    RESULTS.mkdir(exist_ok=True)
    figures = {"rows": arguments.rows, "ratio": ratio, "calm": vars(calm), "killed": vars(killed), "problem": problem}
    (RESULTS / "score_chaos.json").write_text(json.dumps(figures, indent=2))
    peak = max(calm.client_peak_bytes, killed.client_peak_bytes)
    return 0 if not problem and ratio <= MOST_TIME_RATIO and peak <= MOST_MEMORY_BYTES else 1


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


if __name__ == "__main__":
    sys.exit(main())
