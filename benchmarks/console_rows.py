"""How long the Rows page waits for rows of a folder of `explicate score`, and what a million of them take.

    python -m benchmarks.console_rows --rows 100000 --many 1000000

Each figure is the median of several requests that nothing was remembered of: seconds of the processor, which a busy
machine hardly moves, and of the clock. Beside them a bare scan by pyarrow.dataset, in the same process, for the columns
and condition of the first. Peak memory is of a process of its own that answers each request once, and how much more
that is than with a folder of 1,000 rows.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.dataset as ds

from explicate_console.rows.row_errors import Stop
from explicate_console.rows.row_requests import RowRequests
from support.scored_folders import FolderPlan, write_folder

_TIMES = 7
_FILTER = 'age > 40 and label = "bad"'
_REQUESTS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("filter", "page", {"filter": _FILTER}),
    ("filter by what a feature adds", "page", {"filter": "added.age > 0.1"}),
    ("search", "page", {"search": "chef"}),
    ("sort", "page", {"sort": "income"}),
    ("summary", "summary", {"filter": _FILTER}),
    ("swarm", "swarm", {"filter": _FILTER, "label": "bad", "features": ["age", "job"]}),
    ("slices", "slices", {"filter": _FILTER, "column": "age", "label": "bad", "added": "added.age"}),
)


def main() -> None:
    """Measure, or answer each request once for the one folder that a process of this program was given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        print(_peak_bytes(arguments.folder))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = write_folder(Path(place) / "rows", FolderPlan(arguments.rows))
        _times(folder, arguments.rows)
        few = write_folder(Path(place) / "few", FolderPlan(1000))
        many = write_folder(Path(place) / "many", FolderPlan(arguments.many, part_rows=2000))
        bytes_of = {path: _peak_in_own_process(path) for path in (few, many)}
        size = sum(each.stat().st_size for each in many.glob("part-*"))
        print(f"{arguments.many:,} rows, {size / 1e6:.0f} MB of files: peak memory {bytes_of[many] / 1e6:.0f} MB, "
              f"{(bytes_of[many] - bytes_of[few]) / 1e6:.0f} MB more than with 1,000 rows")  # fmt: skip


def _times(folder: Path, rows: int) -> None:
    print(
        f"{rows:,} rows in {len(list(folder.glob('part-*')))} parts, median of {_TIMES}: seconds of processor, of clock"
    )
    files = [str(path) for path in sorted(folder.glob("part-*"))]
    wanted = (ds.field("age") > 40) & (ds.field("label") == "bad")
    bare = _median(
        "bare pyarrow.dataset scan",
        lambda: lambda: ds.dataset(files).to_table(columns=["age", "label"], filter=wanted),
    )
    for name, what, asked in _REQUESTS:
        found = _median(name, partial(_prepared, folder, what, asked))
        if name == "filter":
            print(f"  {'':<32}{found / bare:.2f} times the bare scan, of the processor")


def _prepared(folder: Path, what: str, asked: dict[str, object]) -> Callable[[], object]:
    """A request to a console that knows the folder and nothing of the rows."""
    requests = RowRequests([folder])
    requests.answer("folders", {}, Stop(600))
    return lambda: requests.answer(what, {"folder": folder.name, **asked}, Stop(600))


def _median(name: str, prepared: Callable[[], Callable[[], object]]) -> float:
    spans: list[tuple[float, float]] = []
    for _ in range(_TIMES):
        work = prepared()
        started = time.process_time(), time.perf_counter()
        work()
        spans.append((time.process_time() - started[0], time.perf_counter() - started[1]))
    processor, clock = (statistics.median(span[own] for span in spans) for own in (0, 1))
    print(f"  {name:<32}{processor:.3f}  {clock:.3f}")
    return processor


def _peak_in_own_process(folder: Path) -> int:
    command = [sys.executable, "-m", "benchmarks.console_rows", "--folder", str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak_bytes(folder: Path) -> int:
    requests = RowRequests([folder])
    for _, what, asked in _REQUESTS:
        requests.answer(what, {"folder": folder.name, **asked}, Stop(600))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
