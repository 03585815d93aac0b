"""Which device is taken, why not another, and what a kind of device must bring along."""

import ctypes
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from explicate_server.device import CPU, Device, DeviceChoice
from explicate_server.runtime.device_faults import DeviceLost, DeviceOutOfMemory, fault_in
from explicate_server.runtime.devices import cuda
from explicate_server.runtime.devices.device_kinds import (
    DEVICE_KINDS,
    DeviceUnavailable,
    Placement,
    loaders_on,
    place,
)
from explicate_server.runtime.model_runtime import RuntimeUnavailable
from explicate_server.runtime.onnx_runtime import OnnxRuntime, Provider, node_counts
from explicate_server.runtime.runtimes import RUNTIMES
from explicate_server.settings import SettingError, Settings
from support.toy_device import Faults, ToyKind

TOYS = {"toy": ToyKind([Faults(), Faults()])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", DeviceChoice("auto")),
        ("cpu", DeviceChoice("cpu")),
        ("cuda", DeviceChoice("cuda")),
        ("cuda:1", DeviceChoice("cuda", (1,))),
        ("cuda:1,0", DeviceChoice("cuda", (1, 0))),
    ],
)
def test_a_choice_names_a_kind_and_numbers(text: str, expected: DeviceChoice) -> None:
    assert DeviceChoice.parse(text) == expected
    assert Settings(device=text).device == text


@pytest.mark.parametrize("text", ["", "CUDA", "cuda:", "cuda:a", "cuda:-1", "cuda:0,", "cpu:0", "auto:1", "cuda:1,1"])
def test_what_is_not_a_choice_is_refused_as_a_setting(text: str) -> None:
    with pytest.raises(SettingError, match=rf"^--device is '{re.escape(text)}'; "):
        Settings(device=text)


def test_auto_takes_the_first_kind_that_can_be_used() -> None:
    kinds = {"no": ToyKind([], reason="it is not there"), **TOYS}
    assert place("auto", runtime="onnxruntime", kinds=kinds) == Placement((Device("toy", 0),), free=True)


def test_auto_serves_on_the_cpu_and_says_why_nothing_else_could_be_used() -> None:
    kinds = {"one": ToyKind([], reason="no driver"), "two": ToyKind([], reason="too old")}
    placement = place("auto", runtime="onnxruntime", kinds=kinds)
    assert placement.devices == (CPU,)
    assert str(placement) == "cpu (not one: no driver; not two: too old)"


def test_the_cpu_needs_no_reason_and_asks_no_device() -> None:
    assert place("cpu", runtime="auto", kinds={"toy": ToyKind([], reason="not asked")}) == Placement((CPU,))


@pytest.mark.parametrize(
    ("choice", "devices"),
    [("toy", [0]), ("toy:1", [1]), ("toy:1,0", [1, 0])],
)
def test_a_kind_asked_for_by_name_gives_its_devices_in_order(choice: str, devices: list[int]) -> None:
    assert place(choice, runtime="auto", kinds=TOYS).devices == tuple(Device("toy", number) for number in devices)


@pytest.mark.parametrize(
    ("choice", "runtime", "sentence"),
    [
        ("toy:0,2", "auto", "--device toy:0,2: there is no toy:2; this machine has toy:0, toy:1"),
        ("gpu", "auto", "--device gpu: there is no such kind of device; give one of auto, cpu, toy, broken"),
        (
            "broken",
            "onnxruntime",
            "--device broken cannot be used: no driver; --device auto serves on the CPU until it can",
        ),
        (
            "toy",
            "openvino",
            "--device toy cannot be used: --runtime openvino does not run on it, --runtime onnxruntime does; "
            "--device auto serves on the CPU until it can",
        ),
    ],
)
def test_a_device_that_cannot_be_used_is_one_sentence(choice: str, runtime: str, sentence: str) -> None:
    kinds = {**TOYS, "broken": ToyKind([], reason="no driver")}
    with pytest.raises(DeviceUnavailable) as caught:
        place(choice, runtime=runtime, kinds=kinds)
    assert str(caught.value) == sentence


