"""What the driver says of NVIDIA devices, through NVML: memory, and how busy they are.

Optional: without the package (`explicate[gpu]` brings it), without a driver or for a device that was lost there are no
readings, and nothing that asks for them fails.
"""

import importlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any  # the library has no types

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceReading:
    """One device at one moment.

    Attributes:
        device: as CUDA counts, such as ``cuda:0``.
        product: such as ``NVIDIA H200``.
        utilisation: part of the last moments, up to a second, in which it computed, 0 to 1; None where it is not told,
            as for a part of a card (MIG).
    """

    device: str
    product: str
    used_bytes: int
    free_bytes: int
    total_bytes: int
    utilisation: float | None = None


class Nvml:
    """Readings of devices by the numbers that CUDA has for them. For any thread."""

    def __init__(self, library: Any, environment: Mapping[str, str] = os.environ) -> None:
        """``library`` is the module ``pynvml``, ready.

        CUDA counts the devices that CUDA_VISIBLE_DEVICES names, NVML all of them, in the order of the bus. Where cards
        of several kinds are in one machine, CUDA does so too only with CUDA_DEVICE_ORDER=PCI_BUS_ID.
        """
        self._library = library
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        self._visible = None if visible is None else [name.strip() for name in visible.split(",") if name.strip()]

    def reading(self, number: int) -> DeviceReading | None:
        """Of the device that CUDA has under a number; None where there is none, or where it does not answer."""
        nvml = self._library
        try:
            handle = self._handle(number)
            if handle is None:
                return None
            memory, product = nvml.nvmlDeviceGetMemoryInfo(handle), nvml.nvmlDeviceGetName(handle)
        except nvml.NVMLError:  # it has gone, as after an XID
            return None
        return DeviceReading(
            f"cuda:{number}",
            product.decode() if isinstance(product, bytes) else str(product),  # bytes until 11.5
            used_bytes=int(memory.used),
            free_bytes=int(memory.free),
            total_bytes=int(memory.total),
            utilisation=self._utilisation(handle),
        )

    def readings(self) -> list[DeviceReading]:
        """Of all devices that CUDA has."""
        return [reading for number in range(self._count()) if (reading := self.reading(number)) is not None]

    @property
    def driver(self) -> str:
        """Its version; empty where it does not tell."""
        try:
            told = self._library.nvmlSystemGetDriverVersion()
        except self._library.NVMLError:
            return ""
        return told.decode() if isinstance(told, bytes) else str(told)

    def _count(self) -> int:
        if self._visible is not None:
            return len(self._visible)
        try:
            return int(self._library.nvmlDeviceGetCount())
        except self._library.NVMLError:
            return 0

    def _handle(self, number: int) -> Any:
        nvml = self._library
        if self._visible is None:
            return nvml.nvmlDeviceGetHandleByIndex(number)
        if number >= len(self._visible):
            return None
        name = self._visible[number]
        if name.isdigit():
            return nvml.nvmlDeviceGetHandleByIndex(int(name))
        return self._by_uuid(name)

    def _by_uuid(self, name: str) -> Any:
        """CUDA takes the beginning of an identity too, NVML a whole one."""
        nvml = self._library
        for index in range(int(nvml.nvmlDeviceGetCount())):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            identity = nvml.nvmlDeviceGetUUID(handle)
            if (identity.decode() if isinstance(identity, bytes) else identity).startswith(name):
                return handle
        return nvml.nvmlDeviceGetHandleByUUID(name)  # a part of a card

    def _utilisation(self, handle: Any) -> float | None:
        try:
            return float(self._library.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
        except self._library.NVMLError:
            return None


@cache
def open_nvml() -> Nvml | None:
    """The driver's library; None without it. Asked once in a process."""
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        _log.debug("no readings of devices: %s", error)
        return None
    return Nvml(library)
