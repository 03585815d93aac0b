"""How a benchmark tells its figures: one table on stdout, the same as JSON in benchmarks/results/."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, the medians of ours and the peer's, and their ratio from alternating rounds."""

    what: str
    unit: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    rounds: int


def compared(what: str, unit: str, ours: Sequence[float], peer: Sequence[float], peer_name: str) -> Figure:
    """A figure from rounds that alternated; its ratio is the median of the rounds' own ratios, ours / peer."""
    ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
    return Figure(what, unit, statistics.median(ours), statistics.median(peer), peer_name, ratio, len(ours))


def print_table(figures: Sequence[Figure], *, name: str = "bench") -> None:
    """Print the figures, and keep them as ``results/NAME.json``."""
    width = max(len(figure.what) for figure in figures)
    peer_width = max(len(figure.peer_name) for figure in figures)
    print(f"{'what':<{width}}  {'unit':<7}{'ours':>10}{'peer':>10}  {'peer is':<{peer_width}}{'ratio':>8}{'rounds':>8}")
    for f in figures:
        print(
            f"{f.what:<{width}}  {f.unit:<7}{f.ours:>10.4g}{f.peer:>10.4g}  {f.peer_name:<{peer_width}}"
            f"{f.ratio:>8.3f}{f.rounds:>8}"
        )
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}, indent=2)
    )