def test_a_kind_is_one_registry_line_and_loads_on_the_device_that_was_chosen(
    monkeypatch: pytest.MonkeyPatch, tiny_repository: Path
) -> None:
    toy = ToyKind([Faults(), Faults()])
    monkeypatch.setitem(DEVICE_KINDS, "toy", toy)
    graph = tiny_repository / "tiny" / "1" / "model.onnx"
    placement = place("toy:1", runtime="auto")
    loaders = loaders_on(Device("toy", 1), placement, memory_bytes=7)
    assert list(loaders) == ["onnxruntime"]  # what was asked for by name does not end on the CPU
    runtime = loaders["onnxruntime"](graph, threads=1, reduced=False)
    assert (runtime.name, str(runtime.device), toy.loaded) == ("onnxruntime-toy", "toy:1", [(1, 7)])
    free = loaders_on(Device("toy", 0), place("auto", runtime="auto", kinds={"toy": toy}), memory_bytes=0)
    assert free.keys() == RUNTIMES.keys()
    assert loaders_on(CPU, placement, memory_bytes=0) == RUNTIMES


def test_the_probe_is_the_graph_that_its_comment_says() -> None:
    floats = onnx.TensorProto.FLOAT
    node = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    ends = [[onnx.helper.make_tensor_value_info(name, floats, [1])] for name in "xy"]
    graph = onnx.helper.make_graph([node], "probe", *ends)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    assert model.SerializeToString() == cuda.PROBE_GRAPH
    session = ort.InferenceSession(cuda.PROBE_GRAPH, providers=["CPUExecutionProvider"])
    assert session.run(["y"], {"x": np.ones(1, dtype=np.float32)})[0].tolist() == [2.0]


@pytest.fixture
def fresh_cuda() -> "cuda._Cuda":
    """CUDA as a process finds it that has not asked yet."""
    return cuda._Cuda()


