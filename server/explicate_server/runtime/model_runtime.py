"""What a model runtime must do, and nothing more."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from explicate_server.device import Device
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.queue import Row

# The graph's inputs by name: each as wide as the graph wants it, in the graph's own type.
Feeds = Mapping[str, NDArray[Any]]


class RuntimeUnavailable(Exception):
    """A runtime cannot be used on this machine; the message says why and what to do."""


class Runtime(Protocol):
    """A loaded model, on one device."""

    @property
    def name(self) -> str:
        """Runtime and the device it really runs on, such as ``onnxruntime-cpu``."""

    @property
    def device(self) -> Device:
        """The device it really runs on."""

    @property
    def nodes(self) -> int | None:
        """Nodes of the graph as it runs; None where that is not known, or nothing but the CPU is used."""

    @property
    def cpu_nodes(self) -> int | None:
        """How many of them the CPU runs, because the device cannot."""

    @property
    def precision(self) -> str:
        """The numeric precision it really computes in, such as ``fp32`` or ``bf16``."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of one short batch: enough to use the device fully, few enough to wait for."""

    @property
    def lanes(self) -> int:
        """Runs that may be in progress at once, each from a thread of its own."""

    def settle(self, feeds: Feeds) -> None:
        """Find out how a full batch is best handed over, on a device. Called once, before anything is served."""

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """The graph's one output, float32[batch, outputs], of the rows in ``feeds``, each [batch, …].

        Raises:
            DeviceOutOfMemory, DeviceLost: see ``device_faults``; any other error may be the input's fault.
        """


def run_rows(
    runtime: Runtime, collate: Callable[[Sequence[Row]], Feeds], rows: Sequence[Row], *, batch_tokens: int | None = None
) -> NDArray[np.float32]:
    """Answers float32[rows, outputs], in the rows' order; there must be a row.

    ``batch_tokens`` is what one batch holds; None means what the runtime suggests.
    """
    batches = batched_by_length(rows, batch_tokens or runtime.batch_tokens)
    with ThreadPoolExecutor(runtime.lanes) as lanes:
        answers = lanes.map(lambda batch: _in_parts(runtime, collate, [rows[index] for index in batch]), batches)
        values = np.concatenate(list(answers))
    in_order = np.empty_like(values)
    first = np.cumsum([0, *(row.count for row in rows)])
    places = [np.arange(first[index], first[index + 1]) for batch in batches for index in batch]
    in_order[np.concatenate(places)] = values
    return in_order


def _in_parts(runtime: Runtime, collate: Callable[[Sequence[Row]], Feeds], rows: Sequence[Row]) -> NDArray[np.float32]:
    """The answers to a batch, which is halved until it fits in the device's memory."""
    try:
        return runtime.run(collate(rows))
    except DeviceOutOfMemory:
        if len(rows) == 1:
            raise
    middle = len(rows) // 2
    return np.concatenate([_in_parts(runtime, collate, part) for part in (rows[:middle], rows[middle:])])


def batched_by_length(rows: Sequence[Row], batch_tokens: int) -> list[list[int]]:
    """Indices of the rows, from short to long, in batches of at most ``batch_tokens`` padded tokens or one row."""
    batches: list[list[int]] = []
    in_last = 0
    for index in sorted(range(len(rows)), key=lambda index: rows[index].length):
        row = rows[index]
        if not batches or (in_last + row.count) * row.length > batch_tokens:
            batches.append([])
            in_last = 0
        batches[-1].append(index)
        in_last += row.count
    return batches
