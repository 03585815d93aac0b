"""What GetModel tells of a device's memory, and how the command line shows it."""

from types import SimpleNamespace
from typing import Any

import pytest

from explicate.cli.models import showing
from explicate.model_info import ModelDevice
from explicate_server.device import CPU, Device
from explicate_server.rpc import model_answers
from explicate_server.runtime.nvml import Nvml
from support.fake_nvml import FakeCard, FakeNvml

MIB = 1 << 20


def served(*devices: Device) -> Any:
    runtimes = [SimpleNamespace(device=device, nodes=None, cpu_nodes=None) for device in devices]
    instances = [
        SimpleNamespace(name=str(each.device), lost="", runtime=each, lanes=2, out_of_memory=0) for each in runtimes
    ]
    return SimpleNamespace(batcher=SimpleNamespace(instances=instances), sessions=SimpleNamespace(refused={}))


def test_memory_is_told_of_each_device_by_its_own_number(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [FakeCard(free=60 * MIB, total=80 * MIB), FakeCard(free=5 * MIB, total=80 * MIB)]
    monkeypatch.setattr(model_answers, "open_nvml", lambda: Nvml(FakeNvml(cards), {}))
    second, first = model_answers.model_devices(served(Device("cuda", 1), Device("cuda", 0)))
    assert (second.memory_used_bytes, second.memory_free_bytes) == (75 * MIB, 5 * MIB)
    assert (first.memory_used_bytes, first.memory_free_bytes) == (20 * MIB, 60 * MIB)


@pytest.mark.parametrize("device", [CPU, Device("toy", 0), Device("cuda", 0)])
def test_where_nobody_tells_there_is_no_memory(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Nvml(FakeNvml([FakeCard(lost=True)]), {})
    monkeypatch.setattr(model_answers, "open_nvml", lambda: lost)
    (told,) = model_answers.model_devices(served(device))
    assert not told.HasField("memory_used_bytes")
    assert not told.HasField("memory_free_bytes")


def test_the_command_line_shows_it_in_mib() -> None:
    device = ModelDevice("cuda:0", True, "", 203, 4, 2, 0, memory_used_bytes=1697 * MIB, memory_free_bytes=80000 * MIB)
    assert showing._device(device) == "cuda:0: 4 of 203 nodes on the CPU, 2 lanes, 1,697 MiB in use, 80,000 MiB free"
