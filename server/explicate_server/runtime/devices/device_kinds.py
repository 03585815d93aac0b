"""The kinds of devices beside the CPU: one file each, one line here; and which devices a server uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from explicate_server.device import AUTO, CPU, Device, DeviceChoice
from explicate_server.runtime.devices.cuda import CUDA
from explicate_server.runtime.model_runtime import Runtime
from explicate_server.runtime.runtimes import RUNTIMES, Loader


class DeviceKind(Protocol):
    """One kind of device beside the CPU, such as CUDA's."""

    @property
    def name(self) -> str:
        """As operators write it, such as ``cuda``."""

    @property
    def runtime(self) -> str:
        """The runtime that uses it, by its name in ``RUNTIMES``."""

    def why_not(self) -> str | None:
        """Why it cannot be used here, and what would help, without a full stop; None if it can. Asked often."""

    def count(self) -> int:
        """How many devices there are, numbered from 0, where it can be used."""

    def load(self, model_path: Path, *, number: int, threads: int, reduced: bool, memory_bytes: int) -> Runtime:
        """Load a graph on a device.

        Args:
            model_path: the graph.
            number: of the device.
            threads: for what stays on the CPU.
            reduced: whether a lower precision than the graph's is allowed.
            memory_bytes: what the model may take of the device's memory; 0 for as much as there is.

        Raises:
            RuntimeUnavailable: it cannot be used.
        """


DEVICE_KINDS: dict[str, DeviceKind] = {
    "cuda": CUDA,
}


class DeviceUnavailable(Exception):
    """A device that was asked for cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Placement:
    """Which devices run the models.

    Attributes:
        devices: at least one; a model has a session on each.
        reason: why it is not another one, where the choice was left to the server; empty otherwise.
        free: whether the choice was left to the server; then other runtimes may be tried on the CPU.
    """

    devices: tuple[Device, ...]
    reason: str = ""
    free: bool = False

    def __str__(self) -> str:
        named = ", ".join(map(str, self.devices))
        return f"{named} ({self.reason})" if self.reason else named


def place(choice: str, *, runtime: str, kinds: Mapping[str, DeviceKind] = DEVICE_KINDS) -> Placement:
    """The devices for what was asked for with ``--device`` and ``--runtime``; ``auto`` takes the first that works.

    Raises:
        DeviceUnavailable: one that was asked for by name cannot be used.
        ValueError: it is not a choice.
    """
    asked = DeviceChoice.parse(choice)
    if asked.kind == CPU.kind:
        return Placement((CPU,))
    if asked.kind == AUTO:
        return _first_usable(runtime, kinds)
    kind = kinds.get(asked.kind)
    if kind is None:
        known = ", ".join([AUTO, CPU.kind, *kinds])
        raise DeviceUnavailable(f"--device {choice}: there is no such kind of device; give one of {known}")
    reason = _why_not(kind, runtime)
    if reason:
        raise DeviceUnavailable(
            f"--device {choice} cannot be used: {reason}; --device auto serves on the CPU until it can"
        )
    devices = tuple(Device(kind.name, number) for number in asked.numbers or (0,))
    unknown = [str(device) for device in devices if device.number is None or device.number >= kind.count()]
    if unknown:
        has = ", ".join(f"{kind.name}:{number}" for number in range(kind.count()))
        raise DeviceUnavailable(f"--device {choice}: there is no {unknown[0]}; this machine has {has}")
    return Placement(devices)


def loaders_on(device: Device, placement: Placement, *, memory_bytes: int) -> Mapping[str, Loader]:
    """What can load a graph on a device, the default runtime first.

    Where the choice is free, runtimes that cannot use the device are there too, on the CPU.
    """
    if device.number is None:
        return RUNTIMES
    kind = DEVICE_KINDS[device.kind]
    own: Loader = partial(kind.load, number=device.number, memory_bytes=memory_bytes)
    others = {name: loader for name, loader in RUNTIMES.items() if placement.free and name != kind.runtime}
    return {kind.runtime: own, **others}


def _first_usable(runtime: str, kinds: Mapping[str, DeviceKind]) -> Placement:
    reasons = []
    for name, kind in kinds.items():
        reason = _why_not(kind, runtime)
        if reason is None:
            return Placement((Device(name, 0),), free=True)
        reasons.append(f"not {name}: {reason}")
    return Placement((CPU,), "; ".join(reasons), free=True)


def _why_not(kind: DeviceKind, runtime: str) -> str | None:
    if runtime not in (AUTO, kind.runtime):
        return f"--runtime {runtime} does not run on it, --runtime {kind.runtime} does"
    return kind.why_not()
