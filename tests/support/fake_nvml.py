"""A driver's library without a driver: what `pynvml` has of what the server asks."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """The library's own."""


@dataclass
class FakeCard:
    """A card whose memory and load a test sets."""

    uuid: str = "GPU-aaaa"
    product: str | bytes = "NVIDIA Test"
    free: int = 60 << 30
    total: int = 80 << 30
    gpu_percent: int | None = 50
    lost: bool = False


@dataclass
class FakeNvml:
    """The module."""

    cards: list[FakeCard] = field(default_factory=lambda: [FakeCard()])
    NVMLError: type[Exception] = NVMLError

    def nvmlSystemGetDriverVersion(self) -> str:
        return "999.99"

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:
        if index >= len(self.cards):
            raise NVMLError("Invalid Argument")
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeCard:
        raise NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, card: FakeCard) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: FakeCard) -> str | bytes:
        return card.product

    def nvmlDeviceGetMemoryInfo(self, card: FakeCard) -> Any:
        if card.lost:
            raise NVMLError("GPU is lost")
        return SimpleNamespace(free=card.free, used=card.total - card.free, total=card.total)

    def nvmlDeviceGetUtilizationRates(self, card: FakeCard) -> Any:
        if card.gpu_percent is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=card.gpu_percent, memory=10)
