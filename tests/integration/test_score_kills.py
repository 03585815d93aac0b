"""`explicate score` with a real server, both killed (-9) at random: the bytes of an undisturbed run."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.harness import server_process
from support.tiny_table_bundle import tiny_table

ROWS, EXPLAINED = 2000, 60


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of rows with an id, one of them with a number that no server takes."""
    folder = tmp_path_factory.mktemp("rows")
    table = tiny_table()
    numbers, codes = table.rows(ROWS, seed=5, missing=0.0)
    cells = [table.cells(n, c) for n, c in zip(numbers, codes, strict=True)]
    cells[7]["age"] = 1e300
    whole = pa.Table.from_pylist([{"id": i, **row} for i, row in enumerate(cells)])
    pq.write_table(whole.slice(0, 700), folder / "a.parquet", row_group_size=200)
    pq.write_table(whole.slice(700), folder / "b.parquet", row_group_size=200)
    pq.write_table(whole.slice(0, EXPLAINED), folder / "few.parquet")
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(address: str, inputs: Path, output: Path, *flags: str) -> list[str]:
    command = [sys.executable, "-m", "explicate", "score", "--server", address, "--model", "loans"]
    return [*command, "--input", str(inputs), "--output", str(output), *flags]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _undisturbed(repository: Path, inputs: Path, folder: Path, flags: tuple[str, ...]) -> dict[str, bytes]:
    with server_process(repository, "--threads", "1") as (_, address):
        command = _command(address, inputs, folder / "undisturbed", *flags)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr  # for the one row
    return _contents(folder / "undisturbed")


def _wait(client: subprocess.Popen[str], output: Path, parts: int) -> None:
    """Until so many parts are done: a moment by the work, not by a clock, so it is within the work on any machine."""
    while len(list(output.glob("part-*.parquet"))) < parts:
        assert client.poll() is None, client.communicate()[1]
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("*.parquet", ("--part-rows", "20", "--rate", "400")),
        ("few.parquet", ("--part-rows", "4", "--rate", "15", "--explain", "kernel-shap")),
    ],
    ids=["predicted", "explained"],
)
def test_killed_clients_and_servers_leave_the_same_bytes(
    table_repository: Path, rows: Path, tmp_path: Path, name: str, flags: tuple[str, ...]
) -> None:
    inputs, output, expected = (
        rows / name,
        tmp_path / "out",
        _undisturbed(table_repository, rows / name, tmp_path, flags),
    )
    parts = sum(name.startswith("part-") for name in expected)
    moments = sorted(random.Random(11).sample(range(1, parts - 1), 4))
    address = f"127.0.0.1:{_free_port()}"
    command = _command(address, inputs, output, *flags)
    with ExitStack() as servers:
        server, _ = servers.enter_context(server_process(table_repository, "--threads", "1", "--listen", address))
        client = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for number, moment in enumerate(moments):
            _wait(client, output, moment)
            if number % 2:  # the client waits for the next one
                server.kill()
                server.wait()
                server, _ = servers.enter_context(
                    server_process(table_repository, "--threads", "1", "--listen", address)
                )
            else:
                client.kill()
                client.communicate()
                client = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        _, said = client.communicate(timeout=300)
    assert client.returncode == 1, said
    assert _contents(output) == expected


@pytest.mark.slow
def test_the_memory_of_a_client_does_not_grow_with_its_input(
    table_repository: Path, rows: Path, tmp_path: Path
) -> None:
    """Ten times the rows take less than twice what the first batch takes above an idle client."""
    many = pa.concat_tables([pq.read_table(rows / "b.parquet")] * 60)
    pq.write_table(many, tmp_path / "many.parquet", row_group_size=10_000)
    with server_process(table_repository, "--threads", "1") as (_, address):
        peaks = [
            _peak_bytes(_command(address, inputs, tmp_path / name), expected=0)
            for name, inputs in (("small", rows / "b.parquet"), ("large", tmp_path / "many.parquet"))
        ]
    assert len(pq.read_table(tmp_path / "large")) == len(many)
    assert peaks[1] < min(peaks[0] + 120e6, 300e6)


def _peak_bytes(command: list[str], *, expected: int) -> int:
    """The most memory that a command ever had, in bytes."""
    program = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)\n"
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    code, kilobytes = map(int, done.stdout.split())
    assert code == expected
    return 1024 * kilobytes
