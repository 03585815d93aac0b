"""Where export attributes golden inputs: on a GPU if there is one, and on the CPU if that does not take the graph."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate_bundle.bundle import verify_bundle
from explicate_export import golden_inputs
from explicate_export.golden_inputs import evaluated
from explicate_server.device import CPU, Device
from explicate_server.modalities.modalities import open_modality
from explicate_server.runtime.device_faults import DeviceOutOfMemory
from explicate_server.runtime.devices.device_kinds import Placement
from explicate_server.runtime.model_runtime import RuntimeUnavailable
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.settings import Settings

GPU = Device("cuda", 0)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """A machine with a GPU, and where sessions were made. What runs there is the CPU's session."""
    loads: list[Device] = []

    def load_on(device: Device) -> Any:
        def load(path: Path, *, threads: int, reduced: bool) -> OnnxRuntime:
            loads.append(device)
            return OnnxRuntime(path, threads=threads)

        return load

    def loaders_on(device: Device, placement: Placement, *, memory_bytes: int) -> Any:
        return {"onnxruntime": load_on(device)}

    monkeypatch.setattr(golden_inputs, "place", lambda choice, runtime: Placement((GPU,)))
    monkeypatch.setattr(golden_inputs, "loaders_on", loaders_on)
    return loads


def answers(repository: Path, *, on_cpu: bool = False) -> Any:
    bundle = verify_bundle(repository / "tiny" / "1", model="tiny", version=1)
    modality = open_modality(bundle, Settings(repository=repository))
    evaluate = evaluated(bundle.model_path, modality, on_cpu=on_cpu)
    return evaluate([modality.encode(value).row for value in bundle.golden().inputs]), bundle.golden().outputs


def test_a_gpu_answers_when_there_is_one(loads: list[Device], tiny_repository: Path) -> None:
    found, expected = answers(tiny_repository)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert loads == [GPU]


def test_what_is_for_cpus_is_held_to_the_golden_inputs_on_the_cpu(loads: list[Device], tiny_repository: Path) -> None:
    found, expected = answers(tiny_repository, on_cpu=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert loads == []


@pytest.mark.parametrize("error", [DeviceOutOfMemory("it is full"), RuntimeUnavailable("it has gone")])
def test_a_gpu_that_does_not_take_the_graph_leaves_it_to_the_cpu(
    error: Exception,
    loads: list[Device],
    tiny_repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuses(path: Path, **named: Any) -> OnnxRuntime:
        raise error

    monkeypatch.setattr(golden_inputs, "loaders_on", lambda device, placement, **named: {"onnxruntime": refuses})
    found, expected = answers(tiny_repository)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert f"made on the CPU: {error}" in caplog.text


def test_without_a_gpu_the_cpu_answers(tiny_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_inputs, "place", lambda choice, runtime: Placement((CPU,)))
    found, expected = answers(tiny_repository)
    np.testing.assert_allclose(found, expected, atol=1e-3)
