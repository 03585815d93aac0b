"""Where models run, as the operator names it: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``cuda:0,1``."""

import re
from dataclasses import dataclass

AUTO = "auto"
_CHOICE = re.compile(r"([a-z][a-z0-9-]*)(?::(\d{1,4}(?:,\d{1,4})*))?")


@dataclass(frozen=True)
class Device:
    """A device: its kind and its number among those of the kind; the CPU has no number."""

    kind: str = "cpu"
    number: int | None = None

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind}:{self.number}"


CPU = Device()


@dataclass(frozen=True)
class DeviceChoice:
    """What was asked for: a kind, ``auto`` among them, and numbers of its devices, none of them twice."""

    kind: str
    numbers: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "DeviceChoice":
        """Read a choice.

        Raises:
            ValueError: it is not one; the message says what one looks like.
        """
        match = _CHOICE.fullmatch(text)
        if match is None:
            raise ValueError("it must be auto, cpu, or a kind of device, such as cuda, cuda:1 or cuda:0,1")
        kind, listed = match[1], match[2]
        numbers = tuple(int(number) for number in listed.split(",")) if listed else ()
        if numbers and kind in (AUTO, CPU.kind):
            raise ValueError(f"{kind} does not take a number")
        if len(set(numbers)) < len(numbers):
            raise ValueError("it names a device twice")
        return cls(kind, numbers)