def test_without_a_driver_no_session_is_tried(fresh_cuda: "cuda._Cuda", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "has_cuda_driver", lambda: False)
    monkeypatch.setattr(cuda.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(cuda.ort, "preload_dlls", None)  # not called
    assert fresh_cuda.why_not() == "there is no CUDA driver (libcuda.so.1) on this machine"
    assert fresh_cuda.count() == 0


def test_a_build_without_cuda_says_what_to_install(fresh_cuda: "cuda._Cuda", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "does not have CUDA; pip install 'explicate[gpu]'" in (fresh_cuda.why_not() or "")


class Driver:
    """libcuda.so.1 as far as it is asked."""

    def __init__(self, *, devices: int, error: int = 0) -> None:
        self._devices, self._error = devices, error

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self._error

    def cuDeviceGetCount(self, count: object) -> int:
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self._devices  # type: ignore[arg-type]
        return 0

    def cuGetErrorString(self, code: int, text: object) -> int:
        assert code == self._error
        ctypes.cast(text, ctypes.POINTER(ctypes.c_char_p))[0] = b"no CUDA-capable device is detected"  # type: ignore[arg-type]
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[Driver]:
    monkeypatch.setattr(cuda, "has_cuda_driver", lambda: True)
    monkeypatch.setattr(cuda.ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    return Driver


def test_a_driver_without_a_device_tells_its_error(
    fresh_cuda: "cuda._Cuda", driver: type[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda _: driver(devices=0, error=100))
    expected = "the CUDA driver shows no device (error 100: no CUDA-capable device is detected)"
    assert fresh_cuda.why_not() == expected


def test_a_session_that_fell_to_the_cpu_is_not_cuda_and_is_asked_once(
    fresh_cuda: "cuda._Cuda", driver: type[Driver], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What ONNX Runtime does where the libraries are missing, said aloud by the function that preloads them."""
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda _: driver(devices=2))
    preloads = []

    def preload() -> None:
        preloads.append(1)
        print("Failed to load libcublasLt.so.13: no such file")

    monkeypatch.setattr(cuda.ort, "preload_dlls", preload)
    session = cuda.ort.InferenceSession
    monkeypatch.setattr(
        cuda.ort, "InferenceSession", lambda graph, options, providers: session(graph, options, providers=providers[1:])
    )
    reason = fresh_cuda.why_not()
    assert reason is not None
    assert "cannot load it (Failed to load libcublasLt.so.13: no such file); pip install" in reason
    assert fresh_cuda.why_not() == reason
    assert preloads == [1]
    assert capfd.readouterr().out == ""  # standard output is for the server's address
    assert fresh_cuda.count() == 2
    with pytest.raises(RuntimeUnavailable, match=r"^CUDA cannot be used: ONNX Runtime"):
        fresh_cuda.load(Path("none"), number=0, threads=1, reduced=False)


def test_a_session_that_fails_is_the_reason(
    fresh_cuda: "cuda._Cuda", driver: type[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error 209:\n no kernel image is available")

    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda _: driver(devices=1))
    monkeypatch.setattr(cuda.ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(cuda.ort, "InferenceSession", fail)
    reason = fresh_cuda.why_not() or ""
    assert reason.startswith("a session of one node failed (CUDA error 209: no kernel image is available)")


def test_options_of_the_provider_are_in_one_place() -> None:
    options = cuda.provider_options(3, memory_bytes=1 << 30)
    assert options == {
        "device_id": "3",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "prefer_nhwc": "1",
        "gpu_mem_limit": str(1 << 30),
    }
    assert "gpu_mem_limit" not in cuda.provider_options(0)
    chain = cuda.CUDA.provider(3).chain
    assert chain == [("CUDAExecutionProvider", cuda.provider_options(3)), "CPUExecutionProvider"]


def test_a_session_that_is_not_on_the_device_is_never_taken_for_one(tiny_repository: Path) -> None:
    """A real session: ONNX Runtime leaves out, without an error, a provider that it does not have."""
    graph = tiny_repository / "tiny" / "1" / "model.onnx"
    provider = Provider(name="CUDAExecutionProvider", device=Device("cuda", 0), batch_tokens=64, lanes=1)
    if cuda.CUDA.why_not() is None:
        pytest.skip("this machine has CUDA")
    with pytest.raises(RuntimeUnavailable, match="did not load CUDAExecutionProvider, so nothing runs on cuda:0"):
        OnnxRuntime(graph, threads=1, provider=provider)


def test_nodes_are_counted_by_who_runs_them() -> None:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(cuda.PROBE_GRAPH, options, providers=["CPUExecutionProvider"])
    assert node_counts(session) == {"CPUExecutionProvider": 1}
    assert node_counts(object()) is None  # a release that does not tell


# Texts as ONNX Runtime 1.9 to 1.23 and the drivers gave them, from issues of microsoft/onnxruntime: 9939, 22702, 26312.
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running MatMul node. "
            "bfc_arena.cc:331 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory "
            "for requested buffer of size 8388608000",
            DeviceOutOfMemory,
        ),
        ("CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; expr=cudaMalloc((void**)&p, size);", DeviceOutOfMemory),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", DeviceOutOfMemory),
        ("std::bad_alloc", DeviceOutOfMemory),
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=a", DeviceLost),
        ("CUDA failure 710: device-side assert triggered ; GPU=1", DeviceLost),
        ("CUDA failure 999: unknown error ; GPU=0", DeviceLost),
        ("CUDA error cudaErrorECCUncorrectable: uncorrectable ECC error encountered", DeviceLost),
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: x", None),
        ("CUDA failure 7001: no such code", None),
        ("indices element out of data bounds, idx=700 must be within the inclusive range [-512,511]", None),
    ],
)
def test_a_devices_fault_is_told_from_an_inputs(text: str, kind: type[Exception] | None) -> None:
    fault = fault_in(RuntimeError(text))
    assert type(fault) is (kind or type(None))
    assert isinstance(fault_in(MemoryError()), DeviceOutOfMemory)
    assert "hostname" not in str(fault)
