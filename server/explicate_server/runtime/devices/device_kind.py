"""What a kind of device must tell, so that models can be placed on it."""

from pathlib import Path
from typing import Protocol

from explicate_server.runtime.model_runtime import Runtime


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
