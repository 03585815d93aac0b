"""Batches in page-locked memory: the same answers, kept only where they are faster, and never a reason to fail."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import Modality
from explicate_server.runtime import onnx_runtime
from explicate_server.runtime.devices import cuda
from explicate_server.runtime.devices.bound_inputs import BoundInputs, is_faster
from explicate_server.runtime.onnx_runtime import OnnxRuntime, Provider
from explicate_server.runtime.queue import Row
from explicate_server.settings import Settings


@pytest.fixture(scope="module")
def bundle(tiny_repository: Path) -> VerifiedBundle:
    return verify_bundle(tiny_repository / "tiny" / "1", model="tiny", version=1)


@pytest.fixture(scope="module")
def modality(bundle: VerifiedBundle) -> Modality:
    return open_modality(bundle, Settings())


@pytest.fixture(scope="module")
def rows(bundle: VerifiedBundle, modality: Modality) -> list[Row]:
    return [modality.encode(value).row for value in bundle.golden().inputs]


class HostMemory:
    """Ordinary memory, counted."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, size: int) -> NDArray[np.uint8]:
        self.sizes.append(size)
        return np.zeros(size, dtype=np.uint8)


def test_bound_inputs_give_the_answers_of_copied_ones_from_many_threads(
    bundle: VerifiedBundle, modality: Modality, rows: list[Row]
) -> None:
    session = ort.InferenceSession(str(bundle.model_path), providers=["CPUExecutionProvider"])
    memory = HostMemory()
    bound = BoundInputs(session, session.get_outputs()[0].name, memory, lanes=2)
    with ThreadPoolExecutor(6) as callers:  # each text has a shape of its own
        answers = list(callers.map(lambda row: bound.run(modality.collate([row]))[0], rows * 10))
    np.testing.assert_allclose(answers, np.tile(bundle.golden().outputs, (10, 1)), rtol=0, atol=1e-4)
    inputs = len(modality.collate(rows[:1]))
    longest = max(each.nbytes for each in modality.collate([max(rows, key=lambda row: row.length)]).values())
    assert max(memory.sizes) == longest
    assert len(memory.sizes) <= 2 * inputs * len({row.length for row in rows}), "it grows, and is used again"


@pytest.mark.parametrize(("other_s", "faster"), [(0.5, True), (0.96, False), (2.0, False)])
def test_another_way_must_be_clearly_faster(other_s: float, faster: bool) -> None:
    now_s = 0.0

    def taking(seconds: float) -> Callable[[object], None]:
        def run(_: object) -> None:
            nonlocal now_s
            now_s += seconds

        return run

    assert is_faster(taking(other_s), taking(1.0), {}, clock=lambda: now_s) == faster


@pytest.mark.parametrize("wins", [True, False])
def test_a_session_settles_for_the_faster_way_and_answers_the_same(
    bundle: VerifiedBundle, modality: Modality, rows: list[Row], monkeypatch: pytest.MonkeyPatch, wins: bool
) -> None:
    monkeypatch.setattr(onnx_runtime, "is_faster", lambda *_: wins)
    memory = HostMemory()
    runtime = OnnxRuntime(bundle.model_path, threads=1, provider=Provider(host_buffer=memory))
    runtime.settle(modality.collate(rows))
    assert runtime.binds_inputs == wins
    answers = [runtime.run(modality.collate([row]))[0] for row in rows]
    np.testing.assert_allclose(answers, bundle.golden().outputs, rtol=0, atol=1e-4)
    assert bool(memory.sizes) == wins


def test_where_there_is_no_such_memory_batches_are_copied(
    bundle: VerifiedBundle, modality: Modality, rows: list[Row]
) -> None:
    def none(size: int) -> NDArray[np.uint8]:
        raise OSError(f"error 2 of the CUDA driver for {size} bytes")

    runtime = OnnxRuntime(bundle.model_path, threads=1, provider=Provider(host_buffer=none))
    runtime.settle(modality.collate(rows))
    assert not runtime.binds_inputs
    assert runtime.run(modality.collate(rows)).shape == bundle.golden().outputs.shape


class Driver:
    """The part of libcuda.so.1 that gives page-locked memory; here it is ordinary."""

    def __init__(self, *, code: int = 0) -> None:
        self.code = code
        self.freed: list[int | None] = []
        self._memory: list[ctypes.Array[ctypes.c_uint8]] = []

    def cuDeviceGet(self, device: object, number: int) -> int:
        return 0 if number == 1 else 101

    def cuDevicePrimaryCtxRetain(self, context: object, device: ctypes.c_int) -> int:
        return 0

    def cuCtxSetCurrent(self, context: ctypes.c_void_p) -> int:
        return 0

    def cuMemHostAlloc(self, address: object, size: ctypes.c_size_t, flags: int) -> int:
        assert flags == 1
        self._memory.append((ctypes.c_uint8 * size.value)())
        pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_void_p))  # type: ignore[arg-type]
        pointer[0] = ctypes.addressof(self._memory[-1])
        return self.code

    def cuMemFreeHost(self, address: ctypes.c_void_p) -> int:
        self.freed.append(address.value)
        return 0


def test_the_drivers_memory_is_written_to_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda _: driver)
    buffer = cuda.pinned_buffer(1, 16)
    buffer[:] = 7
    assert bytes(driver._memory[0]) == b"\x07" * 16
    assert driver.freed == []
    address = buffer.ctypes.data
    del buffer
    assert driver.freed == [address]


@pytest.mark.parametrize(("number", "code"), [(0, 101), (1, 2)])
def test_a_driver_that_refuses_is_an_error_with_its_code(
    monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda _: Driver(code=code if number else 0))
    with pytest.raises(OSError, match=f"^error {code} of the CUDA driver for 16 bytes of page-locked memory"):
        cuda.pinned_buffer(number, 16)
