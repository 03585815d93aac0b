"""What a model costs: the size of its graph, and how long a row takes on the machine where it is measured."""

import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from explicate_bundle.writing import GRAPH_NAME, variant_name
from explicate_server.runtime.cores import usable_cores
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.outcomes.outcomes import Floats, outputs_of

TIMED_ROWS = 200
_WARM_UP = 5
_CPUINFO = Path("/proc/cpuinfo")


def size_mb(model: EvaluatedModel) -> float:
    """Megabytes (10^6 bytes) of the graph in the precision that is judged, all weights inside."""
    names = (variant_name(model.runtime.precision), GRAPH_NAME)
    sizes = {file.name: file.size_bytes for file in model.bundle.manifest.files}
    listed = next((sizes[name] for name in names if name in sizes), None)
    return (listed or (model.bundle.folder / GRAPH_NAME).stat().st_size) / 1e6


def row_times_ms(model: EvaluatedModel, rows: Sequence[LabelledInput], least: int) -> Floats:
    """Milliseconds of one row by itself, encoding and graph, float64[timed]; of `TIMED_ROWS` rows, or `least` if more.

    Rows are spread over the file; where there are fewer than wanted, they are asked again.
    """
    count = max(TIMED_ROWS, least)
    places = np.linspace(0, len(rows) - 1, count).round().astype(int)
    for place in places[:_WARM_UP]:
        outputs_of(model, [rows[place].value])
    spent_ms = np.empty(count)
    for number, place in enumerate(places):
        started_s = time.perf_counter()
        outputs_of(model, [rows[place].value])
        spent_ms[number] = (time.perf_counter() - started_s) * 1e3
    return spent_ms


def this_machine() -> str:
    """Where something is timed, such as "Intel Xeon …, 2 cores"."""
    cores = usable_cores()
    return f"{_processor()}, {cores} core{'s' if cores != 1 else ''}"


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
