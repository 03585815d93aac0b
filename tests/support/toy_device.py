"""A kind of device for tests: the CPU under another name, which can run out of memory, stall, be slow or die."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.device import Device
from explicate_server.runtime.device_faults import DeviceLost, DeviceOutOfMemory
from explicate_server.runtime.devices import device_kinds
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.onnx_runtime import OnnxRuntime

NAME = "toy"


@dataclass
class Faults:
    """What is wrong with one device now.

    most_rows: a batch of more rows runs out of memory; None for no bound. dies: the next batch finds it lost. shift:
    added to its answers. ran: rows of each batch that was answered. tried: rows of each batch that was begun. gate: no
    batch passes while it is cleared.
    """

    most_rows: int | None = None
    dies: bool = False
    shift: float = 0.0
    ran: list[int] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()


class ToyRuntime:
    """A runtime with a device's faults before it."""

    def __init__(self, inner: Runtime, number: int, faults: Faults) -> None:
        self._inner = inner
        self.device = Device(NAME, number)
        self.name = f"onnxruntime-{NAME}"
        self.precision, self.batch_tokens, self.lanes = inner.precision, inner.batch_tokens, 1
        self.nodes, self.cpu_nodes = 12, 3
        self.faults = faults

    def settle(self, feeds: Feeds) -> None:
        self._inner.settle(feeds)

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        rows = len(next(iter(feeds.values())))
        faults = self.faults
        faults.tried.append(rows)
        faults.gate.wait()
        if faults.dies:
            raise DeviceLost("CUDA failure 700: an illegal memory access was encountered")
        if faults.most_rows is not None and rows > faults.most_rows:
            raise DeviceOutOfMemory(f"Failed to allocate memory for {rows} rows")
        answers = self._inner.run(feeds) + np.float32(faults.shift)
        faults.ran.append(rows)
        return answers


class ToyKind:
    """As many devices as it is given faults for."""

    name = NAME
    runtime = "onnxruntime"

    def __init__(self, faults: Sequence[Faults], *, reason: str | None = None) -> None:
        self.faults = faults
        self.reason = reason
        self.loaded: list[tuple[int, int]] = []
        """Number and memory of each load."""

    def why_not(self) -> str | None:
        return self.reason

    def count(self) -> int:
        return len(self.faults)

    def load(self, model_path: Path, *, number: int, threads: int, reduced: bool, memory_bytes: int) -> ToyRuntime:
        self.loaded.append((number, memory_bytes))
        inner = OnnxRuntime(model_path, threads=threads, reduced=reduced)
        return ToyRuntime(inner, number, self.faults[number])


def the_only_kind(monkeypatch: pytest.MonkeyPatch, kind: ToyKind) -> None:
    """Lets servers that start now find this kind of device, and no other."""
    monkeypatch.setattr(device_kinds, "DEVICE_KINDS", {NAME: kind})
    monkeypatch.setattr("explicate_server.registry.loading.place", partial(device_kinds.place, kinds={NAME: kind}))
