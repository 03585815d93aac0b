"""Cores that this process may keep busy: those it may run on, and no more than its control group pays for."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores(cgroup: Path = _CGROUP, own_groups: Path = _OWN_GROUPS) -> int:
    """Threads that one model gets unless the operator says otherwise.

    A quota is rounded down: one thread too many uses it up early in each period (100 ms, usually), and then all threads
    stand still until the next.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(cgroup, own_groups)
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota(cgroup: Path = _CGROUP, own_groups: Path = _OWN_GROUPS) -> float | None:
    """Cores that the control group pays for, the least of all groups that hold the process; None without a limit.

    In a container the group's own files usually lie at the top, whatever path ``/proc/self/cgroup`` tells; on a machine
    they lie below that path. See cgroups(7); https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files,
    https://docs.kernel.org/scheduler/sched-bwc.html for version 1.
    """
    quotas = [quota for folder in _folders(cgroup, own_groups) if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def _folders(cgroup: Path, own_groups: Path) -> Iterator[Path]:
    yield from (cgroup, cgroup / "cpu", cgroup / "cpu,cpuacct")
    try:
        lines = own_groups.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = cgroup / controllers if controllers else cgroup
        own = PurePosixPath("/", path)
        for group in (own, *own.parents):
            if ".." not in group.parts:
                yield mount.joinpath(*group.parts[1:])


def _quota(folder: Path) -> float | None:
    """The quota of one group, of version 2 or 1."""
    try:
        words = (folder / "cpu.max").read_text(encoding="ascii").split()
    except OSError:
        words = [_word(folder / "cpu.cfs_quota_us"), _word(folder / "cpu.cfs_period_us")]
    try:
        quota_us, period_us = map(int, words)
    except ValueError:  # "max", or there are no such files
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
