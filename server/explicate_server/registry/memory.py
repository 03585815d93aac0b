"""Whether a version fits beside what serves: into the machine's memory, and into that of each device that runs it.

Both are a :class:`Pool`: how much of it may still be taken, how much a version takes, and what must stay free. A
version is refused before it is loaded, so that neither it nor what serves runs out of memory half-way.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from explicate_server.errors import NotServable
from explicate_server.runtime.nvml import Nvml
from explicate_server.settings import Settings

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_MIB = 1 << 20
# What a model takes of a device before one of its versions was measured there: the weights, as much again for those
# that a kernel wants in another order and for outputs of layers, and the context and libraries of CUDA. Nothing better
# is known: the one card seen so far (an H200) had 1.7 GB in use with a graph of 90 MB and 2.0 GB with one of 438 MB,
# other sessions of the same process included.
_DEVICE_COPIES = 2.0
_DEVICE_EXTRA = 512 * _MIB


@dataclass
class Pool:
    """Memory of one kind.

    Attributes:
        name: such as ``cuda:0``; empty for the machine's.
        free: bytes that may still be taken; None where that cannot be told, and then nothing is refused.
        reserve_bytes: what must stay free beside a version that is loaded; 0 refuses nothing.
        setting: the flag that says so.
        copies, extra_bytes: a model takes so many times its graph, and so much besides, as long as nothing is measured.
        measures: whether what a load took is measured, for the next version of the model.
    """

    name: str
    free: Callable[[], int | None]
    reserve_bytes: int
    setting: str
    copies: float = 1.0
    extra_bytes: int = 0
    measures: bool = False
    _promised: int = field(default=0, init=False, repr=False)
    _changes: int = field(default=0, init=False, repr=False)
    _taken: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def wants(self, model: str, graph_bytes: int) -> int:
        """Bytes that a version of a model takes: as measured of another one, or as assumed."""
        if model in self._taken:
            return int(self._taken[model] * graph_bytes)
        return int(self.copies * graph_bytes) + self.extra_bytes

    @contextmanager
    def room_for(self, model: str, graph_bytes: int, *, advice: str) -> Iterator[None]:
        """Keep room for a version while it is loaded, so that those beside it do not count on the same bytes.

        Raises:
            NotServable: it does not fit.
        """
        wanted, before = self.wants(model, graph_bytes), self.free()
        self._check(wanted, None if before is None else max(0, before - self._promised), advice)
        self._promised += wanted
        self._changes += 1
        change = self._changes
        alone = self._promised == wanted
        try:
            yield
            if self.measures and alone and change == self._changes:
                self._measure(model, graph_bytes, before, self.free())
        finally:
            self._promised -= wanted

    def check_in_place(self, model: str, graph_bytes: int, gone_bytes: int, *, advice: str) -> None:
        """Look whether a version fits once another one of the model has gone.

        Raises:
            NotServable: it does not.
        """
        free = self.free()
        left = None if free is None else max(0, free - self._promised) + self.wants(model, gone_bytes)
        self._check(self.wants(model, graph_bytes), left, advice)

    def disturbed(self) -> None:
        """Something else changed what is free: a load that goes on now does not tell what it takes."""
        self._changes += 1

    def _check(self, wanted: int, free: int | None, advice: str) -> None:
        if not self.reserve_bytes or free is None or free >= wanted + self.reserve_bytes:
            return
        of, about = (f" of {self.name}", " about") if self.name else ("", "")
        least = "" if self.name else " at least"
        raise NotServable(
            "NOT_ENOUGH_MEMORY",
            f"{free / _MIB:,.0f} MiB{of} are free; the model takes{about} {wanted / _MIB:,.0f} MiB{least} and "
            f"{self.reserve_bytes / _MIB:,.0f} MiB must stay free ({self.setting}); {advice}",
        )

    def _measure(self, model: str, graph_bytes: int, before: int | None, after: int | None) -> None:
        """Keep what the load took, as a multiple of the graph; the weights at least are there."""
        if before is not None and after is not None and graph_bytes:
            self._taken[model] = max(1.0, (before - after) / graph_bytes)


class Memory:
    """All memory that a version takes. Used on the event loop only.

    Attributes:
        host: the machine's, or the container's.
        devices: that of the devices; empty where models run on the CPU, or where nobody tells what is free.
    """

    def __init__(self, host: Pool, devices: Sequence[Pool] = (), *, swaps_in_place: bool = False) -> None:
        self.host = host
        self.devices = list(devices)
        self._advice = "unload another version first" + (
            "" if swaps_in_place else " (a swap needs both for a moment, unless --swap-in-place)"
        )

    @classmethod
    def of(cls, settings: Settings, nvml: Nvml | None, numbers: Sequence[int]) -> "Memory":
        """The machine's and that of the devices with these numbers, as far as they can be read."""
        host = Pool("", available_bytes, settings.memory_reserve_bytes, "--memory-reserve-bytes")
        devices = [_device_pool(settings, nvml, number) for number in numbers] if nvml else []
        return cls(host, devices, swaps_in_place=settings.swap_in_place)

    @contextmanager
    def room_for(self, model: str, graph_bytes: int, *, beside_bytes: int = 0) -> Iterator[None]:
        """Keep room for a version everywhere while it is loaded; ``beside_bytes`` are the machine's, besides the graph.

        Raises:
            NotServable: it does not fit somewhere; nothing is kept then.
        """
        with ExitStack() as kept:
            for pool in (self.host, *self.devices):
                more = beside_bytes if pool is self.host else 0
                kept.enter_context(pool.room_for(model, graph_bytes + more, advice=self._advice))
            yield

    def check_in_place(self, model: str, graph_bytes: int, gone_bytes: int, *, beside_bytes: int = 0) -> None:
        """Look whether a version fits everywhere once that of the model with a graph of ``gone_bytes`` has gone;
        ``beside_bytes`` are the machine's, besides the graph.

        Raises:
            NotServable: it does not.
        """
        for pool in (self.host, *self.devices):
            wanted = graph_bytes + (beside_bytes if pool is self.host else 0)
            pool.check_in_place(model, wanted, gone_bytes, advice="even without the version that it replaces")

    def freed(self) -> None:
        """A version has left the memory."""
        for pool in self.devices:
            pool.disturbed()


def _device_pool(settings: Settings, nvml: Nvml, number: int) -> Pool:
    def free() -> int | None:
        reading = nvml.reading(number)
        return None if reading is None else reading.free_bytes

    reserve, setting = settings.device_reserve_bytes, "--device-reserve-bytes"
    return Pool(f"cuda:{number}", free, reserve, setting, _DEVICE_COPIES, _DEVICE_EXTRA, measures=True)


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """What may still be taken: of the machine and, in a container, of its limit; None where it cannot be told."""
    known = [free for free in (_machine_bytes(meminfo), _cgroup_bytes(cgroup)) if free is not None]
    return min(known) if known else None


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
