"""Memory: whether there is enough to load a model, and giving it back to the system after one was freed."""

import ctypes
import sys
from pathlib import Path

from explicate_server.errors import NotServable

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """What may still be taken: of the machine and, in a container, of its limit; None where it cannot be told."""
    known = [free for free in (_machine_bytes(meminfo), _cgroup_bytes(cgroup)) if free is not None]
    return min(known) if known else None


def check_room(graph_bytes: int, *, reserve_bytes: int, available: int | None) -> None:
    """Refuse a model that clearly does not fit: a loaded one takes its graph's size at least.

    ``reserve_bytes`` must stay free beside it; 0 checks nothing.

    Raises:
        NotServable: it does not fit.
    """
    if not reserve_bytes or available is None or available >= graph_bytes + reserve_bytes:
        return
    raise NotServable(
        "NOT_ENOUGH_MEMORY",
        f"{available / 2**20:,.0f} MiB are free; the model takes {graph_bytes / 2**20:,.0f} MiB at least and "
        f"{reserve_bytes / 2**20:,.0f} MiB must stay free (--memory-reserve-bytes); unload another version first",
    )


def give_back() -> None:
    """Hand free pages back to the system; glibc keeps some otherwise. For a thread: it blocks.

    Cycles are not collected: a freed version is not in one, and a collection would stop every thread for 0.2 s
    (measured).
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)


def _machine_bytes(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _cgroup_bytes(cgroup: Path) -> int | None:
    """The limit of cgroup v2 less what is used; pages of files count as free, because they are dropped first."""
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(statistics.get("inactive_file", 0)))
