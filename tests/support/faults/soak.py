"""The full counts of the faults: swaps under load, loads in circles, mutated requests and bundles, and how long the
largest messages hold the event loop. `make soak` runs it.

Prints a line or two of figures for each, and ends with 1 when one of them is not what it must be.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from support.faults.load_cycles import load_and_unload, load_mutated_bundles
from support.faults.loop_holds import measure_holds, soaked_messages
from support.faults.request_fuzzing import fuzz_requests
from support.faults.soaked_repository import build_soaked_repository
from support.faults.swapping import swap_under_load

_SWAPS, _CALLERS, _QUIET_S = 100, 16, 60.0
_CYCLES, _BUNDLES, _REQUESTS = 300, 2_000, 100_000
_HOLDS = 5
_MOST_P99_RATIO = 2.0
_MOST_HOLD_S = 0.02
_MOST_GROWTH = 0.05

Soak = Callable[[Path, Path], tuple[Sequence[str], bool]]
"""From a repository of its own and a log file to lines of figures, and whether they are what they must be."""


def _swaps(repository: Path, log: Path) -> tuple[Sequence[str], bool]:
    figures = asyncio.run(swap_under_load(repository, swaps=_SWAPS, callers=_CALLERS, quiet_s=_QUIET_S, log=log))
    return [*figures.lines(), *figures.wrong[:5]], not figures.wrong and figures.p99_ratio <= _MOST_P99_RATIO


def _cycles(repository: Path, log: Path) -> tuple[Sequence[str], bool]:
    figures = asyncio.run(load_and_unload(repository, cycles=_CYCLES, log=log))
    return [*figures.lines("cycles of load, infer and unload"), *figures.bad[:5]], (
        figures.lived and not figures.bad and figures.growth <= _MOST_GROWTH
    )


def _bundles(repository: Path, log: Path) -> tuple[Sequence[str], bool]:
    figures = asyncio.run(load_mutated_bundles(repository, count=_BUNDLES, seed=1, log=log))
    return [*figures.lines("mutated bundles"), *figures.bad[:5]], (
        figures.lived and not figures.bad and figures.growth <= _MOST_GROWTH
    )


def _requests(repository: Path, log: Path) -> tuple[Sequence[str], bool]:
    figures = asyncio.run(fuzz_requests(repository, count=_REQUESTS, seed=1, log=log))
    flat = figures.last_resident_bytes <= (1 + _MOST_GROWTH) * figures.first_resident_bytes
    bugs = [f"{method} {status} {request!r}" for method, request, status in figures.bad[:5]]
    return [*figures.lines(), *bugs], figures.lived and not figures.bad and flat


def _holds(repository: Path, _: Path) -> tuple[Sequence[str], bool]:
    figures = asyncio.run(measure_holds(repository, soaked_messages(), times=_HOLDS))
    return figures.lines(), figures.longest_s <= _MOST_HOLD_S


_SOAKS: dict[str, Soak] = {
    "swaps": _swaps,
    "cycles": _cycles,
    "bundles": _bundles,
    "requests": _requests,
    "holds": _holds,
}


def main() -> int:
    """Run the soaks that are asked for, all of them unless some are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("soaks", nargs="*", metavar="SOAK", help=f"some of {', '.join(_SOAKS)}; all by default")
    asked = parser.parse_args().soaks or list(_SOAKS)
    if unknown := set(asked) - set(_SOAKS):
        parser.error(f"there is no soak {', '.join(sorted(unknown))}; choose of {', '.join(_SOAKS)}")
    with tempfile.TemporaryDirectory(prefix="explicate-soak-") as folder:
        pristine = _pristine(Path(folder))
        outcomes = [_run(name, pristine, Path(folder) / name) for name in asked]
    return 0 if all(outcomes) else 1


def _pristine(folder: Path) -> Path:
    from support.tiny_table_bundle import build_table_repository

    logging.disable(logging.INFO)
    return build_soaked_repository(folder, build_table_repository(folder / "tables"))


def _run(name: str, pristine: Path, folder: Path) -> bool:
    print(f"{name}: running", file=sys.stderr, flush=True)
    begin_s = time.monotonic()
    lines, passed = _SOAKS[name](Path(shutil.copytree(pristine, folder / "repository")), folder / "log")
    print(f"{name}: {'as it must be' if passed else 'NOT as it must be'}, {time.monotonic() - begin_s:.0f} s")
    print(*(f"  {line}" for line in lines), sep="\n", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
