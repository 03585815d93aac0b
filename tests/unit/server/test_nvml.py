"""What the driver says of devices, from a fake of its library."""

import sys
from types import SimpleNamespace

import pytest

from explicate_server.runtime import nvml
from explicate_server.runtime.nvml import Nvml, open_nvml
from support.fake_nvml import FakeCard, FakeNvml, NVMLError

GIB = 1 << 30


def test_a_reading_has_memory_and_how_busy_the_device_is() -> None:
    (reading,) = Nvml(FakeNvml(), {}).readings()
    assert (reading.device, reading.product) == ("cuda:0", "NVIDIA Test")
    assert Nvml(FakeNvml(), {}).driver == "999.99"
    assert (reading.used_bytes, reading.free_bytes, reading.total_bytes) == (20 * GIB, 60 * GIB, 80 * GIB)
    assert reading.utilisation == 0.5


def test_a_name_in_bytes_is_read_as_one_in_characters() -> None:
    (reading,) = Nvml(FakeNvml([FakeCard(product=b"Tesla")]), {}).readings()
    assert reading.product == "Tesla"


def test_a_part_of_a_card_does_not_say_how_busy_it_is() -> None:
    (reading,) = Nvml(FakeNvml([FakeCard(gpu_percent=None)]), {}).readings()
    assert reading.utilisation is None


@pytest.mark.parametrize(
    ("visible", "free"),
    [
        ("1", [2]),
        ("1,0", [2, 1]),
        ("GPU-bb", [2]),
        (" GPU-bbbb , GPU-aaaa", [2, 1]),
        ("", []),
        ("7", []),
        ("GPU-none", []),
    ],
)
def test_devices_are_counted_as_cuda_counts_them(visible: str, free: list[int]) -> None:
    cards = [FakeCard("GPU-aaaa", free=1), FakeCard("GPU-bbbb", free=2)]
    readings = Nvml(FakeNvml(cards), {"CUDA_VISIBLE_DEVICES": visible}).readings()
    assert [reading.free_bytes for reading in readings] == free


def test_a_lost_device_has_no_reading_and_the_others_have() -> None:
    cards = [FakeCard(lost=True), FakeCard()]
    assert [reading.device for reading in Nvml(FakeNvml(cards), {}).readings()] == ["cuda:1"]


@pytest.fixture
def _unopened() -> None:
    open_nvml.cache_clear()


@pytest.mark.usefixtures("_unopened")
def test_without_the_package_or_the_driver_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=init, NVMLError=NVMLError))
    assert open_nvml() is None
    open_nvml.cache_clear()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.open_nvml() is None
    open_nvml.cache_clear()
