"""What it costs the scorer to read rows: processor time and peak memory of each format, of twenty columns.

    python -m benchmarks.read_rows --rows 200000

Half of the columns are numbers, half categories. Each format has a process of its own: `look` is what is done once
before a run, `read` brings all rows to what the model takes, `send` makes messages of 1,000 rows of them, `end` takes
up the last 500 rows, as a run does that goes on. Times are of the processor, so a busy machine does not matter.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from explicate._wire.encoding import table_message
from explicate.model_info import Column, ModelDescription, ModelStatus, ServingLimits
from explicate.scoring.interfaces import InputOptions
from explicate.scoring.rows.source import open_source

_KINDS = ("number", "category")
_EACH = 10
_CATEGORIES = tuple("abcdefgh")
_NAMES = ("rows.parquet", "rows.csv", "rows.jsonl")


def main() -> None:
    """Measure every format, or the one file that a process of this program was given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        print(_measured(arguments.file))
        return
    print(f"{'':<14}{'look':>10}{'read':>10}{'send':>10}{'end':>10}   microseconds a row, but for the end: ms")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), arguments.rows)
        for name in _NAMES:
            command = [sys.executable, "-m", "benchmarks.read_rows", "--file", str(Path(folder) / name)]
            subprocess.run(command, check=True)


def _write(folder: Path, rows: int) -> None:
    draw = random.Random(0)
    columns: dict[str, list[object]] = {"id": list(range(rows))}
    for number in range(_EACH):
        columns[f"number{number}"] = [round(draw.gauss(0, 1), 4) for _ in range(rows)]
        columns[f"category{number}"] = [draw.choice(_CATEGORIES) for _ in range(rows)]
    table = pa.table(columns)
    pq.write_table(table, folder / _NAMES[0], row_group_size=100_000)
    pyarrow.csv.write_csv(table, folder / _NAMES[1])
    with (folder / _NAMES[2]).open("w") as file:
        for batch in table.to_batches(max_chunksize=1000):
            frame = batch.to_pandas()
            frame.to_json(file, orient="records", lines=True)


def _model() -> ModelDescription:
    columns = tuple(
        Column(f"{kind}{number}", kind, _CATEGORIES if kind == "category" else (), "", may_be_missing=True)
        for kind in _KINDS
        for number in range(_EACH)
    )
    status = ModelStatus("rows", 1, "ready", (), "", "tabular-classification", "", "", "")
    limits = ServingLimits(1024, 65_536, 16_384, 60.0, 65_536)
    return ModelDescription(status, ("a", "b"), 0, "fp32", {}, (), (), (), limits, "", "", (), columns)


def _measured(path: Path) -> str:
    clock = [time.process_time()]
    source = open_source(InputOptions((str(path),), {}), _model())
    clock.append(time.process_time())
    rows, send_s = sum(file.rows for file in source.files), 0.0
    for batch in source.batches([range(rows)], batch_rows=1000):
        columns = batch.inputs.columns(range(len(batch)))
        assert columns is not None
        begin_s = time.process_time()
        table_message(columns)
        send_s += time.process_time() - begin_s
    clock.append(time.process_time())
    next(source.batches([range(rows - 500, rows)], batch_rows=500))
    clock.append(time.process_time())
    look_s, read_s, end_s = (after - before for before, after in pairwise(clock))
    per_row = [1e6 * seconds / rows for seconds in (look_s, read_s - send_s, send_s)]
    held = Path("/proc/self/status").read_text()  # getrusage has that of the process that started this one, if larger
    peak_mb = int(held.partition("VmHWM:")[2].split()[0]) / 1024
    return f"{path.name:<14}{''.join(f'{each:10.2f}' for each in per_row)}{1e3 * end_s:10.1f}   peak {peak_mb:.0f} MB"


if __name__ == "__main__":
    main()
